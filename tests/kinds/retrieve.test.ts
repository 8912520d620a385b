import { describe, expect, it, test } from "vitest";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { image, isText, run, text } from "../../src/index.ts";
import { namespaced } from "../../src/kinds/namespaced.ts";
import { compareIds, fuseRanks } from "../../src/kinds/rank-fusion.ts";
import { retrieve } from "../../src/kinds/retrieve.ts";
import type { VectorFilter } from "../../src/kinds/vector-filter.ts";
import type { VectorRecord, VectorStore } from "../../src/kinds/vector-store.ts";
import { vectorStoreContract } from "../../src/testing/contracts/vector-store.ts";
import { texts } from "../streams/support.ts";
import { letters } from "./letters.ts";

// The view of one namespace is a store like any other.
vectorStoreContract({ describe, it }, { name: "namespaced", open: (shape) => namespaced(memoryVectorStore(shape), "tenant-1"), recall: 1 });

async function filled(): Promise<VectorStore> {
  const store = memoryVectorStore();
  const words = { cab: "car park", bac: "back", zoo: "zoo", zzz: "zzz" };
  const vectors = await letters().embed(Object.values(words));
  const records = Object.entries(words).map(([id, word], i): VectorRecord => ({
    id,
    vector: vectors[i] ?? Float32Array.of(),
    text: word,
    metadata: { source: `${id}.txt`, lang: id.startsWith("z") ? "de" : "en" },
  }));
  await store.upsert(records);
  return store;
}

test("puts the nearest before each text, closest first, and says what they are", async () => {
  const parts = await run(retrieve(await filled(), letters(), { limit: 2 }), ["zo", "back"]).collect();
  expect(texts(parts)).toEqual(["zoo", "zzz", "zo", "back", "car park", "back"]);
  expect(parts[0]?.metadata).toMatchObject({ lang: "de", match: { id: "zoo", source: "zoo.txt", score: expect.any(Number), distance: expect.any(Number) } });
  const [first, second] = parts.map(({ metadata }) => (metadata.match as { score: number } | undefined)?.score ?? NaN);
  expect(first).toBeGreaterThan(second ?? NaN);
  expect(parts.every((part) => part.role === "user")).toBe(true);
  expect(parts[2]?.metadata).toEqual({});
});

test("system texts, white space, other substreams and other kinds pass by", async () => {
  const embedder = letters();
  const others = [text("be brief", { role: "system" }), text(" \n"), text("aside", { substream: "notes" }), image(Uint8Array.of(1))];
  expect(await run(retrieve(await filled(), embedder), others).collect()).toEqual(others);
  expect(embedder.calls).toEqual([]);
});

test("filters, cuts by score, and keeps to the limit", async () => {
  const store = await filled();
  const found = async (options: Parameters<typeof retrieve>[2]): Promise<string[]> =>
    (await run(retrieve(store, letters(), options), ["back"]).collect()).slice(0, -1).map(({ metadata }) => String((metadata.match as { id: string }).id));
  expect(await found({ filter: { eq: ["lang", "de"] } })).toEqual(["zoo", "zzz"]);
  expect(await found({ minScore: 0.99 })).toEqual(["bac"]);
  expect(await found({ minScore: 2 })).toEqual([]);
  expect(await found({ limit: 3 })).toHaveLength(3);
});

test("hybrid lets a word decide where the vectors do not", async () => {
  const store = memoryVectorStore();
  const vector = (await letters().embed(["silent"]))[0] ?? Float32Array.of();
  await store.upsert([{ id: "1", vector, text: "listen" }, { id: "2", vector, text: "enlist" }, { id: "3", vector, text: "silent" }]);
  expect(texts(await run(retrieve(store, letters(), { limit: 1, hybrid: true }), ["silent"]).collect())).toEqual(["silent", "silent"]);
  expect(texts(await run(retrieve(store, letters(), { limit: 1 }), ["silent"]).collect())).toEqual(["listen", "silent"]);
});

test("a record without text comes as JSON of its metadata, and does not fail the query", async () => {
  const store = memoryVectorStore();
  const [vector] = await letters().embed(["a"]);
  await store.upsert([{ id: "bare", vector: vector ?? Float32Array.of(), metadata: { uri: "s3://b/k" } }]);
  const [match] = await run(retrieve(store, letters()), ["a"]).collect();
  expect(match).toMatchObject({ kind: "json", value: { uri: "s3://b/k" }, metadata: { uri: "s3://b/k", match: { id: "bare" } } });
});

test("several queries run at once, in the order of the input", async () => {
  const embedder = letters();
  const parts = await run(retrieve(await filled(), embedder, { limit: 1, concurrency: 3 }), ["zoo", "back", "zzz"]).collect();
  expect(texts(parts)).toEqual(["zoo", "zoo", "back", "back", "zzz", "zzz"]);
});

test("an embedder that answers no vector is bad_response, not an empty answer", async () => {
  const silent = { ...letters(), embed: async () => [] };
  await expect(run(retrieve(await filled(), silent), ["a"]).collect()).rejects.toMatchObject({ code: "bad_response" });
});

test("refuses bad options when it is built", async () => {
  const store = await filled();
  for (const limit of [0, -1, 1.5, 1_001]) expect(() => retrieve(store, letters(), { limit })).toThrow(/limit must be a whole number from 1 to 1000/);
  expect(() => retrieve(store, letters(), { filter: { $or: [] } as unknown as VectorFilter })).toThrow(/filter must be/);
  expect(() => retrieve(store, letters(), { minScore: NaN })).toThrow(/minScore/);
  expect(() => retrieve(store, letters(), { minScore: 0.5, hybrid: true })).toThrow(/exclude each other/);
  expect(() => retrieve({ ...store, lacks: { hybrid: "it has no text index" } }, letters(), { hybrid: true })).toThrow(/it has no text index/);
  expect(() => retrieve(memoryVectorStore({ dimensions: 5 }), letters())).toThrow("memory holds vectors of 5 dimensions, the embedder makes 28");
});

test("no filter and no id shows one namespace the records of another", async () => {
  const store = memoryVectorStore({ dimensions: 2 });
  const [ours, theirs] = [namespaced(store, "ours"), namespaced(store, "theirs")];
  const vector = Float32Array.of(1, 0);
  for (const [view, text] of [[ours, "mine"], [theirs, "secret"]] as const) await view.upsert([{ id: "1", vector, text, metadata: { kind: "x" } }]);
  await store.upsert([{ id: "1", vector, text: "nobody's" }]);
  let seed = 1;
  const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const values = ["ours", "theirs", "x", "1", true, 0] as const;
  const random = (depth: number): VectorFilter => {
    const field = ["namespace", "kind", "id", "__proto__"][next(4)] ?? "kind";
    const value = values[next(values.length)] ?? 0;
    const choice = next(depth > 0 ? 6 : 3);
    if (choice === 0) return { eq: [field, value] };
    if (choice === 1) return { ne: [field, value] };
    if (choice === 2) return { in: [field, [value, "theirs"]] };
    if (choice === 3) return { not: random(depth - 1) };
    return { [choice === 4 ? "and" : "or"]: [random(depth - 1), random(depth - 1)] } as unknown as VectorFilter;
  };
  let met = 0;
  for (let i = 0; i < 10_000; i += 1) {
    const filter = random(3);
    for (const match of await ours.query({ vector, limit: 10, filter })) {
      met += 1;
      expect([match.id, match.text, match.metadata]).toEqual(["1", "mine", { kind: "x" }]);
    }
  }
  expect(met).toBeGreaterThan(1_000); // the filters do let something through
  expect(await ours.get(["1", "theirs/1", "../theirs/1"])).toHaveLength(1);
  await ours.delete({ ids: ["theirs/1"] });
  await ours.delete({ filter: { or: [{ eq: ["namespace", "theirs"] }, { ne: ["namespace", "ours"] }] } });
  await ours.replace?.({ eq: ["kind", "x"] }, []);
  expect([await ours.count(), await theirs.count(), await store.count()]).toEqual([0, 1, 2]);
  await expect(ours.upsert([{ id: "2", vector, metadata: { namespace: "theirs" } }])).rejects.toMatchObject({ code: "invalid_input" });
});

test("fuses ranks by the sum of 1 / (60 + rank)", () => {
  expect(fuseRanks([["a", "b"], ["b", "c"]])).toEqual([
    { id: "b", score: 1 / 62 + 1 / 61 },
    { id: "a", score: 1 / 61 },
    { id: "c", score: 1 / 62 },
  ]);
  expect(fuseRanks([["b"], ["a"]]).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(fuseRanks([])).toEqual([]);
});

test("orders ids by code point, as UTF-8 does", () => {
  const ids = ["\u{1f600}", "\uffee", "a", "B", "ab", "é", ""];
  const encoder = new TextEncoder();
  const bytes = (id: string): string => Array.from(encoder.encode(id), (byte) => byte.toString(16).padStart(2, "0")).join("");
  expect([...ids].sort(compareIds)).toEqual([...ids].sort((a, b) => (bytes(a) < bytes(b) ? -1 : 1)));
});

test("a retrieved text is a text part", async () => {
  expect((await run(retrieve(await filled(), letters(), { limit: 1 }), ["zoo"]).collect()).every(isText)).toBe(true);
});
