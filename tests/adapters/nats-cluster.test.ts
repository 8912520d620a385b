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
    const queue = nats({ url: servers, stream: `s${(count += 1)}`, leaseMs: 60_000, timeoutMs: 2_000 });
    onTestFinished(() => queue.close());
    await queue.setup({ replicas: 3, storage: "memory" });
    return queue;
  };
  /** Has a leader step down four times, each time after `done` has grown. */
  const unsteady = async (of: string, done: () => number): Promise<void> => {
    for (let changes = 0; changes < 4; ) {
      const enough = done() + 25;
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

  test("workers acknowledge every message, and lose none, while their consumer's leader changes", async () => {
    const queue = await opened();
    const seen = new Set<string>();
    const sink = async (part: Part): Promise<void> => void (part.kind === "text" && seen.add(part.text));
    // several, as a request for messages that comes to a leader that steps down may be dropped without a word, and is taken for lost after 35 s
    const workers = Array.from({ length: 4 }, () => consume(queue, pipe(), sink, { concurrency: 4, maxInFlight: 8 }));
    onTestFinished(async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
    });
    const sum = (of: "acked" | "lost" | "inFlight"): number => workers.reduce((total, { counters }) => total + counters[of], 0);
    const acked = (): number => sum("acked");
    const sender = sending(queue, () => {}, acked);
    await unsteady(`CONSUMER.LEADER.STEPDOWN.${queue.name}.millrace`, acked);
    await sender.stop();
    await expect.poll(() => [seen.size, sum("inFlight")], { timeout: 60_000 }).toEqual([sender.count(), 0]);
    expect(sum("lost")).toBe(0);
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
