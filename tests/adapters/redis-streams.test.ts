import { Redis } from "ioredis";
import { inspect } from "node:util";
import { afterAll, describe, expect, it, test, vi } from "vitest";
import { redisSettings } from "../../src/adapters/redis/client.ts";
import { redisStreams, type RedisStreamsOptions } from "../../src/adapters/redis/index.ts";
import { Link } from "../../src/adapters/redis/link.ts";
import { StreamGroup } from "../../src/adapters/redis/stream-group.ts";
import { consume, type Delivery, isText, pipe, publish, type Queue, type QueueEvent, run, text } from "../../src/index.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { type Reading, reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { service, titled } from "../services.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");
const declares = {
  guarantee: "at-least-once",
  redelivery: "lease",
  durable: true,
  lacks: { keys: "the readers of a group share a stream message by message, whatever their keys" },
} as const;

describe.skipIf(server.skip !== undefined)(titled("redisStreams", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  const link = new Link(redisSettings("test", { url }));
  afterAll(async () => {
    link.close();
    await names[Symbol.asyncDispose]();
  });
  const opened = (options: Partial<RedisStreamsOptions> = {}): Queue => redisStreams({ url, stream: names.name(), ...options });
  const put = async (queue: Queue, body: Uint8Array): Promise<void> => void (await ask("XADD", queue.name, "*", "body", Buffer.from(body)));
  const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
  const pending = async (queue: Queue): Promise<number> => Number(listOf(await ask("XPENDING", queue.name, "millrace"))[0]);
  const consumers = async (queue: Queue): Promise<string[]> => listOf(await ask("XINFO", "CONSUMERS", queue.name, "millrace")).map((it) => String(listOf(it)[1]));
  /** How many messages each consumer has that has any. */
  const consumersWith = async (queue: Queue): Promise<number[]> => {
    const [, , , held] = listOf(await ask("XPENDING", queue.name, "millrace"));
    return listOf(held).map((it) => Number(listOf(it)[1])).sort((a, b) => a - b);
  };
  /** Readers that wait at the server: those of one test, as all others are gone by then. */
  const blocked = async (queue: Queue): Promise<number> => {
    const waiting = String(await ask("CLIENT", "LIST")).split("\n").filter((line) => / flags=b /.test(line) && / cmd=xreadgroup /.test(line));
    return (await ask("EXISTS", queue.name)) === 1 ? waiting.length : 0;
  };
  const told = (): { readonly gaps: QueueEvent[]; readonly tell: (event: QueueEvent) => void } => {
    const gaps: QueueEvent[] = [];
    return { gaps, tell: (event) => gaps.push(event) };
  };

  queueContract({ describe, it }, { name: "redis streams", open: () => opened({ leaseMs: 1_200 }), declares, put });

  test("a hundred messages and their commands need no timer of their own: the client would keep each for five seconds", async () => {
    const queue = opened();
    await queue.send([text("connected")]);
    const timers = vi.spyOn(AbortSignal, "timeout");
    try {
      await run(publish(queue, { concurrency: 20 }), Array.from({ length: 100 }, (_, i) => String(i))).collect();
      expect(timers).not.toHaveBeenCalled();
    } finally {
      timers.mockRestore();
      await queue.close();
    }
  });

  test("by a client of ioredis a worker does all that is sent, and its connections are gone afterwards", async () => {
    const client = new Redis(url, { lazyConnect: true, connectionName: names.name() });
    const queue = redisStreams({ client, stream: names.name() });
    await run(publish(queue, { concurrency: 20 }), Array.from({ length: 200 }, (_, i) => String(i))).collect();
    const got: string[] = [];
    const worker = consume(queue, pipe(), async (part) => {
      if (isText(part)) got.push(part.text);
    }, { concurrency: 10, maxInFlight: 50 });
    await eventually(() => worker.counters.acked === 200);
    expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    await worker.stop();
    await queue.close();
    expect([await pending(queue), client.status]).toEqual([0, "wait"]);
    await eventually(async () => !String(await ask("CLIENT", "LIST")).includes(String(client.options.connectionName)));
  });

  test("an abort rejects a blocked read at once, and closes its socket; closing the queue closes the other", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const queue = opened({ url: `redis://127.0.0.1:${proxy.port}` });
    const controller = new AbortController();
    const waiting = reading(queue, { signal: controller.signal }).raw().catch((error: unknown) => error);
    await eventually(async () => (await blocked(queue)) === 1);
    controller.abort("enough");
    expect(await waiting).toBe("enough");
    await eventually(() => proxy.open === 1);
    expect(await consumers(queue)).toEqual([]);
    await queue.close();
    await eventually(() => proxy.open === 0);
  });

  test("closing the queue closes the sockets of its readers too where the server says nothing any more", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const connectionName = names.name();
    const client = new Redis(`redis://127.0.0.1:${proxy.port}`, { lazyConnect: true, connectionName });
    const queue = redisStreams({ client, stream: names.name(), timeoutMs: 600_000 });
    const controller = new AbortController();
    const given = expect(reading(queue, { signal: controller.signal }).raw()).rejects.toBe("enough");
    const closed = expect(reading(queue).raw()).rejects.toMatchObject({ code: "closed" });
    await eventually(async () => (await blocked(queue)) === 2);
    proxy.faults.silent = "down"; // it hears the sockets end
    controller.abort("enough"); // this one leaves by itself
    await given;
    await queue.close();
    await closed;
    await eventually(async () => !String(await ask("CLIENT", "LIST")).includes(connectionName));
  });

  test.each(["redis", "ioredis"])("a way by %s that is closed while it connects leaves no connection open, however far it has come", async (kind) => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const address = `redis://127.0.0.1:${proxy.port}`;
    const settings = redisSettings("test", kind === "redis" ? { url: address } : { client: new Redis(address, { lazyConnect: true }) });
    for (let hops = 0; hops < 100; hops += 1) {
      const link = new Link(settings);
      const line = link.get().catch((error: unknown) => error);
      for (let hop = 0; hop < hops; hop += 1) await Promise.resolve();
      link.close();
      expect(await line).toMatchObject({ code: "closed" });
    }
    const last = new Link(settings);
    await last.get();
    last.close();
    expect(proxy.connections).toBeGreaterThan(10); // some of them had come so far
    await eventually(() => proxy.open === 0);
  });

  test("a message that another consumer has taken over is acknowledged by nobody else", async () => {
    await using queue = opened();
    const { id } = await queue.send([text("a")]);
    const delivery = await reading(queue).next();
    await ask("XCLAIM", queue.name, "millrace", "another", "0", id.slice(queue.name.length + 1), "JUSTID");
    await expect(delivery.ack()).rejects.toMatchObject({ code: "closed" });
    expect([await pending(queue), delivery.signal.aborted]).toEqual([1, true]);
  });

  test("what a reader fetched and nobody asked for in the time of its lease is the next one's, and no attempt", async () => {
    await using queue = opened({ leaseMs: 2_000 });
    for (const word of ["a", "b", "c", "d", "e"]) await queue.send([text(word)]);
    const { gaps, tell } = told();
    const slow = reading(queue, { maxInFlight: 5, tell });
    const first = await slow.next();
    expect(await consumersWith(queue)).toEqual([5]);
    await new Promise((resolve) => first.signal.addEventListener("abort", resolve, { once: true })); // its own lease is over
    await eventually(async () => (await consumersWith(queue)).join() === "1,4");
    const some = await reading(queue, { maxInFlight: 2 }).take(2);
    const others = await slow.take(3);
    expect([...some, ...others].map((delivery) => `${textsIn([delivery]).join()} ${delivery.attempt}`).sort()).toEqual(["a 2", "b 1", "c 1", "d 1", "e 1"]);
    expect(gaps).toEqual([]);
  }, 20_000);

  test("what a dead consumer of another program had comes after its lease, with its attempts", async () => {
    await using queue = opened({ leaseMs: 300 });
    await queue.send([text("a")]);
    await ask("XGROUP", "CREATE", queue.name, "millrace", "0");
    await ask("XREADGROUP", "GROUP", "millrace", "dead", "STREAMS", queue.name, ">");
    const delivery = await reading(queue).next();
    expect([textsIn([delivery]), delivery.attempt]).toEqual([["a"], 2]);
    await delivery.ack();
  });

  test("messages that were trimmed away while they were out are a gap of so many, and hold up nothing", async () => {
    await using queue = opened({ leaseMs: 300 });
    for (const word of ["a", "b", "c"]) await queue.send([text(word)]);
    await ask("XGROUP", "CREATE", queue.name, "millrace", "0");
    await ask("XREADGROUP", "GROUP", "millrace", "dead", "STREAMS", queue.name, ">");
    await ask("XTRIM", queue.name, "MAXLEN", "1");
    const { gaps, tell } = told();
    const delivery = await reading(queue, { tell }).next();
    expect([textsIn([delivery]), gaps]).toEqual([["c"], [expect.objectContaining({ kind: "gap", queue: queue.name, count: 2 })]]);
    await delivery.ack();
    expect(await pending(queue)).toBe(0);
  });

  test.each<[string, (delivery: Delivery, reader: Reading) => Promise<unknown>]>([
    ["given back", (delivery) => delivery.nack()],
    ["given back for later", (delivery) => delivery.nack({ delayMs: 3_600_000, counted: false })],
    ["prolonged", (delivery) => expect(delivery.extend?.(1_000)).rejects.toMatchObject({ code: "closed" })],
    ["left by its reader", (_, reader) => reader.leave()],
  ])("a message that was trimmed away while it was out and then is %s is a gap of one, and nothing waits for it", async (_, then) => {
    await using queue = opened();
    await queue.send([text("a")]);
    const { gaps, tell } = told();
    const reader = reading(queue, { tell });
    const delivery = await reader.next();
    await ask("XTRIM", queue.name, "MAXLEN", "0");
    await then(delivery, reader);
    await eventually(() => gaps.length > 0);
    expect(await ask("EXISTS", `{${queue.name}}:millrace:later`)).toBe(0);
    await queue.send([text("b")]);
    expect(textsIn(await reading(queue, { tell }).settle(1))).toEqual(["b"]);
    expect([gaps, await pending(queue)]).toEqual([[expect.objectContaining({ kind: "gap", queue: queue.name, count: 1 })], 0]);
  });

  test("a message for later that was trimmed away before anybody had it is a gap of one", async () => {
    await using queue = opened({ leaseMs: 300 });
    await ask("XGROUP", "CREATE", queue.name, "millrace", "0", "MKSTREAM");
    const at = String(Date.now() + 3_600_000);
    const group = new StreamGroup({ stream: queue.name, group: "millrace", start: "0", field: "body", leaseMs: 300, deadMs: 60_000, trim: true }, link);
    const id = String(await ask("XADD", queue.name, "*", "millrace:due", at, "body", "x"));
    const entries = await group.read(link, "me", 10, 0);
    await ask("XDEL", queue.name, id);
    expect([await group.postpone("me", entries), await pending(queue), await ask("EXISTS", `{${queue.name}}:millrace:later`)]).toEqual([1, 0, 0]);
  });

  test("a group that was destroyed is made again where it had come to, told as a gap, and nothing unsettled is lost", async () => {
    await using queue = opened({ trim: false });
    for (const word of ["a", "b", "c"]) await queue.send([text(word)]);
    const { gaps, tell } = told();
    const reader = reading(queue, { tell });
    const [a, b] = await reader.take(3);
    await a?.ack();
    // a reader notes now and then what the group has acknowledged
    await ask("SET", `{${queue.name}}:millrace:floor`, String(a?.id.slice(queue.name.length + 1)));
    await ask("XGROUP", "DESTROY", queue.name, "millrace");
    await queue.send([text("d")]);
    await expect(b?.ack()).rejects.toMatchObject({ code: "closed" });
    expect(textsIn(await reader.settle(3))).toEqual(["b", "c", "d"]);
    expect(gaps).toEqual([expect.objectContaining({ kind: "gap", reason: expect.stringContaining("made anew") })]);
  });

  test("a group that began with the newest is made again where it began: what was sent since is not skipped", async () => {
    await using queue = opened({ start: "newest", trim: false });
    await queue.send([text("before")]);
    const { gaps, tell } = told();
    const reader = reading(queue, { tell });
    const first = reader.next();
    await eventually(async () => (await blocked(queue)) === 1);
    for (const word of ["a", "b"]) await queue.send([text(word)]);
    await first;
    await ask("XGROUP", "DESTROY", queue.name, "millrace");
    await queue.send([text("c")]);
    expect(textsIn(await reader.settle(3))).toEqual(["a", "b", "c"]);
    expect(gaps).toEqual([expect.objectContaining({ kind: "gap", reason: expect.stringContaining("made anew") })]);
  });

  test.each(["the stream", "all that the group keeps"])("%s went and another has sent before a reader of the newest is back: it has the message, and tells a gap, also where it is a new one", async (what) => {
    await using queue = opened({ start: "newest" });
    const { gaps, tell } = told();
    const keys = what === "the stream" ? [queue.name] : ["", ":millrace:later", ":millrace:floor"].map((end) => (end === "" ? queue.name : `{${queue.name}}${end}`));
    const recreate = "redis.call('DEL', unpack(KEYS)) return redis.call('XADD', KEYS[1], '*', 'body', ARGV[1])"; // in one step, so that no reader comes between
    const go = (word: string): Promise<unknown> => ask("EVAL", recreate, String(keys.length), ...keys, JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: word }] }));
    const reader = reading(queue, { tell });
    const next = reader.next();
    await eventually(async () => (await blocked(queue)) === 1);
    await go("a");
    expect(textsIn([await next])).toEqual(["a"]);
    await reader.leave();
    await go("b");
    expect(textsIn(await reading(queue, { tell }).settle(1))).toEqual(["b"]);
    expect(gaps).toHaveLength(2);
  });

  test("a stream that was deleted under a waiting reader is made again, and told as a gap", async () => {
    await using queue = opened();
    const { gaps, tell } = told();
    const reader = reading(queue, { tell });
    const next = reader.next();
    await eventually(async () => (await blocked(queue)) === 1);
    await ask("DEL", queue.name);
    await queue.send([text("after")]);
    expect(textsIn([await next])).toEqual(["after"]);
    expect(gaps).toHaveLength(1);
  });

  test("a name of something else is a conflict of the dependency, to a sender and to a reader", async () => {
    await using queue = opened();
    await ask("SET", queue.name, "x");
    await expect(queue.send([])).rejects.toMatchObject({ code: "conflict", scope: "dependency" });
    await expect(reading(queue).raw()).rejects.toMatchObject({ code: "conflict", scope: "dependency" });
  });

  test("scripts that the server has forgotten are sent again", async () => {
    await using queue = opened();
    await queue.send([text("a")]);
    const delivery = await reading(queue).next();
    await ask("SCRIPT", "FLUSH");
    await delivery.ack();
    expect(await pending(queue)).toBe(0);
  });

  test("a body above the limit, and an entry without a body, are deliveries that say so", async () => {
    await using queue = opened();
    await put(queue, new Uint8Array(2_000_000));
    await ask("XADD", queue.name, "*", "order", "7");
    const deliveries = await reading(queue).settle(2);
    expect(deliveries.map(({ unreadable }) => unreadable?.code)).toEqual(["too_large", "invalid_input"]);
    expect(deliveries[1]?.parts).toMatchObject([{ kind: "bytes", bytes: new TextEncoder().encode('["order","7"]') }]);
  });

  test("what is sent twice under one name comes twice, and says so", async () => {
    await using queue = opened();
    for (let i = 0; i < 2; i += 1) await queue.send([text("a")], { id: "m-1" });
    const deliveries = await reading(queue).settle(2);
    expect(deliveries.map(({ messageId }) => messageId)).toEqual(["m-1", "m-1"]);
    expect(new Set(deliveries.map(({ id }) => id)).size).toBe(2);
  });

  test("a delayed message keeps its place among many, its id and its attempts, and outlives its reader", async () => {
    await using queue = opened();
    const late = await queue.send([text("late")], { delayMs: 400 });
    await queue.send([text("early")]);
    const first = reading(queue, { maxInFlight: 1 });
    expect(textsIn(await first.settle(1))).toEqual(["early"]);
    await first.leave();
    const delivery = await reading(queue).next();
    expect([delivery.id, delivery.attempt, textsIn([delivery])]).toEqual([late.id, 1, ["late"]]);
  });

  test("what waits is found again when the set that says when is lost", async () => {
    await using queue = opened({ leaseMs: 400 });
    await queue.send([text("a")]);
    const reader = reading(queue);
    await (await reader.next()).nack({ delayMs: 3_600_000 });
    await ask("DEL", `{${queue.name}}:millrace:later`);
    expect(textsIn([await reader.next()])).toEqual(["a"]);
  });

  test("takes away what all groups have acknowledged, and nothing that one of them has not", async () => {
    await using queue = opened();
    await using other = opened({ stream: queue.name, group: "other" });
    const slow = reading(other, { maxInFlight: 1 });
    await run(publish(queue, { concurrency: 100 }), Array.from({ length: 4_500 }, (_, i) => String(i))).collect();
    await slow.next();
    const all = async (it: Queue, count: number): Promise<void> => {
      const worker = consume(it, pipe(), undefined, { concurrency: 100, maxInFlight: 500 });
      await eventually(() => worker.counters.acked >= count);
      await worker.stop();
    };
    await all(queue, 4_500);
    expect(await ask("XLEN", queue.name)).toBe(4_500);
    await slow.leave();
    await all(other, 4_500);
    await eventually(async () => Number(await ask("XLEN", queue.name)) < 1_000);
  });

  test("a reader that leaves is no consumer of the group any more, and takes no other with it", async () => {
    await using queue = opened();
    await queue.send([text("a")]);
    const reader = reading(queue);
    await reader.next();
    for (const name of ["millrace-alive", "foreign"]) await ask("XGROUP", "CREATECONSUMER", queue.name, "millrace", name);
    expect(await consumers(queue)).toHaveLength(3);
    await reader.leave();
    await eventually(async () => (await consumers(queue)).join() === "foreign,millrace-alive,millrace:later");
    expect(await pending(queue)).toBe(1);
  });

  test("a send without an answer is interrupted, and one without a connection unavailable", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using queue = opened({ url: `redis://127.0.0.1:${proxy.port}` });
    await queue.send([]);
    proxy.faults.silent = "down";
    const sending = expect(queue.send([])).rejects.toMatchObject({ code: "interrupted", retryable: false });
    await eventually(async () => (await ask("XLEN", queue.name)) === 2);
    proxy.cut();
    await sending;
    proxy.faults.refuse = true;
    await expect(queue.send([])).rejects.toMatchObject({ code: "unavailable", retryable: true });
    expect(await ask("XLEN", queue.name)).toBe(2);
  });

  test("no error and no look at the queue shows the password", async () => {
    const { port } = new URL(url);
    await using queue = opened({ url: `redis://nobody:s3cret-canary@127.0.0.1:${port}` });
    const error: unknown = await queue.send([]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "unauthorized", service: "redis" });
    expect(`${inspect(error, { depth: 10, showHidden: true })}${inspect(queue, { depth: 10, showHidden: true })}`).not.toContain("canary");
  });
});

test.each<[string, object]>([
  ["stream", { stream: "a b" }],
  ["stream", { stream: "" }],
  ["group", { group: "a{b}" }],
  ["field", { field: "a\nb" }],
  ["leaseMs", { leaseMs: 10 }],
  ["start", { start: "0" }],
  ["url", { url: "https://127.0.0.1" }],
])("refuses a bad %s when it is built", (option, options) => {
  expect(() => redisStreams({ url: "redis://127.0.0.1", stream: "jobs", ...options })).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
});

test("a worker that asks for the order of keys is refused", async () => {
  await using queue = redisStreams({ url: "redis://127.0.0.1", stream: "jobs" });
  expect(() => consume(queue, pipe(), undefined, { ordering: "key" })).toThrow(expect.objectContaining({ code: "missing_config" }));
});
