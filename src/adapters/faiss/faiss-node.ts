/**
 * The graph of FAISS itself, by the package `faiss-node`.
 *
 * Source: https://github.com/ewfian/faiss-node/blob/main/lib/index.d.ts
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { EngineMaker } from "./engines.ts";
import { emptyGraph, type HnswOptions } from "./hnsw-graph.ts";
import type { VectorRows } from "./rows.ts";
import { hnswBytes } from "./write-index.ts";

/** What of the package is used. */
export interface FaissNode {
  readonly Index: { fromBuffer(bytes: Buffer): FaissNodeIndex };
}

interface FaissNodeIndex {
  ntotal(): number;
  add(numbers: number[]): void;
  search(vector: number[], limit: number): { readonly labels: readonly number[] };
  toBuffer(): Buffer;
}

/** Numbers that are handed over in one call: as an array, which is the only form it takes. */
const numbersPerCall = 100_000;

/** Loads the package. By a name that is no literal: it has to be compiled at install, so this project does without it and its types. */
export async function loadFaissNode(): Promise<FaissNode> {
  const name: string = "faiss-node";
  let loaded: { readonly default: unknown };
  try {
    loaded = (await import(name)) as { readonly default: unknown }; // CommonJS: all of it is the default
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") throw error;
    throw new MillraceError("missing_config", "faiss: faiss-node is there without its native part: its install script did not run, or a library is missing", { service: "faiss", cause: error });
  }
  if (isFaissNode(loaded.default)) return loaded.default;
  throw new MillraceError("missing_config", "faiss: the package faiss-node has no Index.fromBuffer", { service: "faiss" });
}

function isFaissNode(value: unknown): value is FaissNode {
  return typeof value === "object" && value !== null && "Index" in value && typeof value.Index === "function" && "fromBuffer" in value.Index;
}

/** An engine of it. It has no way to say how a graph is searched, but a file says it: so it begins with one, of no rows. */
export function faissEngine({ Index }: FaissNode, options: Required<HnswOptions>): EngineMaker {
  return (rows: VectorRows, graph) => {
    const { efConstruction, efSearch } = options;
    const index = Index.fromBuffer(Buffer.concat([...hnswBytes(rows, graph === undefined ? emptyGraph(options) : { ...graph, efConstruction, efSearch })]));
    const step = Math.max(1, Math.floor(numbersPerCall / rows.dimensions));
    return {
      extend() {
        for (let known = index.ntotal(); known < rows.count; known = index.ntotal()) {
          const numbers: number[] = [];
          for (let row = known; row < Math.min(known + step, rows.count); row += 1) for (const number of rows.at(row)) numbers.push(number);
          index.add(numbers);
        }
      },
      forget() {},
      near: (query, limit, isWanted) => (index.ntotal() === 0 ? [] : index.search([...query], Math.min(limit, index.ntotal())).labels.filter(isWanted)),
      index: () => [index.toBuffer()],
    };
  };
}
