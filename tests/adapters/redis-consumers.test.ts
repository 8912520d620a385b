import { afterAll, describe, expect, test } from "vitest";
import { redisSettings } from "../../src/adapters/redis/client.ts";
import { redisStreams } from "../../src/adapters/redis/index.ts";
import { Link } from "../../src/adapters/redis/link.ts";
import { StreamGroup } from "../../src/adapters/redis/stream-group.ts";
import { consume, pipe, publish, run, text } from "../../src/index.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { service, titled } from "../services.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");
const hourMs = 3_600_000;

describe.skipIf(server.skip !== undefined)(titled("consumers of a group on Redis that are dead", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  const link = new Link(redisSettings("test", { url }));
  afterAll(async () => {
    link.close();
    await names[Symbol.asyncDispose]();
  });
  /** The house that every reader keeps, for a group whose consumers are dead after so many milliseconds. */
  const sweep = (stream: string, deadMs: number): Promise<void> =>
    new StreamGroup({ stream, group: "millrace", start: "0", field: "body", leaseMs: 100, deadMs, trim: true }, link).sweep();
  /** By their names, how many messages each has, and for how long the server has not heard it. */
  const consumers = async (stream: string): Promise<ReadonlyMap<string, { readonly pending: number; readonly idleMs: number }>> => {
    const answer = await ask("XINFO", "CONSUMERS", stream, "millrace");
    const all = (Array.isArray(answer) ? answer : []).map((fields: unknown[]) => new Map(Array.from({ length: fields.length / 2 }, (_, at) => [fields[2 * at], fields[2 * at + 1]])));
    return new Map(all.map((it) => [String(it.get("name")), { pending: Number(it.get("pending")), idleMs: Number(it.get("idle")) }]));
  };
  const namesIn = async (stream: string): Promise<string[]> => [...(await consumers(stream)).keys()].sort();
  /** A stream with a message, and consumers that nobody is any more: one of ours holds it, another of ours and a foreign one hold nothing. */
  const abandoned = async (): Promise<string> => {
    const stream = names.name();
    await using queue = redisStreams({ url, stream });
    await queue.send([text("held")]);
    await ask("XGROUP", "CREATE", stream, "millrace", "0");
    await ask("XREADGROUP", "GROUP", "millrace", "millrace-holds", "STREAMS", stream, ">");
    for (const consumer of ["millrace-empty", "foreign"]) await ask("XGROUP", "CREATECONSUMER", stream, "millrace", consumer);
    await eventually(async () => [...(await consumers(stream)).values()].every(({ idleMs }) => idleMs > 20));
    return stream;
  };

  test("are removed when they hold nothing, and only then; a foreign one never", async () => {
    const stream = await abandoned();
    await sweep(stream, hourMs);
    expect(await namesIn(stream)).toEqual(["foreign", "millrace-empty", "millrace-holds"]);
    await sweep(stream, 20);
    expect(await namesIn(stream)).toEqual(["foreign", "millrace-holds"]);
    expect((await consumers(stream)).get("millrace-holds")?.pending).toBe(1);
  });

  test("keep what they hold until another has taken it over, and are removed then", async () => {
    const stream = await abandoned();
    for (let times = 0; times < 3; times += 1) await sweep(stream, 0);
    await using queue = redisStreams({ url, stream, leaseMs: 100 });
    const reader = reading(queue);
    const [delivery] = await reader.settle(1);
    expect([textsIn(delivery === undefined ? [] : [delivery]), delivery?.attempt]).toEqual([["held"], 2]);
    await reader.leave();
    await eventually(async () => {
      await sweep(stream, 0);
      return (await namesIn(stream)).join() === "foreign";
    });
  });

  test("are consumers again when they were only taken for dead, and lose nothing by it", async () => {
    const stream = names.name();
    await using queue = redisStreams({ url, stream });
    const reader = reading(queue);
    await queue.send([text("a")]);
    await reader.settle(1);
    expect(await namesIn(stream)).toHaveLength(1);
    await sweep(stream, -1); // whoever holds nothing, however lately it was heard
    expect(await namesIn(stream)).toEqual([]);
    await queue.send([text("b")]);
    expect(textsIn(await reader.settle(1))).toEqual(["b"]);
    expect(await namesIn(stream)).toHaveLength(1);
  });

  test("are those of more than a minute: a worker that keeps house leaves alone who is only silent", async () => {
    const stream = await abandoned();
    await using queue = redisStreams({ url, stream });
    await run(publish(queue, { concurrency: 100 }), Array.from({ length: 2_500 }, (_, i) => String(i))).collect();
    await using worker = consume(queue, pipe(), undefined, { concurrency: 100, maxInFlight: 500 });
    await eventually(async () => (await ask("EXISTS", `{${stream}}:millrace:floor`)) === 1); // house was kept
    await eventually(() => worker.counters.acked === 2_500);
    await worker.stop();
    expect(await namesIn(stream)).toEqual(expect.arrayContaining(["foreign", "millrace-empty", "millrace-holds"]));
  });
});
