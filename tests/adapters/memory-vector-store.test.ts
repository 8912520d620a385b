import { describe, expect, it, test } from "vitest";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import { vectorStoreContract } from "../../src/testing/contracts/vector-store.ts";

vectorStoreContract({ describe, it }, { name: "memory", open: (shape) => memoryVectorStore(shape), recall: 1 });

test("takes the dimensions of the first record, and keeps to them", async () => {
  await using store = memoryVectorStore();
  expect(store.dimensions).toBeUndefined();
  await store.upsert([{ id: "a", vector: Float32Array.of(1, 2) }]);
  expect(store.dimensions).toBe(2);
  await expect(store.upsert([{ id: "b", vector: Float32Array.of(1, 2, 3) }])).rejects.toMatchObject({ code: "invalid_input" });
});

test("holds a copy of each vector", async () => {
  await using store = memoryVectorStore();
  const vector = Float32Array.of(1, 0);
  await store.upsert([{ id: "a", vector }]);
  vector.fill(-1);
  expect((await store.query({ vector: Float32Array.of(1, 0), limit: 1 }))[0]?.score).toBeCloseTo(1);
});

test("refuses an unknown metric and dimensions below one", () => {
  expect(() => memoryVectorStore({ metric: "manhattan" as never })).toThrow(/metric must be cosine, dot or l2, got "manhattan"/);
  expect(() => memoryVectorStore({ metric: "toString" as never })).toThrow(/metric/);
  expect(() => memoryVectorStore({ dimensions: 0 })).toThrow(/dimensions must be a whole number from 1, got number 0/);
});

test("ranks a rarer word above a common one, and a short text above a long one with the same word", async () => {
  await using store = memoryVectorStore({ dimensions: 2 });
  const east = Float32Array.of(1, 0);
  const texts = { common: "the cat and the dog", rare: "the axolotl", long: "an axolotl among many other words that say nothing of it at all" };
  await store.upsert([
    ...Array.from({ length: 20 }, (_, i) => ({ id: `filler${i}`, vector: Float32Array.of(0, 1), text: "the the the" })),
    ...Object.entries(texts).map(([id, text]) => ({ id, vector: east, text })),
  ]);
  const ranked = await store.query({ vector: Float32Array.of(0, 1), text: "the axolotl", limit: 23 });
  const place = (id: string): number => ranked.findIndex((match) => match.id === id);
  expect(place("rare")).toBeLessThan(place("long"));
  expect(place("rare")).toBeLessThan(place("common"));
});
