import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { consume, isJson, json, pipe } from "../../src/index.ts";
import { service, titled } from "../services.ts";
import { type Host, openHost } from "../services/host.ts";
import { type RabbitmqServer, startRabbitmq } from "../services/rabbitmq.ts";
import { outages } from "./outages.ts";
import { type OwnQueues, ownQueues, pulled } from "./rabbitmq-own.ts";

// A broker of our own: these tests starve and kill it.
const shared = await service("rabbitmq");
describe.skipIf(shared.skip !== undefined)(titled("rabbitmq, its broker in trouble", shared), () => {
  let host: Host;
  let server: RabbitmqServer;
  let own: OwnQueues;
  beforeAll(async () => {
    host = openHost();
    server = await startRabbitmq(host);
    own = await ownQueues(server.url);
  }, 120_000);
  afterAll(async () => {
    try {
      await own?.[Symbol.asyncDispose]();
    } catch {
      // its own connection died with the broker
    }
    await host?.close();
  }, 120_000);

  test("while the broker is short of memory a send waits, also for its signal, and readers go on", async () => {
    const queue = await own.fresh();
    await queue.send([json(1)]);
    const reader = pulled(queue);
    const delivery = await reader.next();
    server.ctl("set_vm_memory_high_watermark", "0.000001");
    try {
      const first = queue.send([json(2)]); // the broker blocks whoever publishes once it does
      await expect.poll(() => server.ctl("list_connections", "state", "-q"), { timeout: 20_000 }).toContain("blocked");
      const [enough, controller] = [new Error("enough"), new AbortController()];
      const given = queue.send([json(3)], { signal: controller.signal });
      const waiting = queue.send([json(4)]);
      let isSent = false;
      void waiting.then(() => (isSent = true));
      await delivery.ack();
      await reader.leave();
      await expect.poll(() => server.ctl("list_queues", "name", "messages_unacknowledged", "-q"), { timeout: 20_000 }).toContain(`${queue.name}\t0`); // its counts come late
      controller.abort(enough);
      await expect(given).rejects.toBe(enough);
      expect(isSent).toBe(false);
      server.ctl("set_vm_memory_high_watermark", "0.4");
      await Promise.all([first, waiting]);
    } finally {
      server.ctl("set_vm_memory_high_watermark", "0.4"); // the next test has the same broker
    }
    const again = pulled(queue);
    const left = [await again.next(), await again.next()];
    expect(left.map(({ parts: [part] }) => part?.kind === "json" && part.value)).toEqual([2, 4]); // what was given up was never sent
  });

  test("a broker that is killed and comes back loses nothing of a worker that goes on, and of sends that were confirmed", async () => {
    const queue = await own.fresh();
    // a quorum queue of which the broker has not yet written its term, for which it takes three seconds, would have no leader ever again
    server.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].");
    const confirmed = new Set<number>();
    for (let n = 0; n < 100; n += 1) {
      await queue.send([json(n)]);
      confirmed.add(n);
    }
    const seen = new Set<number>();
    const killed = Promise.withResolvers<void>();
    const all = Promise.withResolvers<void>();
    const sink = async (part: Parameters<typeof isJson>[0]): Promise<void> => {
      const before = seen.size;
      if (isJson(part)) seen.add(Number(part.value));
      if (before === 39 && seen.size === 40) killed.resolve(server.process.stop("SIGKILL"));
      if (seen.size >= 40) await killed.promise; // those that are out are settled on a connection that is gone
      if (confirmed.size >= 200 && [...confirmed].every((n) => seen.has(n))) all.resolve();
    };
    const { all: away, tell } = outages();
    await using worker = consume(queue, pipe(), sink, { concurrency: 4, onEvent: tell });
    await killed.promise;
    const outcome = await queue.send([json(-1)]).catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "unavailable", retryable: true });
    server = await startRabbitmq(host, server);
    for (let n = 100; n < 200; n += 1) {
      try {
        await queue.send([json(n)]);
      } catch {
        await queue.send([json(n)]); // the broker answers before its queues do
      }
      confirmed.add(n);
    }
    await queue.send([json(200)]);
    confirmed.add(200);
    await all.promise;
    await using after = await ownQueues(server.url);
    await expect.poll(() => after.waiting(queue.name), { timeout: 20_000 }).toBe(0); // also what was sent twice
    await worker.stop();
    expect(worker.counters.acked).toBeGreaterThanOrEqual(confirmed.size - 40);
    expect(away).toHaveLength(1);
  });
});
