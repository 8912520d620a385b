/**
 * W11: the nearest of many vectors. Exact search against that of usearch, and what the options of a graph find.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exactSearch, Index, MetricKind, ScalarKind } from "usearch";
import type { HnswOptions } from "../../src/adapters/faiss/hnsw-graph.ts";
import { faiss } from "../../src/adapters/faiss/index.ts";
import { memoryVectorStore } from "../../src/adapters/memory/index.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";
import { established, type Result, type Variant } from "./measure.ts";
import type { Gate } from "./report.ts";

const peer = "usearch exactSearch, one thread";
const limit = 10;

async function filled(store: VectorStore, vectors: readonly Float32Array[]): Promise<VectorStore> {
  await store.upsert(vectors.map((vector, n) => ({ id: String(n), vector })));
  return store;
}

function flat(vectors: readonly Float32Array[], dimensions: number): Float32Array {
  const numbers = new Float32Array(vectors.length * dimensions);
  for (const [n, vector] of vectors.entries()) numbers.set(vector, n * dimensions);
  return numbers;
}

/** The same ten of `count` vectors by each; a part is a query. */
export async function exactVectors(count: number, dimensions: number): Promise<readonly Variant[]> {
  const vectors = randomVectors(count, dimensions);
  const queries = randomVectors(5, dimensions, 99);
  const numbers = flat(vectors, dimensions);
  const asked = async (store: VectorStore): Promise<string> => {
    const found: string[] = [];
    for (const vector of queries) found.push((await store.query({ vector, limit })).map(({ id }) => id).join(" "));
    return found.join("; ");
  };
  const own = await filled(faiss({ dimensions, metric: "l2" }), vectors);
  const reference = await filled(memoryVectorStore({ dimensions, metric: "l2" }), vectors);
  return [
    { name: "millrace", group: "push", parts: queries.length, run: () => asked(own) },
    {
      name: peer,
      group: "push",
      parts: queries.length,
      run: async () => queries.map((query) => [...exactSearch(numbers, query, dimensions, limit, MetricKind.L2sq, 1).keys].join(" ")).join("; "),
    },
    { name: "millrace, memoryVectorStore", group: "push", parts: queries.length, run: () => asked(reference) },
  ];
}

/** At least 80 % of the speed of usearch. */
export function vectorGate(workload: string, { samples }: Result): Gate {
  const own = samples.find(({ name }) => name === "millrace");
  const other = samples.find(({ name }) => name === peer);
  const value = own === undefined || other === undefined ? undefined : other.median / own.median;
  return {
    workload,
    what: `${peer} / millrace`,
    value,
    bound: ">= 0.8",
    holds: value === undefined ? undefined : value >= 0.8,
    established: own !== undefined && other !== undefined && established(own, other),
  };
}

/** What a graph found of the ten nearest, what a query of it took, and what building it took. */
interface Recall {
  readonly recall: number;
  readonly queryMs: number;
  readonly buildMs: number;
}

const widths = [16, 32, 64, 128, 256];
const shapes = [
  { m: 8, efConstruction: 40 },
  { m: 16, efConstruction: 64 },
  { m: 32, efConstruction: 40 },
  { m: 32, efConstruction: 100 },
];

/** A table of recall over the options of a graph, ours and usearch's, on numbers that have no structure: the hardest there are. */
export async function recallTable(count = 10_000, dimensions = 32): Promise<string> {
  const vectors = randomVectors(count, dimensions);
  const queries = randomVectors(200, dimensions, 99);
  const exact = await filled(faiss({ dimensions, metric: "l2" }), vectors);
  const truth: ReadonlySet<string>[] = [];
  for (const vector of queries) truth.push(new Set((await exact.query({ vector, limit })).map(({ id }) => id)));
  const recallOf = async (ask: (vector: Float32Array) => Promise<readonly string[]> | readonly string[], buildMs: number): Promise<Recall> => {
    const started = performance.now();
    let hits = 0;
    for (const [at, vector] of queries.entries()) hits += (await ask(vector)).filter((id) => truth[at]?.has(id) === true).length;
    return { recall: hits / (limit * queries.length), queryMs: (performance.now() - started) / queries.length, buildMs };
  };
  const lines = [
    `## W11: recall of the ten nearest among ${count.toLocaleString("en")} random vectors of ${dimensions} dimensions, l2`,
    "",
    "Each cell: share found, and ms a query. Both graphs hold the same vectors; usearch runs on one thread.",
    "",
    `| m | efConstruction | graph | build s | ${widths.map((width) => `efSearch ${width}`).join(" | ")} |`,
    `| ---: | ---: | --- | ---: | ${widths.map(() => "---:").join(" | ")} |`,
  ];
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  try {
    for (const shape of shapes) {
      const rows = { millrace: [] as Recall[], usearch: [] as Recall[] };
      const options = { path: join(folder, `${shape.m}-${shape.efConstruction}.faiss`), dimensions, metric: "l2", engine: "hnsw" } as const;
      const started = performance.now();
      const built = await filled(faiss({ ...options, hnsw: shape }), vectors);
      const buildMs = performance.now() - started;
      await built.close(); // so that each width opens the one graph
      for (const efSearch of widths) {
        const store = faiss({ ...options, hnsw: { ...shape, efSearch } });
        await store.setup();
        rows.millrace.push(await recallOf(async (vector) => (await store.query({ vector, limit })).map(({ id }) => id), buildMs));
        const peerIndex = usearchGraph(vectors, { ...shape, efSearch });
        rows.usearch.push(await recallOf((vector) => Array.from(peerIndex.index.search(vector, limit, 1).keys, String), peerIndex.buildMs));
      }
      for (const [name, cells] of Object.entries(rows)) {
        const seconds = (Math.min(...cells.map((cell) => cell.buildMs)) / 1_000).toFixed(1);
        lines.push(`| ${shape.m} | ${shape.efConstruction} | ${name} | ${seconds} | ${cells.map(({ recall, queryMs }) => `${recall.toFixed(3)}, ${queryMs.toFixed(2)}`).join(" | ")} |`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return [...lines, ""].join("\n");
}

/** It is told how to search when it is built. */
function usearchGraph(vectors: readonly Float32Array[], { m, efConstruction, efSearch }: Required<HnswOptions>): { readonly index: Index; readonly buildMs: number } {
  const dimensions = vectors[0]?.length ?? 0;
  const config = { dimensions, metric: MetricKind.L2sq, quantization: ScalarKind.F32, connectivity: m, expansion_add: efConstruction, expansion_search: efSearch, multi: false };
  const index = new Index(config);
  const started = performance.now();
  index.add(BigUint64Array.from(vectors, (_, n) => BigInt(n)), flat(vectors, dimensions), 1);
  return { index, buildMs: performance.now() - started };
}
