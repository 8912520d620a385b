/**
 * W12: reading and writing Postgres, against what one would write with `pg` by hand.
 *
 * @module
 */
import pg from "pg";
import QueryStream from "pg-query-stream";
import { postgres } from "../../src/adapters/postgres/index.ts";
import { json, type Part, run } from "../../src/index.ts";
import { insert } from "../../src/kinds/insert.ts";
import { rows } from "../../src/kinds/rows.ts";
import { openHost } from "../services/host.ts";
import { openServices } from "../services/registry.ts";
import type { Variant } from "./measure.ts";

const rowsRead = 100_000;
const rowsWritten = 20_000;
const batch = 1_000;
const query = `select n as id, 'name ' || n as name, n * 1.5::float8 as price, now() as at, n % 2 = 0 as even from generate_series(1, ${rowsRead}) as n`;
const columns = "id integer, name text, price float8, at timestamptz, about jsonb";

/** Who is compared with. */
export const queryStream = "pg-query-stream";
export const ownLoop = "a loop of multi-row inserts on pg";

/** A database for the workload. */
export interface SqlBench {
  readonly reading: readonly Variant[];
  readonly writing: readonly Variant[];
  close(): Promise<void>;
}

/** Opens one; the reason where there is no Postgres to be had. */
export async function sqlBench(): Promise<SqlBench | { readonly skip: string }> {
  const services = openServices(openHost);
  const server = await services.service("postgres");
  if (server.skip !== undefined) return { skip: server.skip };
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(`create temporary table by_hand (${columns})`);
  const sql = postgres({ client });
  const pool = postgres({ connectionString: server.url });
  const counted = async (read: AsyncIterable<unknown>, idOf: (row: unknown) => unknown): Promise<string> => {
    let count = 0;
    let sum = 0;
    for await (const row of read) {
      count += 1;
      sum += Number(idOf(row));
    }
    return `${count} rows, ids ${sum}`;
  };
  const stored = async (store: () => Promise<unknown>): Promise<string> => {
    await client.query("truncate by_hand");
    await store();
    const { rows: found } = await client.query<Record<string, unknown>>("select count(*) as n, sum(id) as ids, sum(price) as price, count(about) as about from by_hand");
    return JSON.stringify(found);
  };
  // one of each stays open all the while, as in a service that has others in progress: else each collection makes the engine forget
  // what it had compiled
  const open = run(rows(pool, { text: query }), "go")[Symbol.asyncIterator]();
  const variant = (name: string, parts: number, work: () => Promise<string>): Variant => ({ name, group: "for await", parts, run: work });
  const records = Array.from({ length: rowsWritten }, (_, id) => ({ id, name: `name ${id}`, price: id * 1.5, at: new Date(1_767_225_600_000 + id), about: { tags: ["a", "b"], n: id } }));
  const parts: readonly Part[] = records.map((record) => json({ ...record, at: record.at.toISOString() }));
  const field = (name: keyof (typeof records)[number]) => (part: Part) => (part.kind === "json" ? (part.value as { readonly [key: string]: string })[name] : null);
  const storing = insert(sql, {
    table: "by_hand",
    columns: {
      id: { type: "integer", value: field("id") },
      name: { type: "text", value: field("name") },
      price: { type: "double precision", value: field("price") },
      at: { type: "timestamptz", value: field("at") },
      about: { type: "jsonb", value: field("about") },
    },
    batch,
  });
  const openStore = run(storing, endless(parts))[Symbol.asyncIterator]();
  await open.next();
  await openStore.next();
  return {
    reading: [
      variant(queryStream, rowsRead, async () => counted(client.query(new QueryStream(query, [], { batchSize: batch, highWaterMark: batch })), (row) => (row as { id: unknown }).id)),
      variant("millrace", rowsRead, async () => counted(run(rows(pool, { text: query }), "go"), (part) => ((part as { value: unknown }).value as { id: unknown }).id)),
    ],
    writing: [
      variant(ownLoop, rowsWritten, () =>
        stored(async () => {
          for (let at = 0; at < records.length; at += batch) {
            const values: unknown[] = [];
            const tuples = records.slice(at, at + batch).map(({ id, name, price, at: time, about }) => {
              const from = values.push(id, name, price, time, about) - 5;
              return `($${from + 1}, $${from + 2}, $${from + 3}, $${from + 4}, $${from + 5})`;
            });
            await client.query(`insert into by_hand (id, name, price, at, about) values ${tuples.join(", ")}`, values);
          }
        }),
      ),
      variant("millrace", rowsWritten, () => stored(() => run(storing, parts).forEach(() => {}))),
    ],
    async close() {
      await open.return?.();
      await openStore.return?.();
      await pool.close();
      await client.end();
      await services.close();
    },
  };
}

async function* endless(parts: readonly Part[]): AsyncGenerator<Part> {
  for (;;) yield* parts;
}
