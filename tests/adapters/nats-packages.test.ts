import { registerHooks } from "node:module";
import { expect, test } from "vitest";
import { nats, type NatsClient } from "../../src/adapters/nats/index.ts";
import { text } from "../../src/index.ts";
import { reading } from "../../src/testing/contracts/queue-reading.ts";

// Bun has no such hooks
test.skipIf("Bun" in globalThis)("without the package of JetStream a queue says what to install, and looks for it again at the next call", async () => {
  const without = registerHooks({
    resolve(specifier, context, next) {
      if (!specifier.includes("@nats-io/jetstream")) return next(specifier, context);
      throw Object.assign(new Error(`Cannot find package '${specifier}'`), { code: "ERR_MODULE_NOT_FOUND" });
    },
  });
  const client: NatsClient = {
    publish() {},
    subscribe: () => ({ drain: async () => {}, unsubscribe() {} }),
    flush: async () => {},
    async *status() {
      await new Promise(() => {});
    },
    closed: () => new Promise(() => {}),
    isClosed: () => false,
    close: async () => {},
  };
  const queue = nats({ client, stream: "s" });
  try {
    const errors = new Set<unknown>();
    for (const call of [() => queue.send([text("a")]), () => queue.setup(), () => reading(queue).raw()]) errors.add(await call().catch((error: unknown) => error));
    expect(errors.size).toBe(3); // one that is kept would be the same
    for (const error of errors) expect(error).toMatchObject({ code: "missing_config", message: expect.stringMatching(/npm install .*@nats-io\/jetstream@\^3/) });
  } finally {
    without.deregister();
    await queue.close();
  }
});
