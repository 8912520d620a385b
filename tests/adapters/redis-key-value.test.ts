import fc from "fast-check";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, describe, expect, it, test } from "vitest";
import { redisKeyValue, type RedisKeyValueOptions } from "../../src/adapters/redis/key-value.ts";
import type { MarkStore } from "../../src/kinds/key-value.ts";
import { advanceMarks, type MarkStep } from "../../src/kinds/marks.ts";
import { cache, rateLimit, run, text } from "../../src/index.ts";
import { keyValueContract } from "../../src/testing/contracts/key-value.ts";
import { service, titled } from "../services.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");
const unitMs = 3_600_000;
const units = (ms: number | undefined): number => Math.round((ms ?? 0) / unitMs);
const runs = Number(process.env.PROPERTY_RUNS ?? 200);

describe.skipIf(server.skip !== undefined)(titled("redisKeyValue", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  afterAll(() => names[Symbol.asyncDispose]());
  const opened = (options: Partial<RedisKeyValueOptions> = {}): MarkStore => redisKeyValue({ url, prefix: names.name(), ...options });

  keyValueContract({ describe, it }, { name: "redis", open: () => opened() });
  keyValueContract({ describe, it }, {
    name: "redis, by a client of ioredis",
    open: () => redisKeyValue({ client: new Redis(url, { lazyConnect: true }), prefix: names.name() }),
  });

  test("marks are moved as the reference moves them, whatever the steps", async () => {
    await using store = opened();
    const step = fc.record({ byMs: fc.integer({ min: -3, max: 5 }), atLeastMs: fc.integer({ min: 0, max: 3 }), withinMs: fc.option(fc.integer({ min: 8, max: 12 }), { nil: undefined }) });
    const steps = fc.dictionary(fc.constantFrom("a", "b", "c"), step, { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 8 }), async (moves) => {
        const key = crypto.randomUUID();
        const marks = new Map<string, number>();
        for (const move of moves) {
          const inUnits = Object.fromEntries(Object.entries(move).map(([name, { byMs, atLeastMs, withinMs }]): [string, MarkStep] => [
            name,
            // a quarter more: between two steps the store's time goes on
            { byMs: byMs * unitMs, atLeastMs: atLeastMs * unitMs, ...(withinMs === undefined ? {} : { withinMs: (withinMs + 0.25) * unitMs }) },
          ]));
          const expected = advanceMarks(marks, inUnits, 0);
          const got = await store.advance(key, inUnits);
          const inWhole = (aheadMs: Readonly<Record<string, number>>): Record<string, number> =>
            Object.fromEntries(Object.entries(aheadMs).map(([name, ms]) => [name, units(ms)] as const).filter(([, n]) => n !== 0));
          expect([got.taken, units(got.waitMs), inWhole(got.aheadMs)]).toEqual([expected.taken, units(expected.waitMs), inWhole(expected.aheadMs)]);
        }
      }),
      { numRuns: Math.min(runs, 60) },
    );
  });

  test("marks leave nothing behind once they are past, and values nothing after their time", async () => {
    const prefix = names.name();
    await using store = opened({ prefix });
    await store.advance("k", { short: { atLeastMs: 30 }, long: { atLeastMs: 60 } });
    await store.set("k", new Uint8Array(1), { ttlMs: 30 });
    await eventually(async () => (await ask("EXISTS", `${prefix}:m:k`, `${prefix}:v:k`)) === 0);
  });

  test("a Buffer whose bytes change before they are sent is stored as it was", async () => {
    await using store = opened();
    const value = Buffer.from([1]);
    const set = store.set("k", value); // there is no connection yet
    value[0] = 2;
    await set;
    expect(await store.get("k")).toEqual(Uint8Array.of(1));
  });

  test("a server that has forgotten the script gets it again", async () => {
    await using store = opened();
    await store.advance("k", { cells: { byMs: unitMs } });
    await ask("SCRIPT", "FLUSH");
    expect(units((await store.advance("k", { cells: { byMs: unitMs } })).aheadMs["cells"])).toBe(2);
  });

  test("rateLimit: two processes together make no more calls than the limit says", async () => {
    const prefix = names.name();
    await using one = opened({ prefix });
    await using two = opened({ prefix });
    let calls = 0;
    const process = (store: MarkStore): ReturnType<typeof rateLimit> =>
      rateLimit(async function* (input) {
        calls += 1;
        yield* input;
      }, { requests: 10, perMs: 10 * unitMs, waitMs: 1, store, key: ["service", "account", "model"], onStoreError: "fail", storeTimeoutMs: 60_000 });
    const [a, b] = [process(one), process(two)];
    const settled = await Promise.allSettled(Array.from({ length: 24 }, (_, i) => run(i % 2 === 0 ? a : b, "x").text()));
    expect(calls).toBe(10);
    for (const result of settled) if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "rate_limited", retryAfterMs: expect.any(Number) });
  });

  test("cache: what one process was answered, the other answers again", async () => {
    const prefix = names.name();
    await using one = opened({ prefix });
    await using two = opened({ prefix });
    let calls = 0;
    const process = (store: MarkStore): { readonly answer: ReturnType<typeof cache>; readonly stored: Promise<void> } => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const options = { scope: "public", store, secret: "0123456789abcdef", name: "shout", version: "1", storeTimeoutMs: 60_000 };
      const answer = cache(async function* (input) {
        calls += 1;
        for await (const part of input) yield text(part.kind === "text" ? part.text.toUpperCase() : "");
      }, { ...options, onEvent: ({ kind }) => kind === "stored" && resolve() });
      return { answer, stored: promise };
    };
    const [a, b] = [process(one), process(two)];
    expect(await run(a.answer, "hello").text()).toBe("HELLO");
    await a.stored;
    expect(await run(b.answer, "hello").text()).toBe("HELLO");
    expect(calls).toBe(1);
  });

  test("a connection that is cut or refused is unavailable, one that says nothing a timeout; the same store goes on, and comes back in no hurry", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    await using store = opened({ url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 300 });
    await store.set("x", Uint8Array.of(1));
    proxy.faults.silent = "both";
    await expect(store.get("x")).rejects.toMatchObject({ code: "timeout", retryable: true });
    proxy.heal();
    proxy.cut();
    await eventually(async () => store.get("x").then((value) => value !== undefined, () => false));
    proxy.faults.refuse = true;
    proxy.cut();
    const before = proxy.connections;
    for (let asked = 0; asked < 50; asked += 1) await expect(store.get("x")).rejects.toMatchObject({ code: "unavailable", retryable: true, service: "redis" });
    expect(proxy.connections - before).toBeLessThan(5);
    proxy.heal();
    let tries = 0;
    while ((await store.get("x").catch(() => undefined)) === undefined) {
      tries += 1;
      expect(tries).toBeLessThan(200);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  test("an abort rejects with its reason while a call waits, and closing ends it as closed and the connection with it", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const store = opened({ url: `redis://127.0.0.1:${proxy.port}` });
    await store.set("x", Uint8Array.of(1));
    proxy.faults.silent = "up";
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = expect(store.get("x", { signal: controller.signal })).rejects.toBe(reason);
    controller.abort(reason);
    await aborted;
    const waiting = expect(store.get("x")).rejects.toMatchObject({ code: "closed" });
    await new Promise((resolve) => setImmediate(resolve));
    await store.close();
    await waiting;
    proxy.heal();
    await eventually(() => proxy.open === 0);
  });

  test("a key of another type is a conflict of the whole store", async () => {
    const prefix = names.name();
    await using store = opened({ prefix });
    await ask("LPUSH", `${prefix}:v:x`, "1");
    await expect(store.get("x")).rejects.toMatchObject({ code: "conflict", scope: "dependency" });
  });

  test("goes by a client of redis that is not connected, which stays unused", async () => {
    const client = createClient({ url });
    await using store = redisKeyValue({ client, prefix: names.name() });
    await store.set("x", Uint8Array.of(7));
    expect([await store.get("x"), client.isOpen]).toEqual([Uint8Array.of(7), false]);
  });
});

test.each<[string, object]>([
  ["url", { url: "http://127.0.0.1" }],
  ["url", { url: "redis://" }],
  ["url", { url: "redis://:secret@127.0.0.1/x" }],
  ["url", { url: "redis://:secret%@127.0.0.1" }],
  ["prefix", { prefix: "a b" }],
  ["connectMs", { connectMs: 0 }],
  ["timeoutMs", { timeoutMs: 0.5 }],
  ["client", { url: undefined, client: {} }],
])("refuses a bad %s when it is built", (option, options) => {
  const build = (): unknown => redisKeyValue({ url: "redis://127.0.0.1", ...options });
  expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
  expect(build).not.toThrow(/secret/);
});

test("needs a url or a client, not both", () => {
  for (const options of [{}, { url: "redis://127.0.0.1", client: createClient() }]) {
    expect(() => redisKeyValue(options)).toThrow(expect.objectContaining({ code: "missing_config" }));
  }
});
