/**
 * What finds near rows without looking at all of them.
 *
 * @module
 */
import type { Index, MetricKind, ScalarKind } from "usearch";
import { emptyGraph, type HnswGraph, type HnswOptions } from "./hnsw-graph.ts";
import { hnsw } from "./hnsw.ts";
import type { VectorRows } from "./rows.ts";
import { hnswBytes } from "./write-index.ts";

/** An index over rows. */
export interface Engine {
  /** Takes in the rows that were appended since. */
  extend(): void;
  /** A row is not to be found any more; its number is not used again. */
  forget(row: number): void;
  /** Rows near a vector, of those wanted; fewer than `limit` where it knows of no more. */
  near(query: Float32Array, limit: number, isWanted: (row: number) => boolean): readonly number[];
  /** An index of FAISS over all rows, as the bytes of a file; absent where it has none. */
  readonly index?: () => Iterable<Uint8Array>;
}

/** Makes an engine over rows; of a graph that a file held, if it is one of those. */
export type EngineMaker = (rows: VectorRows, graph?: HnswGraph) => Engine;

/** The graph of this package. */
export function hnswEngine(options: Required<HnswOptions>): EngineMaker {
  return (rows, graph) => {
    const { efConstruction, efSearch } = options;
    const own = hnsw(rows, graph === undefined ? emptyGraph(options) : { ...graph, efConstruction, efSearch });
    return { extend: own.extend, near: own.near, forget() {}, index: () => hnswBytes(rows, own.graph) };
  };
}

/** What of `usearch` is used. */
export interface UsearchModule {
  readonly Index: typeof Index;
  readonly MetricKind: typeof MetricKind;
  readonly ScalarKind: typeof ScalarKind;
}

/** Numbers that are handed over in one call. */
const numbersPerCall = 1_000_000;

/** The graph of `usearch`: it holds the vectors once more, in its own memory. */
export function usearchEngine(usearch: UsearchModule, { m, efConstruction, efSearch }: Required<HnswOptions>): EngineMaker {
  return (rows) => {
    const { dimensions } = rows;
    const metric = { cosine: usearch.MetricKind.Cos, dot: usearch.MetricKind.IP, l2: usearch.MetricKind.L2sq }[rows.metric];
    const config = { dimensions, metric, quantization: usearch.ScalarKind.F32, connectivity: m, expansion_add: efConstruction, expansion_search: efSearch, multi: false };
    const index = new usearch.Index(config);
    let known = 0;
    return {
      extend() {
        const step = Math.max(1, Math.floor(numbersPerCall / dimensions));
        for (; known < rows.count; known = Math.min(known + step, rows.count)) {
          const keys = BigUint64Array.from({ length: Math.min(step, rows.count - known) }, (_, i) => BigInt(known + i));
          const vectors = new Float32Array(keys.length * dimensions);
          for (let i = 0; i < keys.length; i += 1) vectors.set(rows.at(known + i), i * dimensions);
          index.add(keys, vectors, 1);
        }
      },
      forget(row) {
        index.remove(BigInt(row));
      },
      near: (query, limit, isWanted) => (known === 0 ? [] : Array.from(index.search(query, limit, 1).keys, Number).filter(isWanted)),
    };
  };
}
