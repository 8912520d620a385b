import { describe, expect, it, test } from "vitest";
import { memoryKeyValue, memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { type KeyValueStore, MillraceError, run, text } from "../../src/index.ts";
import { cachedEmbedder, type EmbedCacheEvent } from "../../src/kinds/cached-embedder.ts";
import { embed, embeddingOf } from "../../src/kinds/embed.ts";
import { remember } from "../../src/kinds/remember.ts";
import { retrieve } from "../../src/kinds/retrieve.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { until } from "../delivery/support.ts";
import { gate } from "../streams/support.ts";
import { letters } from "./letters.ts";

const model = "letters-1";

embedderContract(
  { describe, it },
  { name: "cachedEmbedder", dimensions: 28, open: () => cachedEmbedder(letters(), { store: memoryKeyValue(), model }), meaningless: "it counts letters" },
);

/** A store that writes down its calls and may fail. */
function watched(fails: { get?: unknown; set?: unknown } = {}): KeyValueStore & { readonly keys: string[] } {
  const store = memoryKeyValue();
  const keys: string[] = [];
  return {
    ...store,
    keys,
    get: async (key, context) => (fails.get === undefined ? store.get(key, context) : Promise.reject(fails.get)),
    set: async (key, value, options) => {
      if (fails.set !== undefined) throw fails.set;
      keys.push(key);
      return store.set(key, value, options);
    },
  };
}

test("asks for each text once, in one call, and gives the vectors in the order of the texts", async () => {
  const inner = letters();
  const embedder = cachedEmbedder(inner, { store: memoryKeyValue(), model });
  const texts = ["one", "two", "one", "three", "two"];
  const expected = await letters().embed(texts);
  expect(await embedder.embed(texts)).toEqual(expected);
  expect(await embedder.embed([...texts, "four"])).toEqual([...expected, ...(await letters().embed(["four"]))]);
  expect(inner.calls).toEqual([["one", "two", "three"], ["four"]]);
});

test("another process, another model and other dimensions: what is shared is what is the same", async () => {
  const store = memoryKeyValue();
  const calls = async (name: string, inner = letters()): Promise<number> => {
    await cachedEmbedder(inner, { store, model: name }).embed(["one"]);
    return inner.calls.length;
  };
  expect([await calls("a"), await calls("a"), await calls("b")]).toEqual([1, 0, 1]);
  const shorter = letters();
  const unknown = { ...shorter, dimensions: undefined };
  await cachedEmbedder(unknown, { store, model: "a" }).embed(["one"]);
  expect(shorter.calls).toHaveLength(1);
});

test("calls at the same time ask for a text once", async () => {
  const door = gate();
  const inner = letters(async () => void (await door.promise));
  const events: string[] = [];
  const embedder = cachedEmbedder(inner, { store: memoryKeyValue(), model, onEvent: ({ kind }) => events.push(kind) });
  const both = Promise.all([embedder.embed(["one", "two"]), embedder.embed(["two", "three"])]);
  await until(() => events.length === 4);
  door.open();
  const [first, second] = await both;
  expect(first[1]).toEqual(second[0]);
  expect(first[1]).not.toBe(second[0]); // who changes one changes no other
  expect(inner.calls.flat().toSorted()).toEqual(["one", "three", "two"]); // whose hash is there first asks first
  expect(events.toSorted()).toEqual(["coalesced", "miss", "miss", "miss"]);
});

test("a call that fails fails for all who wait for it, and nothing of it is kept", async () => {
  let fails = true;
  const door = gate();
  const inner = letters(async () => {
    await door.promise;
    if (fails) throw new MillraceError("rate_limited", "slow down");
  });
  const store = watched();
  const events: string[] = [];
  const embedder = cachedEmbedder(inner, { store, model, onEvent: ({ kind }) => events.push(kind) });
  const both = [embedder.embed(["one"]), embedder.embed(["one"])].map((call) => call.then(() => "answered", (error: unknown) => error));
  await until(() => events.length === 2);
  door.open();
  const [first, second] = await Promise.all(both);
  expect(first).toMatchObject({ code: "rate_limited" });
  expect(second).toBe(first);
  expect([store.keys, inner.calls.length]).toEqual([[], 1]);
  fails = false;
  expect(await embedder.embed(["one"])).toHaveLength(1);
});

test("an answer that is no vectors is bad_response and is not kept", async () => {
  const store = watched();
  const broken = { ...letters(), embed: async () => [Float32Array.of(1, NaN)] };
  await expect(cachedEmbedder(broken, { store, model }).embed(["one"])).rejects.toMatchObject({ code: "bad_response" });
  expect(store.keys).toEqual([]);
});

test("who aborts gets the reason; who waits for the same text asks for it, and who waits hears its own abort", async () => {
  const doors = [gate(), gate()];
  const inner = letters(async (_, signal) => {
    const door = doors[inner.calls.length - 1];
    await new Promise<void>((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as unknown));
      void door?.promise.then(() => resolve());
    });
  });
  const events: string[] = [];
  const embedder = cachedEmbedder(inner, { store: memoryKeyValue(), model, onEvent: ({ kind }) => events.push(kind) });
  const [first, third] = [new AbortController(), new AbortController()];
  const reasons = [new Error("first"), new Error("third")];
  const calls = [embedder.embed(["one"], { signal: first.signal })];
  await until(() => inner.calls.length === 1); // whose hash is there first asks first
  calls.push(embedder.embed(["one"]), embedder.embed(["one"], { signal: third.signal }));
  const settled = Promise.allSettled(calls);
  await until(() => events.length === 3);
  expect(events).toEqual(["miss", "coalesced", "coalesced"]);
  third.abort(reasons[1]);
  await expect(calls[2]).rejects.toBe(reasons[1]);
  first.abort(reasons[0]);
  await expect(calls[0]).rejects.toBe(reasons[0]);
  await until(() => inner.calls.length === 2);
  expect(inner.calls).toEqual([["one"], ["one"]]);
  doors[1]?.open();
  expect((await settled).map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
});

test.each([
  ["fails to read", { get: new Error("down") }, 2],
  ["fails to write", { set: new Error("full") }, 2],
])("a store that %s costs a call of the embedder, and is told", async (_, fails, calls) => {
  const events: EmbedCacheEvent[] = [];
  const inner = letters();
  const embedder = cachedEmbedder(inner, { store: watched(fails), model, onEvent: (event) => events.push(event) });
  for (let i = 0; i < 2; i += 1) expect(await embedder.embed(["one"])).toEqual(await letters().embed(["one"]));
  expect(inner.calls).toHaveLength(calls);
  expect(events.filter(({ kind }) => kind === "store_failed").map(({ error }) => error)).toEqual([1, 2].map(() => Object.values(fails)[0]));
});

test.each([
  ["of another length", new Uint8Array(27 * 4)],
  ["of no numbers", new Uint8Array(0)],
  ["that are cut", new Uint8Array(28 * 4 - 1)],
  ["that are not finite", new Uint8Array(28 * 4).fill(0xff)],
])("bytes %s are a miss", async (_, bytes) => {
  const store = watched();
  const events: string[] = [];
  await cachedEmbedder(letters(), { store, model }).embed(["one"]);
  await store.set(store.keys[0] ?? "", bytes);
  const inner = letters();
  expect(await cachedEmbedder(inner, { store, model, onEvent: ({ kind }) => events.push(kind) }).embed(["one"])).toEqual(await letters().embed(["one"]));
  expect([inner.calls.length, events]).toEqual([1, ["corrupt"]]);
});

test("a vector is kept for ttlMs", async () => {
  const clock = fakeClock();
  const inner = letters();
  const embedder = cachedEmbedder(inner, { store: memoryKeyValue({ clock }), model, ttlMs: 1_000 });
  for (const ms of [0, 999, 1]) {
    await clock.advance(ms);
    await embedder.embed(["one"]);
  }
  expect(inner.calls).toHaveLength(2);
});

test("keys say nothing of the text, and tell all texts apart", async () => {
  const store = watched();
  await cachedEmbedder(letters(), { store, model }).embed(["secret words", "\ud800", "\ud801", "\ufffd"]);
  expect(new Set(store.keys).size).toBe(4);
  for (const key of store.keys) expect(key).toMatch(/^millrace:embed:[0-9a-f]{64}$/);
});

test("a listener that throws breaks nothing", async () => {
  const onEvent = (): never => {
    throw new Error("listener");
  };
  expect(await cachedEmbedder(letters(), { store: memoryKeyValue(), model, onEvent }).embed(["one"])).toHaveLength(1);
});

test("embed, remember and retrieve ask for a text once among them", async () => {
  const inner = letters();
  const embedder = cachedEmbedder(inner, { store: memoryKeyValue(), model });
  await using store = memoryVectorStore();
  const [part] = await run(embed(embedder), "one").collect();
  await run(remember(store, embedder), text("one", { metadata: { source: "a" } })).collect();
  await run(retrieve(store, embedder), "one").collect();
  expect(part === undefined ? undefined : embeddingOf(part)).toHaveLength(28);
  expect(inner.calls).toEqual([["one"]]);
});

test("closes itself and neither embedder nor store; refuses bad options when it is built", async () => {
  const [inner, store] = [letters(), memoryKeyValue()];
  await cachedEmbedder(inner, { store, model }).close();
  expect(await inner.embed(["one"])).toHaveLength(1);
  expect(await store.get("a")).toBeUndefined();
  for (const options of [{ model: "" }, { store: {} }, { ttlMs: 0 }, { concurrency: 0 }, { onEvent: 1 }]) {
    expect(() => cachedEmbedder(inner, { store, model, ...options } as never)).toThrow(/^cachedEmbedder: (model|store|ttlMs|concurrency|onEvent) must be/);
  }
});
