import { describe, expect, test } from "vitest";
import { bytes, isJson, isText, json, type Part, pipe, run, take, text } from "../../src/index.ts";
import { rows } from "../../src/kinds/rows.ts";
import type { SqlDatabase, SqlQueryOptions, SqlRow, SqlStatement } from "../../src/kinds/sql.ts";
import { onDatabases } from "./sql-support.ts";

const jsonOf = (parts: readonly Part[]): unknown[] => parts.map((part) => (isJson(part) ? part.value : part));

/** Gives as many rows as it is asked for, and tells what became of each query. */
function watched(): SqlDatabase & { readonly queries: { statement: SqlStatement; options: SqlQueryOptions | undefined; read: number; closed: boolean }[] } {
  const queries: ReturnType<typeof watched>["queries"] = [];
  return {
    service: "watched",
    queries,
    query: () => {
      throw new Error("not asked for");
    },
    async *batches(statement, options): AsyncGenerator<SqlRow[]> {
      const query = { statement, options, read: 0, closed: false };
      queries.push(query);
      try {
        for (let n = 1; ; n += 2) {
          query.read += 2;
          yield [{ n }, { n: n + 1 }];
        }
      } finally {
        query.closed = true;
      }
    },
    execute: () => Promise.reject(new Error("not asked for")),
    transaction: () => Promise.reject(new Error("not asked for")),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

await onDatabases("rows", (database) => {
  test("puts the rows of its query in the place of each part, in order", async () => {
    const upTo = rows(database.sql, { text: "select n from generate_series(1, $1::integer) as n", values: (part) => [isText(part) ? part.text : 0] });
    expect(jsonOf(await run(upTo, ["2", "0", "1"]).collect())).toEqual([{ n: 1 }, { n: 2 }, { n: 1 }]);
  });

  test("a row is JSON whatever is in it", async () => {
    const value = { bytes: "AP8=", list: ["AP8=", null], big: "9007199254740993", nan: "NaN", json: { a: [1] }, none: null, at: "2026-01-31T09:30:00Z" };
    const query = `select '\\x00ff'::bytea as bytes, array['\\x00ff'::bytea, null] as list, 9007199254740993::bigint as big, 'NaN'::float8 as nan,
      '{"a": [1]}'::jsonb as json, null as none, '2026-01-31 10:30:00+01'::timestamptz as at`;
    const [part] = await run(rows(database.sql, { text: query }), "go").collect();
    expect(part).toEqual(json(value));
  });

  test("what a part says is a value, never SQL", async () => {
    const said = "1'; drop table x; --";
    expect(jsonOf(await run(rows(database.sql, { text: "select $1::text as said", values: (part) => [isText(part) ? part.text : null] }), said).collect())).toEqual([{ said }]);
  });

  test("a query that writes is refused, and no other part of the pipeline is", async () => {
    const table = database.table();
    await database.sql.execute({ text: `create table ${table} (id serial)` });
    const next = { text: `select nextval(pg_get_serial_sequence('${table}', 'id')) as id` };
    await expect(run(rows(database.sql, next), "go").collect()).rejects.toMatchObject({ code: "refused" });
    expect(jsonOf(await run(rows(database.sql, next, { readOnly: false }), "go").collect())).toEqual([{ id: "1" }]);
  });

  test("a database that is read in a pipeline can be asked in it again", async () => {
    const twice = pipe(
      rows(database.sql, { text: "select n from generate_series(1, 3) as n" }),
      rows(database.sql, { text: "select $1::integer * 10 as n", values: (part) => [isJson(part) ? (part.value as { n: number }).n : null] }),
    );
    expect(jsonOf(await run(twice, "go").collect())).toEqual([{ n: 10 }, { n: 20 }, { n: 30 }]);
  });
});

describe("rows", () => {
  test("a part that match refuses passes by at no query", async () => {
    const sql = watched();
    const parts = [text("a"), bytes(Uint8Array.of(1), "image/png")];
    expect(await run(rows(sql, { text: "select" }, { match: () => false }), parts).collect()).toEqual(parts);
    expect(sql.queries).toEqual([]);
  });

  test("map makes a part, a text or nothing of a row", async () => {
    const made = rows(watched(), { text: "select" }, { map: ({ n }) => (n === 1 ? undefined : n === 2 ? "two" : bytes(Uint8Array.of(Number(n)), "image/png")) });
    expect(await run(pipe(made, take(2)), text("a", { role: "assistant" })).collect()).toEqual([text("two", { role: "assistant" }), bytes(Uint8Array.of(3), "image/png")]);
  });

  test("reads no further than it is asked, and leaving closes the query", async () => {
    const sql = watched();
    for await (const part of run(rows(sql, { text: "select", values: [1] }, { batch: 7, readOnly: false }), ["a", "b"])) {
      if (isJson(part) && (part.value as { n: number }).n === 3) break;
    }
    expect(sql.queries).toMatchObject([{ statement: { text: "select", values: [1] }, options: { batch: 7, readOnly: false }, read: 4, closed: true }]);
    expect(sql.queries[0]?.options?.signal?.aborted).toBe(true);
  });

  test("refuses what cannot work, when it is built", () => {
    const sql = watched();
    expect(() => rows({} as SqlDatabase, { text: "select" })).toThrow(/sql must be an SQL database/);
    expect(() => rows(sql, { text: "" })).toThrow(/text must be a statement/);
    expect(() => rows(sql, { text: "select", values: "1" as never })).toThrow(/values must be a list or a function/);
    expect(() => rows(sql, { text: "select" }, { batch: 0 })).toThrow(/batch must be a whole number/);
    expect(() => rows(sql, { text: "select" }, { concurrency: 0 })).toThrow(/concurrency must be a whole number/);
    expect(() => rows(sql, { text: "select" }, { readOnly: 1 as never })).toThrow(/readOnly must be a boolean/);
  });
});
