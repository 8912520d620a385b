import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { nats, type NatsQueue } from "../../src/adapters/nats/index.ts";
import { consume, isMillraceError, type Part, pipe, text } from "../../src/index.ts";
import { type Host, openHost } from "../services/host.ts";
import { startNatsCluster } from "../services/nats-cluster.ts";
import { service, titled } from "../services.ts";

const reachable = await service("nats");

// what is looked at is at the servers: once is enough
describe.skipIf(reachable.skip !== undefined || "Bun" in globalThis || "Deno" in globalThis)(titled("nats, a cluster whose leaders change", reachable), () => {
  let host: Host;
  let servers: readonly string[];
  let admin: NatsConnection;
  let count = 0;
  beforeAll(async () => {
    host = openHost();
    servers = await startNatsCluster(host);
    admin = await connect({ servers: [...servers] });
  }, 120_000);
  afterAll(async () => {
    await admin?.close();
    await host?.close();
  });
  const opened = async (): Promise<NatsQueue> => {
    const queue = nats({ url: servers, stream: `s${(count += 1)}`, leaseMs: 60_000, timeoutMs: 1_000 });
    onTestFinished(() => queue.close());
    // a cluster chooses its first leader some seconds after it has come up
    await expect.poll(() => queue.setup({ replicas: 3, storage: "memory" }).then(() => "made", String), { timeout: 60_000 }).toBe("made");
    return queue;
  };
  /** Has a leader step down four times, each time after `done` has grown. */
  const unsteady = async (of: string, done: () => number): Promise<void> => {
    for (let changes = 0; changes < 4; ) {
      const enough = done() + 25;
      // a request for messages that comes to a leader that steps down may be dropped without a word: it is taken for lost after 35 s
      await expect.poll(done, { timeout: 60_000, interval: 2 }).toBeGreaterThan(enough);
      const answer = await admin.request(`$JS.API.${of}`, undefined, { timeout: 1_000 }).then((it) => it.string(), String);
      if (answer.includes('"success":true')) changes += 1; // not while there is none
    }
  };
  /** Sends one message after the other, each until it is stored, and not far ahead of what is done; tells of what failed. */
  const sending = (queue: NatsQueue, tell: (error: unknown) => void, done = (): number => Infinity) => {
    let [count, over] = [0, false];
    const send = async (): Promise<void> => {
      while (!over) {
        if (count > done() + 100) {
          await admin.flush();
          continue;
        }
        const id = String(count);
        await queue.send([text(id)], { id }).then(() => (count += 1), tell);
      }
    };
    const ended = send();
    const stop = (): Promise<void> => {
      over = true;
      return ended;
    };
    onTestFinished(stop);
    return { count: () => count, stop };
  };

  test("a worker acknowledges every message, and loses none, while its consumer's leader changes", async () => {
    const queue = await opened();
    const seen = new Set<string>();
    const sink = async (part: Part): Promise<void> => void (part.kind === "text" && seen.add(part.text));
    const worker = consume(queue, pipe(), sink, { concurrency: 8, maxInFlight: 16 });
    onTestFinished(() => void worker.stop());
    const acked = (): number => worker.counters.acked;
    const sender = sending(queue, () => {}, acked);
    await unsteady(`CONSUMER.LEADER.STEPDOWN.${queue.name}.millrace`, acked);
    await sender.stop();
    await expect.poll(() => [seen.size, worker.counters.inFlight], { timeout: 60_000 }).toEqual([sender.count(), 0]);
    expect(worker.counters.lost).toBe(0);
  }, 200_000);

  test("a send is unavailable while its stream's leader changes, or done, and never told that there is no stream", async () => {
    const queue = await opened();
    const codes = new Set<string>();
    const sender = sending(queue, (error) => codes.add(isMillraceError(error) ? error.code : String(error)));
    await unsteady(`STREAM.LEADER.STEPDOWN.${queue.name}`, sender.count);
    await sender.stop();
    expect([...codes].filter((code) => code !== "unavailable" && code !== "interrupted")).toEqual([]); // of the latter nobody knows whether it was stored
  }, 200_000);
});
