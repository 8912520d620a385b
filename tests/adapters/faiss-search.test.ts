import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nearestRows } from "../../src/adapters/faiss/exact-search.ts";
import { heap } from "../../src/adapters/faiss/heap.ts";
import { emptyGraph } from "../../src/adapters/faiss/hnsw-graph.ts";
import { hnsw } from "../../src/adapters/faiss/hnsw.ts";
import { blockRows, distanceOf, type VectorRows, vectorRows } from "../../src/adapters/faiss/rows.ts";
import type { VectorMetric } from "../../src/kinds/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";

const runs = Number(process.env["PROPERTY_RUNS"] ?? 200);
const metrics: readonly VectorMetric[] = ["cosine", "dot", "l2"];
const rowsOf = (metric: VectorMetric, vectors: readonly Float32Array[]): VectorRows => {
  const rows = vectorRows("faiss", vectors[0]?.length ?? 1, metric);
  for (const vector of vectors) rows.append(vector);
  return rows;
};
/** By distance in double precision, and by number where that is the same. */
const ranked = (rows: VectorRows, query: Float32Array, of: readonly number[]): readonly number[] =>
  of.map((row) => ({ row, distance: distanceOf(rows.metric, query, rows.at(row)) })).sort((a, b) => a.distance - b.distance || a.row - b.row).map(({ row }) => row);
const all = (rows: VectorRows): readonly number[] => Array.from({ length: rows.count }, (_, row) => row);

describe("heap", () => {
  test("gives keys in their order, each with its value", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -20, max: 20 })), (keys) => {
        const it = heap();
        for (const [i, key] of keys.entries()) it.push(key, i);
        const given: number[] = [];
        while (it.size > 0) {
          const { key } = it;
          expect(keys[it.pop()]).toBe(key);
          given.push(key);
        }
        expect(given).toEqual(keys.toSorted((a, b) => a - b));
        expect([it.key, it.pop()]).toEqual([Number.POSITIVE_INFINITY, -1]);
      }),
      { numRuns: runs },
    );
  });
});

describe("nearestRows", () => {
  const numbers = fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.float({ noNaN: true, min: Math.fround(-1e4), max: Math.fround(1e4) }),
    fc.constantFrom(1e30, -1e30, 3e38, -3e38, 1e-30, 1e-45, 1_000, 1_000.0001),
  );
  const cases = fc
    .record({ dimensions: fc.integer({ min: 1, max: 40 }), count: fc.integer({ min: 1, max: 60 }) })
    .chain(({ dimensions, count }) => fc.array(fc.array(numbers, { minLength: dimensions, maxLength: dimensions }), { minLength: count + 1, maxLength: count + 1 }));

  test("holds the nearest that double precision knows, whatever single precision makes of the numbers", () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(...metrics), fc.integer({ min: 1, max: 20 }), (drawn, metric, limit) => {
        const [query = new Float32Array(1), ...vectors] = drawn.map((each) => Float32Array.from(each));
        const usable = (vector: Float32Array): boolean => metric !== "cosine" || vector.some((x) => x !== 0);
        fc.pre(usable(query) && vectors.every(usable));
        const rows = rowsOf(metric, vectors);
        const isWanted = (row: number): boolean => row % 3 !== 1;
        const found = ranked(rows, query, nearestRows(rows, query, limit, isWanted));
        const truth = ranked(rows, query, all(rows).filter(isWanted));
        expect(found.slice(0, limit)).toEqual(truth.slice(0, limit));
      }),
      { numRuns: runs },
    );
  });

  test("tells apart what single precision cannot", () => {
    // the same numbers in other orders: to one query as far as each other, but for the rounding of what is added first
    const vectors = Array.from({ length: 500 }, (_, i) => Float32Array.from({ length: 61 }, (_, j) => 1_000 + (((j * ((i % 60) + 1)) % 61) * 37) / 61));
    for (const metric of metrics) {
      const rows = rowsOf(metric, vectors);
      const query = new Float32Array(61).fill(-999.1);
      expect(ranked(rows, query, nearestRows(rows, query, 5, () => true)).slice(0, 5)).toEqual(ranked(rows, query, all(rows)).slice(0, 5));
    }
  });

  test("finds what is too large for single precision half way, and not at the end", () => {
    const large = new Float32Array(48);
    [large[0], large[16], large[32]] = [-2e38, -2e38, 3.4e38]; // the kernel adds these three to one sum, -6e37
    const rows = rowsOf("dot", [new Float32Array(48).fill(-5e36), large]);
    expect(ranked(rows, new Float32Array(48).fill(1), nearestRows(rows, new Float32Array(48).fill(1), 1, () => true))[0]).toBe(1);
  });

  test("looks again at few more than it was asked for", () => {
    const rows = rowsOf("cosine", randomVectors(5_000, 64));
    for (const query of randomVectors(20, 64, 2)) expect(nearestRows(rows, query, 10, () => true).length).toBeLessThan(15);
  });

  test("finds in every block of rows, and after the memory has grown", () => {
    const rows = rowsOf("l2", Array.from({ length: 2 * blockRows + 3 }, (_, i) => Float32Array.of(i, 1)));
    for (const row of [0, blockRows - 1, blockRows, 2 * blockRows, 2 * blockRows + 2]) {
      expect(nearestRows(rows, Float32Array.of(row, 1), 1, () => true)).toEqual([row]);
    }
  });
});

describe("vectorRows", () => {
  test("keeps vectors as they are, and under cosine at length 1", () => {
    const vector = Float32Array.of(3, 0, 4);
    expect([...rowsOf("l2", [vector]).at(0)]).toEqual([3, 0, 4]);
    expect([...rowsOf("cosine", [vector]).at(0)]).toEqual([...Float32Array.of(0.6, 0, 0.8)]);
  });

  test("copies a row over another, and puts the next one behind those that are left", () => {
    const rows = rowsOf("dot", [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)]);
    rows.copy(1, 0);
    rows.shorten(1);
    rows.append(Float32Array.of(7, 8, 9));
    expect([[...rows.at(0)], [...rows.at(1)]]).toEqual([[4, 5, 6], [7, 8, 9]]);
  });
});

describe("hnsw", () => {
  const options = { m: 8, efConstruction: 60, efSearch: 60 };

  for (const metric of metrics) {
    test(`leads to nearly all of the nearest by ${metric}, closest first, whether rows come at once or one by one`, () => {
      const vectors = randomVectors(2_000, 16);
      const rows = vectorRows("faiss", 16, metric);
      const it = hnsw(rows, emptyGraph(options));
      for (const [i, vector] of vectors.entries()) {
        rows.append(vector);
        if (i % 50 === 0 || i > 1_900) it.extend();
      }
      let hits = 0;
      for (const query of randomVectors(50, 16, 4)) {
        const found = it.near(query, 10, () => true);
        expect(found).toEqual(ranked(rows, query, found));
        const truth = ranked(rows, query, all(rows)).slice(0, 10);
        hits += found.filter((row) => truth.includes(row)).length;
      }
      expect(hits / 500).toBeGreaterThan(0.95);
    });
  }

  test("makes the same graph of the same rows", () => {
    const graphs = [1, 2].map(() => {
      const it = hnsw(rowsOf("l2", randomVectors(500, 8)), emptyGraph(options));
      it.extend();
      return it.graph;
    });
    expect(graphs[0]).toEqual(graphs[1]);
  });

  test("finds only what is wanted, by ways over what is not", () => {
    const rows = rowsOf("l2", randomVectors(2_000, 8));
    const it = hnsw(rows, emptyGraph(options));
    it.extend();
    for (const query of randomVectors(20, 8, 4)) {
      const found = it.near(query, 10, (row) => row % 10 === 0);
      expect(found.length).toBe(10);
      expect(found.filter((row) => row % 10 !== 0)).toEqual([]);
    }
  });

  test("never has more neighbours than there are places, none twice, none that is the row itself", () => {
    const it = hnsw(rowsOf("l2", Array.from({ length: 400 }, (_, i) => Float32Array.of(i % 7, i % 5))), emptyGraph({ m: 2, efConstruction: 10, efSearch: 10 }));
    it.extend();
    const { offsets, cumulative, levels, neighbors } = it.graph;
    for (let row = 0; row < 400; row += 1) {
      for (let level = 0; level < (levels[row] ?? 0); level += 1) {
        const list = [...neighbors.subarray((offsets[row] ?? 0) + (cumulative[level] ?? 0), (offsets[row] ?? 0) + (cumulative[level + 1] ?? 0))].filter((it) => it !== -1);
        expect(new Set(list).size).toBe(list.length);
        expect(list).not.toContain(row);
      }
    }
  });
});
