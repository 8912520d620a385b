import { describe, expect, it, test } from "vitest";
import * as usearch from "usearch";
import { usearchEngine } from "../../src/adapters/faiss/engines.ts";
import { loadFaissNode } from "../../src/adapters/faiss/faiss-node.ts";
import { vectorRows } from "../../src/adapters/faiss/rows.ts";
import { faiss, type FaissOptions } from "../../src/adapters/faiss/index.ts";
import { vectorStoreContract, type VectorStoreSubject } from "../../src/testing/contracts/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";

const lacks = { hybrid: "texts are kept, and not searched" };
const engines = ["exact", "hnsw", "usearch", "faiss"] as const;
/** The native part of `faiss-node` is compiled when it is installed; what is said where it is not there. */
const skip = await loadFaissNode().then(() => undefined, (error: Error) => error.message.split("\n")[0]);
const group = (engine: (typeof engines)[number], body: () => void): void => {
  const isMissing = engine === "faiss" && skip !== undefined;
  describe.skipIf(isMissing)(isMissing ? `faiss by faiss-node (skipped: ${skip})` : `faiss, ${engine}`, body);
};
const opening = (options: Partial<FaissOptions>): VectorStoreSubject["open"] => (shape) => faiss({ ...shape, ...options });
for (const engine of engines) {
  group(engine, () => vectorStoreContract({ describe, it }, { name: engine, open: opening({ engine }), lacks, ...(engine === "exact" ? { recall: 1 } : {}) }));
}

test("refuses bad options by name", () => {
  expect(() => faiss({ dimensions: 0 })).toThrow(/dimensions must be a whole number from 1/);
  expect(() => faiss({ dimensions: 2, metric: "toString" as never })).toThrow(/metric must be cosine, dot or l2, got "toString"/);
  expect(() => faiss({ dimensions: 2, engine: "ivf" as never })).toThrow(/engine must be exact, hnsw, usearch or faiss, got "ivf"/);
  expect(() => faiss({ dimensions: 2, path: "" })).toThrow(/path/);
  expect(() => faiss({ dimensions: 2, path: "a\0b" })).toThrow(/path/);
  expect(() => faiss({ dimensions: 2, hnsw: { m: 1 } })).toThrow(/hnsw\.m must be a whole number from 2 to 256/);
  expect(() => faiss({ dimensions: 2, hnsw: { efConstruction: 0 } })).toThrow(/hnsw\.efConstruction/);
  expect(() => faiss({ dimensions: 2, hnsw: { efSearch: 1.5 } })).toThrow(/hnsw\.efSearch/);
});

for (const engine of engines) {
  group(engine, () => {
    test("goes on finding the nearest while records are put over others and deleted many times", async () => {
      await using store = faiss({ dimensions: 8, engine, metric: "l2", hnsw: { m: 8, efSearch: 100 } });
      const held = new Map<string, Float32Array>();
      for (let round = 0; round < 12; round += 1) {
        const records = randomVectors(400, 8, round).map((vector, i) => ({ id: `r${(i * 11 + round * 90) % 700}`, vector, metadata: { round } }));
        await store.upsert(records);
        for (const { id, vector } of records) held.set(id, vector);
        const gone = Array.from({ length: 150 }, (_, i) => `r${(i * 3 + round) % 700}`);
        await store.delete({ ids: gone });
        for (const id of gone) held.delete(id);
        expect(await store.count()).toBe(held.size);
        const there = await store.get(Array.from({ length: 700 }, (_, i) => `r${i}`));
        expect(there.map(({ id }) => id).toSorted()).toEqual([...held.keys()].toSorted());
      }
      let hits = 0;
      for (const query of randomVectors(20, 8, 77)) {
        const truth = [...held].map(([id, vector]) => ({ id, distance: Math.hypot(...vector.map((x, i) => x - (query[i] ?? 0))) })).sort((a, b) => a.distance - b.distance);
        const found = await store.query({ vector: query, limit: 5 });
        hits += found.filter(({ id }) => truth.slice(0, 5).some((it) => it.id === id)).length;
        for (const { id, distance } of found) expect(distance).toBeCloseTo(truth.find((it) => it.id === id)?.distance ?? Number.NaN, 4);
      }
      expect(hits / 100).toBeGreaterThanOrEqual(engine === "exact" ? 1 : 0.95);
    });

    test("finds all there is when most of it was deleted", async () => {
      await using store = faiss({ dimensions: 4, engine, metric: "l2" });
      await store.upsert(randomVectors(600, 4).map((vector, i) => ({ id: String(i), vector, metadata: { keep: i % 60 === 0 } })));
      await store.delete({ filter: { eq: ["keep", false] } });
      expect((await store.query({ vector: new Float32Array(4).fill(0.1), limit: 100 })).length).toBe(10);
    });

    test("finds as much as ever after most of many was deleted and the rest has closed up", async () => {
      const options = { dimensions: 16, metric: "l2", engine, hnsw: { m: 8, efConstruction: 60, efSearch: 40 } } as const;
      await using store = faiss(options);
      await using fresh = faiss({ ...options, engine: "exact" });
      const records = randomVectors(4_000, 16).map((vector, i) => ({ id: String(i), vector, metadata: { keep: i % 4 === 0 } }));
      await store.upsert(records);
      await store.delete({ filter: { eq: ["keep", false] } });
      await fresh.upsert(records.filter(({ metadata }) => metadata.keep));
      let hits = 0;
      for (const vector of randomVectors(40, 16, 6)) {
        const truth = (await fresh.query({ vector, limit: 5 })).map(({ id }) => id);
        hits += (await store.query({ vector, limit: 5 })).filter(({ id }) => truth.includes(id)).length;
      }
      expect(hits / 200).toBeGreaterThan(0.9);
    });

    test("orders ties by id", async () => {
      await using store = faiss({ dimensions: 2, engine, metric: "l2" });
      await store.upsert(["c", "a", "d", "b"].map((id) => ({ id, vector: Float32Array.of(1, 1) })));
      expect((await store.query({ vector: Float32Array.of(1, 0), limit: 4 })).map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    });
  });
}

test("holds a copy of each vector", async () => {
  await using store = faiss({ dimensions: 2 });
  const vector = Float32Array.of(1, 0);
  await store.upsert([{ id: "a", vector }]);
  vector.fill(-1);
  expect((await store.query({ vector: Float32Array.of(1, 0), limit: 1 }))[0]?.score).toBeCloseTo(1);
});

test("stores nothing of records that came after the signal aborted, while others were being stored", async () => {
  await using store = faiss({ dimensions: 2 });
  const leaving = new AbortController();
  const first = store.upsert([{ id: "a", vector: Float32Array.of(1, 0) }]);
  const second = store.upsert([{ id: "b", vector: Float32Array.of(1, 0) }], { signal: leaving.signal });
  leaving.abort(new Error("enough"));
  await first;
  await expect(second).rejects.toThrow("enough");
  expect(await store.count()).toBe(1);
});

test("a row that was forgotten takes no place among the near ones of usearch", () => {
  const rows = vectorRows("faiss", 4, "l2");
  for (const vector of randomVectors(100, 4)) rows.append(vector);
  const engine = usearchEngine(usearch, { m: 16, efConstruction: 64, efSearch: 64 })(rows);
  engine.extend();
  for (let row = 0; row < 50; row += 1) engine.forget(row);
  expect(engine.near(new Float32Array(4), 20, (row) => row >= 50).length).toBe(20);
});

test.skipIf(skip === undefined)("says which package an engine needs", async () => {
  await using store = faiss({ dimensions: 2, engine: "faiss" });
  await expect(store.setup()).rejects.toMatchObject({ code: "missing_config", message: expect.stringContaining("faiss-node") });
});
