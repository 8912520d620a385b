/**
 * What the options of pgvector's indexes find: `node tests/bench/pgvector-recall.ts [vectors] [dimensions]` prints a table. It asks
 * the server of DATABASE_URL, or starts one.
 *
 * @module
 */
import pg from "pg";
import { pgvector, type PgvectorOptions } from "../../src/adapters/pgvector/index.ts";
import type { VectorStore } from "../../src/kinds/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";
import { openHost } from "../services/host.ts";
import { startPostgres } from "../services/postgres.ts";

const limit = 10;
const table = "millrace_recall";
const [count, dimensions] = [Number(process.argv[2] ?? 10_000), Number(process.argv[3] ?? 32)];

const host = process.env.DATABASE_URL === undefined ? openHost() : undefined;
const connectionString = process.env.DATABASE_URL ?? (host === undefined ? "" : (await startPostgres(host)).url);
const client = new pg.Client({ connectionString });
try {
  await client.connect();
  await client.query(`drop table if exists ${table}`);
  const vectors = randomVectors(count, dimensions);
  const queries = randomVectors(200, dimensions, 99);
  const opened = (options: Partial<PgvectorOptions>): VectorStore => pgvector({ connectionString, table, dimensions, metric: "l2", language: false, ...options });
  const found = async (store: VectorStore): Promise<ReadonlySet<string>[]> => {
    const answers: ReadonlySet<string>[] = [];
    for (const vector of queries) answers.push(new Set((await store.query({ vector, limit })).map(({ id }) => id)));
    return answers;
  };

  await using exact = opened({ index: "none" });
  await exact.setup();
  await exact.upsert(vectors.map((vector, n) => ({ id: String(n), vector })));
  const truth = await found(exact);

  /** Share of the ten nearest, and milliseconds of a query. */
  const measured = async (options: Partial<PgvectorOptions>): Promise<string> => {
    await using store = opened(options);
    await store.query({ vector: vectors[0] ?? new Float32Array(dimensions), limit }); // connects
    const started = performance.now();
    const answers = await found(store);
    const queryMs = (performance.now() - started) / queries.length;
    const hits = answers.reduce((sum, ids, at) => sum + [...ids].filter((id) => truth[at]?.has(id) === true).length, 0);
    return `${(hits / (limit * queries.length)).toFixed(3)}, ${queryMs.toFixed(2)}`;
  };
  const built = async (options: Partial<PgvectorOptions>): Promise<string> => {
    await client.query(`drop index if exists ${table}_embedding`);
    const started = performance.now();
    await using store = opened(options);
    await store.setup();
    await client.query(`analyze ${table}`);
    return ((performance.now() - started) / 1_000).toFixed(1);
  };
  const print = (...cells: readonly string[]): void => console.log(`| ${cells.join(" | ")} |`);

  console.log(`Recall of the ten nearest among ${count} random vectors of ${dimensions} dimensions, l2. A cell: share found, ms a query.\n`);
  const widths = [10, 40, 100, 200, 400];
  print("hnsw m", "efConstruction", "build s", ...widths.map((width) => `efSearch ${width}`));
  print("---:", "---:", "---:", ...widths.map(() => "---:"));
  for (const shape of [{ m: 8, efConstruction: 40 }, { m: 16, efConstruction: 64 }, { m: 16, efConstruction: 200 }, { m: 32, efConstruction: 100 }]) {
    const cells = [String(shape.m), String(shape.efConstruction), await built({ index: "hnsw", hnsw: shape })];
    for (const efSearch of widths) cells.push(await measured({ index: "hnsw", hnsw: { ...shape, efSearch } }));
    print(...cells);
  }
  const probed = [1, 5, 10, 20, 50];
  console.log();
  print("ivfflat lists", "build s", ...probed.map((probes) => `probes ${probes}`));
  print("---:", "---:", ...probed.map(() => "---:"));
  for (const lists of [50, 100, 200]) {
    const cells = [String(lists), await built({ index: "ivfflat", ivfflat: { lists } })];
    for (const probes of probed) cells.push(await measured({ index: "ivfflat", ivfflat: { lists, probes } }));
    print(...cells);
  }
  console.log(`\nEvery row looked at: ${await measured({ index: "none" })}`);
  await client.query(`drop table ${table}`);
} finally {
  await client.end();
  await host?.close();
}
