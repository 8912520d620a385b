/** Indexes of pgvector on a real server: what their options do, what they are called, and what a table says of itself. */
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { indexName } from "../../src/adapters/pgvector/statements.ts";
import { pgvector, type PgvectorOptions } from "../../src/adapters/pgvector/index.ts";
import type { VectorMetric, VectorStore } from "../../src/kinds/vector-store.ts";
import { randomVectors } from "../../src/testing/contracts/vector-cases.ts";
import { vectorStoreContract } from "../../src/testing/contracts/vector-store.ts";
import { type OwnDatabase, ownDatabase, service, titled } from "../services.ts";

const dimensions = 24;
const vectors = randomVectors(1_500, dimensions);
const queries = randomVectors(20, dimensions, 99);
const wide = { ivfflat: { lists: 30, probes: 30 }, hnsw: { m: 16, efConstruction: 100, efSearch: 500 } };

const server = await service("pgvector");
describe.skipIf(server.skip !== undefined)(titled("on Postgres", server), () => {
  let database: OwnDatabase;
  beforeAll(async () => {
    database = await ownDatabase(server.url ?? "");
    // the tables here are small, and the planner would not look at an index of them by itself
    await database.query(`alter database ${new URL(database.url).pathname.slice(1)} set enable_seqscan = off`);
  });
  afterAll(() => database[Symbol.asyncDispose]());

  let tables = 0;
  const open = (options: Partial<PgvectorOptions> = {}): VectorStore =>
    pgvector({ connectionString: database.url, connections: 2, table: `i${(tables += 1)}`, dimensions, ...options });
  const definitions = async (table: string): Promise<string[]> =>
    (await database.query("select indexdef from pg_indexes where tablename = $1 order by indexname", [table])).map(({ indexdef }) => String(indexdef));
  const filled = async (store: VectorStore): Promise<VectorStore> => {
    await store.setup();
    await store.upsert(vectors.map((vector, i) => ({ id: String(i), vector })));
    return store;
  };
  const answers = async (store: VectorStore): Promise<string[][]> => Promise.all(queries.map(async (vector) => (await store.query({ vector, limit: 10 })).map(({ id }) => id)));
  /** Share of the ten nearest that both find. */
  const recall = async (store: VectorStore, truth: readonly (readonly string[])[]): Promise<number> =>
    (await answers(store)).reduce((sum, found, at) => sum + found.filter((id) => truth[at]?.includes(id)).length, 0) / (queries.length * 10);

  vectorStoreContract(
    { describe, it },
    { name: "pgvector, ivfflat", open: (shape) => open({ ...shape, index: "ivfflat", ivfflat: { lists: 1 } }) },
  );

  test("more candidates and more lists find more: the options reach the index", async () => {
    await using exact = await filled(open({ index: "none" }));
    const truth = await answers(exact);
    for (const index of ["hnsw", "ivfflat"] as const) {
      const table = `of_${index}`;
      const narrow = { hnsw: { m: 2, efConstruction: 4, efSearch: 10 }, ivfflat: { lists: 30, probes: 1 } };
      await using few = await filled(open({ table, index, ...narrow }));
      await few.setup(); // an ivfflat index is made now that there are rows
      await using many = open({ table, index, ...narrow, [index]: { ...narrow[index], ...(index === "hnsw" ? { efSearch: 1_000 } : { probes: 30 }) } });
      const [least, most] = [await recall(few, truth), await recall(many, truth)];
      expect(least, index).toBeLessThan(0.9);
      expect(most, index).toBeGreaterThan(least + 0.1);
    }
    expect((await definitions("of_hnsw"))[0]).toMatch(/USING hnsw \(embedding vector_cosine_ops\) WITH \(m='2', ef_construction='4'\)/);
    expect((await definitions("of_ivfflat"))[0]).toMatch(/USING ivfflat \(embedding vector_cosine_ops\) WITH \(lists='30'\)/);
    await using good = await filled(open({ ...wide }));
    expect(await recall(good, truth)).toBeGreaterThan(0.95);
  });

  test("an ivfflat index waits until there are as many rows as lists; answers are exact until then", async () => {
    const store = open({ table: "waits", index: "ivfflat", ivfflat: { lists: 50 } });
    await store.setup();
    await store.upsert(vectors.slice(0, 49).map((vector, i) => ({ id: String(i), vector })));
    await store.setup();
    expect(await definitions("waits")).toHaveLength(3);
    expect(await store.query({ vector: vectors[7] ?? Float32Array.of(), limit: 1 })).toMatchObject([{ id: "7" }]);
    await store.upsert([{ id: "49", vector: vectors[49] ?? Float32Array.of() }]);
    await store.setup();
    expect(await definitions("waits")).toHaveLength(4);
    await store.close();
  });

  test("an ivfflat index finds what a filter lets through, however far it is", async () => {
    await using store = open({ index: "ivfflat", ivfflat: { lists: 20, probes: 1 }, metric: "l2" });
    await store.setup();
    await store.upsert(vectors.map((vector, i) => ({ id: String(i), vector, metadata: { n: i } })));
    await store.setup();
    const found = await store.query({ vector: vectors[1] ?? Float32Array.of(), limit: 10, filter: { lt: ["n", 3] } }); // a range, for which there is no other index
    expect(found.map(({ id }) => id).sort()).toEqual(["0", "1", "2"]);
    const distances = found.map(({ distance }) => distance ?? NaN);
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
  });

  test("tables with long names that begin alike have indexes of their own", async () => {
    const names = ["a", "b"].map((end) => `${"long_".repeat(12)}${end}`); // 61 characters
    for (const table of names) {
      await using store = open({ table });
      await store.setup();
    }
    for (const table of names) expect(await definitions(table), table).toHaveLength(4);
  });

  test.each(["hnsw", "ivfflat", "none"] as const)("a table of another metric is a conflict, with index %s, and is left as it is", async (index) => {
    const table = `metric_${index}`;
    await using made = open({ table, index });
    await made.setup();
    const before = await definitions(table);
    for (const metric of ["dot", "l2"] as const) {
      await using store = open({ table, index, metric });
      const message = expect.stringContaining(`made for the metric cosine, the options say ${metric}`);
      await expect(store.count()).rejects.toMatchObject({ code: "conflict", scope: "process", message });
      await expect(store.setup()).rejects.toMatchObject({ code: "conflict", message });
    }
    expect(await definitions(table)).toEqual(before);
    await using same = open({ table, index: "none" });
    await same.setup();
    expect(await same.count()).toBe(0);
  });

  test("a table that somebody else made says its metric by its index, and one without may have any", async () => {
    await database.query(`create extension if not exists vector`);
    await database.query(`create table theirs (id text primary key, embedding halfvec(${dimensions}) not null, text text, metadata jsonb not null default '{}')`);
    const as = (metric: VectorMetric): VectorStore => open({ table: "theirs", precision: "half", language: false, metric });
    await using any = as("cosine");
    expect(await any.count()).toBe(0);
    await database.query("create index on theirs using hnsw (embedding halfvec_l2_ops)");
    await using differs = as("dot");
    await expect(differs.count()).rejects.toMatchObject({ code: "conflict" });
    await using fits = as("l2");
    expect(await fits.count()).toBe(0);
  });

  test("of ties at the limit the first by id are in, where every row is looked at", async () => {
    await using store = open({ index: "none" });
    await store.setup();
    const vector = new Float32Array(dimensions).fill(1);
    for (let i = 29; i >= 0; i -= 1) await store.upsert([{ id: `t${String(i).padStart(2, "0")}`, vector, text: "same" }]);
    const five = ["t00", "t01", "t02", "t03", "t04"];
    expect((await store.query({ vector, limit: 5 })).map(({ id }) => id)).toEqual(five);
    expect((await store.query({ vector, limit: 5, text: "same" })).map(({ id }) => id)).toEqual(five);
  });
});

test("names of indexes keep to 63 bytes, and short tables keep theirs", () => {
  expect(indexName("notes", "embedding")).toBe("notes_embedding");
  const names = ["a", "b"].map((end) => indexName("x".repeat(62) + end, "embedding"));
  expect(names.map((name) => name.length)).toEqual([63, 63]);
  expect(names[0]).not.toBe(names[1]);
});

test("refuses options that no index takes, when it is built", () => {
  const options = { table: "t", dimensions: 3, connectionString: "postgres://localhost/none" };
  for (const bad of [{ hnsw: { efSearch: 0 } }, { hnsw: { efSearch: 1_001 } }, { hnsw: { m: 1 } }, { hnsw: { m: 16, efConstruction: 31 } }, { ivfflat: { lists: 0 } }, { ivfflat: { lists: 10, probes: 11 } }, { index: "flat" }]) {
    expect(() => pgvector({ ...options, ...bad } as PgvectorOptions)).toThrow(/^pgvector: (hnsw\.(m|efConstruction|efSearch)|ivfflat\.(lists|probes)|index) must be/);
  }
  expect(() => pgvector({ ...options, dimensions: 2_001, index: "ivfflat" })).toThrow(/precision "half"/);
});
