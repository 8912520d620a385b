import { expect, test } from "vitest";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { bytes, type Part, run, text } from "../../src/index.ts";
import { namespaced } from "../../src/kinds/namespaced.ts";
import { forget, remember } from "../../src/kinds/remember.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { texts } from "../streams/support.ts";
import { letters } from "./letters.ts";

const chunk = (source: string, content: string, metadata: object = {}): Part => text(content, { metadata: { ...metadata, source } });

/** All that is stored, as `source: texts in order`. */
async function contents(store: VectorStore): Promise<Record<string, string[]>> {
  const found = await store.query({ vector: new Float32Array(28).fill(1), limit: 1_000 });
  const bySource: Record<string, string[]> = {};
  const ordered = found.sort((a, b) => Number(a.metadata["chunk"]) - Number(b.metadata["chunk"]));
  for (const { metadata, text: content } of ordered) (bySource[String(metadata["source"])] ??= []).push(content ?? "");
  return bySource;
}

/** The same store without the swap, and with a word in before each write. */
function stepwise(store: VectorStore, before: (call: string) => void = () => {}): VectorStore {
  const { replace: _, ...rest } = store;
  return {
    ...rest,
    dimensions: store.dimensions,
    lacks: { replace: "left out by the test" },
    upsert: async (records, context) => (before(`upsert ${records.map(({ metadata }) => metadata?.["chunk"]).join(" ")}`), store.upsert(records, context)),
    delete: async (selection, context) => (before("delete"), store.delete(selection, context)),
  };
}

test("stores chunks with their source, and hands them on in their places", async () => {
  await using store = memoryVectorStore();
  const picture = bytes(Uint8Array.of(1), "image/png");
  const parts = await run(remember(store, letters()), [picture, chunk("a", "one"), picture, chunk("a", "two"), text(" "), chunk("b", "three")]).collect();
  expect(texts(parts)).toEqual(["bytes", "one", "bytes", "two", " ", "three"]);
  expect(parts[1]?.metadata.stored).toEqual({ id: expect.any(String), source: "a", changed: true });
  expect(await contents(store)).toEqual({ a: ["one", "two"], b: ["three"] });
  const [entry] = await store.get([(parts.at(3)?.metadata.stored as { id: string } | undefined)?.id ?? ""]);
  expect(entry).toMatchObject({ text: "two", metadata: { source: "a", chunk: 1, chunks: 2 } });
});

test("skips sources that have not changed, and stores those that have", async () => {
  await using store = memoryVectorStore();
  const embedder = letters();
  const ingest = remember(store, embedder);
  await run(ingest, [chunk("a", "one"), chunk("a", "two"), chunk("b", "three")]).collect();
  const again = await run(ingest, [chunk("a", "one"), chunk("a", "two"), chunk("b", "four")]).collect();
  expect(again.map(({ metadata }) => (metadata.stored as { changed: boolean }).changed)).toEqual([false, false, true]);
  expect(embedder.calls).toEqual([["one", "two", "three"], ["four"]]);
  expect(await contents(store)).toEqual({ a: ["one", "two"], b: ["four"] });
});

test.each([
  ["a changed text", [chunk("a", "one"), chunk("a", "2")], {}],
  ["a chunk less", [chunk("a", "one")], {}],
  ["a chunk more", [chunk("a", "one"), chunk("a", "two"), chunk("a", "three")], {}],
  ["another order", [chunk("a", "two"), chunk("a", "one")], {}],
  ["the same text cut elsewhere", [chunk("a", "onetw"), chunk("a", "o")], {}],
  ["changed metadata", [chunk("a", "one", { lang: "de" }), chunk("a", "two")], {}],
  ["another version", [chunk("a", "one"), chunk("a", "two")], { version: "2" }],
])("%s replaces all chunks of the source", async (_, parts, options) => {
  for (const wrapped of [false, true]) {
    await using store = memoryVectorStore();
    const target = wrapped ? stepwise(store) : store;
    await run(remember(target, letters()), [chunk("a", "one"), chunk("a", "two"), chunk("b", "other")]).collect();
    await run(remember(target, letters(), options), parts).collect();
    expect(await contents(store)).toEqual({ a: texts(parts), b: ["other"] });
  }
});

test("the same content has the same ids in every run", async () => {
  const ids = async (): Promise<unknown[]> => {
    await using store = memoryVectorStore();
    const parts = await run(remember(store, letters()), [chunk("a", "one"), chunk("a", "one")]).collect();
    return parts.map(({ metadata }) => (metadata.stored as { id: string }).id);
  };
  const first = await ids();
  expect(new Set(first).size).toBe(2);
  expect(await ids()).toEqual(first);
});

test("a crash between any two writes of a store without the swap is repaired by the next run, and never passes for stored", async () => {
  const v1 = [chunk("a", "one"), chunk("a", "two"), chunk("a", "three")];
  const v2 = [chunk("a", "uno"), chunk("a", "due")];
  for (let crashAt = 1; crashAt <= 4; crashAt += 1) {
    await using store = memoryVectorStore();
    await run(remember(store, letters()), v1).collect();
    let writes = 0;
    const dying = stepwise(store, () => {
      writes += 1;
      if (writes === crashAt) throw new Error("killed");
    });
    await expect(run(remember(dying, letters()), v2).collect()).rejects.toThrow("killed");
    const embedder = letters();
    await run(remember(stepwise(store), embedder), v2).collect();
    expect(embedder.calls).toHaveLength(1); // it did not take the half for the whole
    expect(await contents(store)).toEqual({ a: ["uno", "due"] });
  }
});

test("a store without the swap gets the first chunk last, after the old ones are gone", async () => {
  await using store = memoryVectorStore();
  const calls: string[] = [];
  await run(remember(stepwise(store, (call) => calls.push(call)), letters()), [chunk("a", "1"), chunk("a", "2"), chunk("a", "3")]).collect();
  expect(calls).toEqual(["upsert 1 2", "delete", "delete", "upsert 0"]); // first the old mark, then the old chunks
});

test("a source that is not read to its end is not stored", async () => {
  await using store = memoryVectorStore();
  async function* broken(): AsyncGenerator<Part> {
    yield chunk("a", "whole");
    yield chunk("b", "half");
    throw new Error("the disk is gone");
  }
  await expect(run(remember(store, letters(), { batch: 1 }), broken()).collect()).rejects.toThrow("the disk is gone");
  expect(await contents(store)).toEqual({ a: ["whole"] });
});

test("an embedder that fails leaves what was stored before", async () => {
  await using store = memoryVectorStore();
  await run(remember(store, letters()), [chunk("a", "old")]).collect();
  const failing = letters(() => {
    throw new Error("no quota");
  });
  await expect(run(remember(store, failing), [chunk("a", "new"), chunk("b", "new")]).collect()).rejects.toThrow("no quota");
  expect(await contents(store)).toEqual({ a: ["old"] });
});

test("gathers small sources into full calls, and splits a large one", async () => {
  await using store = memoryVectorStore();
  const embedder = letters();
  const parts = [...["a", "b", "c", "d"].map((name) => chunk(name, name)), ...["x1", "x2", "x3", "x4", "x5"].map((content) => chunk("x", content))];
  await run(remember(store, embedder, { batch: 2, concurrency: 2 }), parts).collect();
  expect(embedder.calls).toEqual([["a", "b"], ["c", "d"], ["x1", "x2"], ["x3", "x4"], ["x5"]]);
  expect((await contents(store))["x"]).toEqual(["x1", "x2", "x3", "x4", "x5"]);
});

test("reads no further ahead than its batch, and hands on what is stored", async () => {
  await using store = memoryVectorStore();
  let read = 0;
  async function* many(): AsyncGenerator<Part> {
    for (; read < 100; ) {
      read += 1;
      yield chunk(`s${read}`, `text ${read}`);
    }
  }
  for await (const part of run(remember(store, letters(), { batch: 4 }), many())) {
    expect(texts([part])).toEqual(["text 1"]);
    break;
  }
  expect(read).toBe(5); // the fifth shows that the fourth source has ended
});

test("takes the source from files, web pages or a function, and refuses chunks without one", async () => {
  await using store = memoryVectorStore();
  const parts = [text("f", { metadata: { file: { path: "a/b.txt" } } }), text("w", { metadata: { web: { uri: "https://example.test/" } } })];
  await run(remember(store, letters()), parts).collect();
  await run(remember(store, letters(), { source: (part) => `page ${String(part.metadata.page)}` }), [text("p", { metadata: { page: 7 } })]).collect();
  expect(await contents(store)).toEqual({ "a/b.txt": ["f"], "https://example.test/": ["w"], "page 7": ["p"] });
  await expect(run(remember(store, letters()), ["nameless"]).collect()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("source") });
});

test("refuses a source that comes a second time, and one with too many chunks", async () => {
  await using store = memoryVectorStore();
  const ingest = remember(store, letters(), { maxChunks: 2 });
  await expect(run(ingest, [chunk("a", "1"), chunk("b", "2"), chunk("a", "3")]).collect()).rejects.toMatchObject({ code: "invalid_input" });
  await expect(run(ingest, [chunk("a", "1"), chunk("a", "2"), chunk("a", "3")]).collect()).rejects.toMatchObject({ code: "too_large" });
  expect(await contents(store)).toEqual({});
});

test("does not store vectors in metadata, nor metadata that is no JSON", async () => {
  await using store = memoryVectorStore();
  await run(remember(store, letters()), [chunk("a", "1", { embedding: Float32Array.of(1) })]).collect();
  expect(Object.keys((await store.query({ vector: new Float32Array(28).fill(1), limit: 1 }))[0]?.metadata ?? {}).sort()).toEqual(["chunk", "chunks", "source", "sourceHash", "sourceKey"]);
  await expect(run(remember(store, letters()), [chunk("b", "1", { open: () => {} })]).collect()).rejects.toMatchObject({ code: "invalid_input" });
});

test("keeps namespaces apart: the same source twice, one forgotten", async () => {
  await using store = memoryVectorStore();
  for (const namespace of ["ours", "theirs"]) await run(remember(store, letters(), { namespace }), [chunk("a", `text of ${namespace}`)]).collect();
  expect(await store.count()).toBe(2);
  await forget(store, ["a", "never"], { namespace: "ours" });
  expect(await contents(store)).toEqual({ a: ["text of theirs"] });
  await forget(store, ["a"]);
  expect(await store.count()).toBe(0);
});

test("removeMissing deletes what did not come, within the namespace, and only once the input has ended", async () => {
  for (const wrapped of [false, true]) {
    await using store = memoryVectorStore();
    const target = wrapped ? stepwise(store) : store;
    const names = Array.from({ length: 250 }, (_, i) => `s${i}`);
    const ingest = (namespace: string, sources: readonly string[], removeMissing = true): Promise<unknown> =>
      run(remember(target, letters(), { namespace, removeMissing }), sources.map((name) => chunk(name, name))).collect();
    await ingest("ours", names);
    await ingest("theirs", ["s1", "s2"]);
    await ingest("ours", ["s3"], false);
    expect(await store.count()).toBe(252);
    async function* broken(): AsyncGenerator<Part> {
      yield chunk("s1", "s1");
      throw new Error("the disk is gone");
    }
    await expect(run(remember(target, letters(), { namespace: "ours", removeMissing: true }), broken()).collect()).rejects.toThrow("the disk is gone");
    for await (const _ of run(remember(target, letters(), { namespace: "ours", removeMissing: true, batch: 1 }), [chunk("s1", "s1"), chunk("s2", "s2")])) break;
    expect(await store.count()).toBe(252);
    const kept = names.filter((_, i) => i % 2 === 0);
    await ingest("ours", [...kept, "new"]);
    expect(Object.keys(await contents(namespaced(store, "ours"))).sort()).toEqual([...kept, "new"].sort());
    expect(Object.keys(await contents(namespaced(store, "theirs"))).sort()).toEqual(["s1", "s2"]);
    await ingest("ours", []);
    expect(await store.count()).toBe(2);
  }
});

test("removeMissing leaves records that remember did not store", async () => {
  await using store = memoryVectorStore();
  await store.upsert([{ id: "own", vector: new Float32Array(28).fill(1), text: "own", metadata: { source: "own" } }]);
  await run(remember(store, letters(), { removeMissing: true }), [chunk("a", "1")]).collect();
  expect(await contents(store)).toEqual({ a: ["1"], own: ["own"] });
});

test("an abort while a call is in progress stores nothing", async () => {
  await using store = memoryVectorStore();
  const controller = new AbortController();
  const reason = new Error("enough");
  const embedder = letters(async (_, signal) => {
    controller.abort(reason);
    signal?.throwIfAborted();
  });
  await expect(run(remember(store, embedder), [chunk("a", "1")], { signal: controller.signal }).collect()).rejects.toBe(reason);
  expect(await store.count()).toBe(0);
});

test("refuses bad options, and an embedder whose vectors cannot fit, when it is built", () => {
  const store = memoryVectorStore();
  for (const options of [{ batch: 0 }, { concurrency: 0 }, { maxChunks: 0 }, { namespace: "a/b" }, { namespace: "" }, { removeMissing: 1 as never }]) {
    expect(() => remember(store, letters(), options)).toThrow(/(batch|concurrency|maxChunks|namespace|removeMissing) must be/);
  }
  expect(() => remember(memoryVectorStore({ dimensions: 3 }), letters())).toThrow("memory holds vectors of 3 dimensions, the embedder makes 28");
});
