import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresQueue, soon } from "./postgres-queue-support.ts";
import { consume } from "../../src/delivery/worker.ts";
import { isText, pipe, text } from "../../src/index.ts";
import { type Host, openHost } from "../services/host.ts";
import { type PostgresServer, startPostgres } from "../services/postgres.ts";
import { service, titled } from "../services.ts";
import { outages } from "./outages.ts";

const known = await service("postgres");
const notOurs = known.skip ?? (known.from === "DATABASE_URL" ? "the server of DATABASE_URL is not ours to kill" : undefined);

describe.skipIf(notOurs !== undefined)(titled("postgresQueue, its server killed", notOurs === undefined ? known : { skip: notOurs }), () => {
  let host: Host;
  let server: PostgresServer;
  beforeAll(async () => {
    host = openHost();
    server = await startPostgres(host);
  }, 120_000);
  afterAll(() => host?.close());
  const restart = async (): Promise<void> => {
    const ended = once(server.process.child, "exit");
    server.process.child.kill("SIGKILL");
    await ended;
    server = await startPostgres(host, server);
  };

  test("while messages are sent and worked on: none is lost, and worker and sender go on without a new queue", async () => {
    const queue = postgresQueue({ connectionString: server.url, table: "jobs", leaseMs: 2_000 });
    await queue.setup();
    const confirmed = new Set<string>();
    const done = new Map<string, number>();
    const errors = new Set<unknown>();
    let sending = true;
    const sender = (async () => {
      for (let n = 0; sending || n < 400; n += 1) {
        await queue.send([text(String(n))], { key: `k${n % 5}` }).then(
          () => confirmed.add(String(n)),
          (error: unknown) => errors.add((error as { readonly code?: unknown }).code),
        );
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const away = outages();
    const worker = consume(queue, pipe(), async (part) => {
      if (isText(part)) done.set(part.text, (done.get(part.text) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }, { concurrency: 8, onEvent: away.tell });
    for (const at of [60, 160]) {
      await soon(() => done.size >= at);
      await restart();
      await soon(() => done.size >= at + 20);
    }
    sending = false;
    await sender;
    await soon(() => [...confirmed].every((word) => done.has(word)));
    const missing = [...confirmed].filter((word) => !done.has(word));
    expect(missing).toEqual([]);
    expect([away.all.length <= 2, away.apart]).toEqual([true, true]); // where no call was on its way nobody has noticed
    for (const code of errors) expect(["unavailable", "interrupted"]).toContain(code);
    await worker.stop({ deadlineMs: 1_000 });
    await queue.close();
  }, 120_000);
});
