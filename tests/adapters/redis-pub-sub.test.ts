import { Redis } from "ioredis";
import { afterAll, describe, expect, it, test } from "vitest";
import { redisPubSub, type RedisPubSubOptions } from "../../src/adapters/redis/index.ts";
import { consume, foreign, isText, MillraceError, pipe, type Queue, type QueueEvent, text } from "../../src/index.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { service, titled } from "../services.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { outages } from "./outages.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");
type Gap = Extract<QueueEvent, { readonly kind: "gap" }>;
const once = "a message goes once to whoever listens";
const declares = {
  guarantee: "at-most-once",
  redelivery: "none",
  durable: false,
  lacks: { keys: "a channel has one order and no keys", delay: once, nackDelay: once, attempts: once, uncounted: once, extend: "there are no leases" },
} as const;

describe.skipIf(server.skip !== undefined)(titled("redisPubSub", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  afterAll(() => names[Symbol.asyncDispose]());
  const opened = (options: Partial<RedisPubSubOptions> = {}): Queue => redisPubSub({ url, channel: names.name(), ...options });
  const listeners = async (queue: Queue): Promise<number> => {
    const answer = await ask("PUBSUB", "NUMSUB", queue.name);
    return Array.isArray(answer) ? Number(answer[1]) : NaN;
  };
  const subscribed = (queue: Queue, count = 1): Promise<void> => eventually(async () => (await listeners(queue)) === count);
  const put = async (queue: Queue, body: Uint8Array): Promise<void> => void (await ask("PUBLISH", queue.name, Buffer.from(body)));

  queueContract({ describe, it }, { name: "redis pub/sub", open: () => opened(), declares, put, subscribed });
  queueContract({ describe, it }, {
    name: "redis pub/sub, by a client of ioredis",
    open: () => redisPubSub({ client: new Redis(url, { lazyConnect: true }), channel: names.name() }),
    declares,
    put,
    subscribed,
  });

  /** Reads, and keeps what is told. */
  const listening = async (queue: Queue): Promise<{ readonly gaps: Gap[]; readonly away: readonly number[]; readonly reader: ReturnType<typeof reading> }> => {
    const gaps: Gap[] = [];
    const { all: away, tell } = outages();
    const reader = reading(queue, { tell: (event) => (event.kind === "gap" ? gaps.push(event) : tell(event)) });
    reader.raw().catch(() => {}); // heard by whoever takes it
    await subscribed(queue);
    return { gaps, away, reader };
  };

  test.each([["oldest", ["7", "8", "9"]], ["newest", ["0", "1", "2"]]] as const)("of more than it may keep it drops the %s, and tells how many", async (drop, kept) => {
    await using queue = opened({ drop, maxBuffered: 3 });
    const { gaps, reader } = await listening(queue);
    await queue.send([text("first")]);
    expect(textsIn(await reader.settle(1))).toEqual(["first"]);
    for (let i = 0; i < 10; i += 1) await queue.send([text(String(i))]);
    await eventually(() => gaps.length > 0); // told though nobody reads
    expect(textsIn(await reader.settle(3))).toEqual(kept);
    expect(gaps.reduce((sum, { count = 0 }) => sum + count, 0)).toBe(7);
  });

  test("every message is handed out or told as a gap, whenever the connection is cut, and each return is told once", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using queue = opened();
    await using through = redisPubSub({ url: `redis://127.0.0.1:${proxy.port}`, channel: queue.name });
    const gaps: Gap[] = [];
    const away = outages();
    const got: number[] = [];
    const missed: number[] = [];
    const worker = consume(through, pipe(), async (part) => {
      if (isText(part)) got.push(Number(part.text));
    }, { onEvent: (event) => (event.kind === "gap" ? gaps.push(event) : away.tell(event)) });
    await subscribed(queue);
    for (let i = 0; i < 3_000; i += 1) {
      if (i % 1_000 === 500) {
        await eventually(() => got.at(-1) === i - 1);
        proxy.cut();
        await eventually(async () => (await listeners(queue)) === 0);
        missed.push(i);
      }
      await queue.send([text(String(i))]);
      if (missed.at(-1) === i) await subscribed(queue);
    }
    await eventually(() => got.at(-1) === 2_999);
    expect(got).toEqual(Array.from({ length: 3_000 }, (_, i) => i).filter((i) => !missed.includes(i)));
    expect(gaps.map(({ count }) => count)).toEqual(missed.map(() => undefined));
    expect([away.all.length, away.apart]).toEqual([missed.length, true]);
    await worker.stop();
    await subscribed(queue, 0);
  });

  test("a server that cuts off a reader which is too slow is a gap, and the reader goes on", async () => {
    await using queue = opened();
    const { gaps, away, reader } = await listening(queue);
    const known = await ask("CLIENT", "LIST", "TYPE", "pubsub");
    const id = /^id=(\d+) (?=.*sub=1 ).*$/m.exec(String(known))?.[1] ?? "";
    await ask("CLIENT", "KILL", "ID", id); // as it does for a full output buffer
    await eventually(() => gaps.length === 1);
    await subscribed(queue);
    await queue.send([text("after")]);
    expect(textsIn(await reader.settle(1))).toEqual(["after"]);
    expect(away).toHaveLength(1);
  });

  test("a half-open connection is found out, and told", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using queue = redisPubSub({ url: `redis://127.0.0.1:${proxy.port}`, channel: names.name(), timeoutMs: 200, pingMs: 100 });
    const { gaps, away } = await listening(queue);
    proxy.faults.silent = "both";
    await eventually(() => gaps.length > 0);
    proxy.heal();
    proxy.cut();
    await eventually(() => away.length > 0);
    await subscribed(queue);
    expect([gaps.length, away.length]).toEqual([1, 1]);
  });

  test("a body of another program is read as its format says, each with an id of its own", async () => {
    await using queue = opened({ format: foreign({ read: (body) => new TextDecoder().decode(body) }) });
    const { reader } = await listening(queue);
    for (const word of ["a", "b"]) await put(queue, new TextEncoder().encode(word));
    const deliveries = await reader.settle(2);
    expect(textsIn(deliveries)).toEqual(["a", "b"]);
    expect(new Set(deliveries.map(({ id }) => id)).size).toBe(2);
  });

  test("a reader that leaves unsubscribes: by leaving the loop, by its signal, by a drain, by the end of the queue", async () => {
    const queue = opened();
    const left = await listening(queue);
    await queue.send([text("a")]);
    await left.reader.next();
    await left.reader.leave();
    await subscribed(queue, 0);
    for (const how of ["signal", "drain"] as const) {
      const controller = new AbortController();
      const waiting = reading(queue, { [how]: controller.signal }).raw().catch((error: unknown) => error);
      await subscribed(queue);
      controller.abort("enough");
      expect(await waiting).toEqual(how === "signal" ? "enough" : { done: true, value: undefined });
      await subscribed(queue, 0);
    }
    const { reader } = await listening(queue);
    const waiting = reader.raw().catch((error: unknown) => error);
    await queue.close();
    expect(await waiting).toMatchObject({ code: "closed" });
    await subscribed(queue, 0);
  });

  test("hands out no more than maxInFlight that are unsettled", async () => {
    await using queue = opened();
    const reader = reading(queue, { maxInFlight: 1 });
    reader.raw().catch(() => {});
    await subscribed(queue);
    for (const word of ["a", "b"]) await queue.send([text(word)]);
    const a = await reader.next();
    let came = false;
    const second = reader.next().finally(() => (came = true));
    for (let i = 0; i < 5; i += 1) await ask("PING");
    expect(came).toBe(false);
    await a.ack();
    expect(textsIn([await second])).toEqual(["b"]);
  });

  test("no server is unavailable at once, to a reader and to a sender; what has no answer is interrupted", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using queue = redisPubSub({ url: `redis://:s3cret@127.0.0.1:${proxy.port}`, channel: names.name() });
    proxy.faults.refuse = true;
    for (const call of await Promise.allSettled([queue.send([]), reading(queue).raw()])) {
      expect(call).toMatchObject({ status: "rejected", reason: expect.any(MillraceError) });
      expect(call).toMatchObject({ reason: { code: "unavailable", message: expect.not.stringContaining("s3cret") } });
    }
    await using other = redisPubSub({ url: `redis://127.0.0.1:${proxy.port}`, channel: names.name() });
    proxy.heal();
    await other.send([]);
    proxy.faults.silent = "down";
    const sending = expect(other.send([])).rejects.toMatchObject({ code: "interrupted", retryable: false });
    await ask("PING");
    proxy.cut();
    await sending;
  });

  test("a worker with dead letters is refused", () => {
    expect(() => consume(opened(), pipe(), undefined, { maxDeliveries: 3 })).toThrow(expect.objectContaining({ code: "missing_config" }));
  });
});
