/**
 * What every SQL database must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import type { SqlDatabase, SqlParameter, SqlRow, SqlStatement } from "../../kinds/sql.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { within, patienceMs } from "./watch.ts";
import { withOpen } from "./with-open.ts";

/** The database under test. */
export interface SqlSubject {
  readonly name: string;
  /** Opens the database; called once for each test, which closes it. Tables `contract_…` are made and dropped in it. */
  open(): Promise<SqlDatabase> | SqlDatabase;
}

/**
 * The contract of the SQL kind.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 * import { after, describe, it } from "node:test";
 *
 * const client = await PGlite.create();
 * after(() => client.close());
 * sqlContract({ describe, it }, { name: "PGlite", open: () => postgres({ client }) });
 */
export function sqlContract({ describe, it }: TestRunner, subject: SqlSubject): void {
  const test = (name: string, body: (sql: SqlDatabase, table: string) => Promise<void>): void => {
    it(name, async () => {
      await withOpen(await subject.open(), async (sql) => {
        const table = `contract_${crypto.randomUUID().replaceAll("-", "")}`;
        try {
          await body(sql, table);
        } finally {
          await withOpen(await subject.open(), async (cleaner) => void (await cleaner.execute({ text: `drop table if exists ${table}` })));
        }
      });
    });
  };
  const one = async (sql: SqlDatabase, text: string, values: readonly SqlParameter[] = []): Promise<SqlRow> => {
    const [row] = (await sql.execute({ text, values })).rows;
    check(row !== undefined, `a row of ${text}`);
    return row;
  };
  const ids = async (sql: SqlDatabase, table: string): Promise<unknown> => (await sql.execute({ text: `select id from ${table} order by id` })).rows.map(({ id }) => id);

  describe(`sql contract: ${subject.name}`, () => {
    test("gives every type the value that the table of SqlValue says, from a statement and from a cursor", async (sql) => {
      equal(/^[a-z0-9-]+$/.test(sql.service), true, "service name in kebab-case");
      for (const [expression, expected] of printed) {
        const text = `select ${expression} as value`;
        equal(shown((await one(sql, text)).value), shown(expected), expression);
        equal((await all(sql, { text })).map(({ value }) => shown(value)), [shown(expected)], `${expression} through a cursor`);
      }
    });

    test("a value arrives as it was given", async (sql) => {
      for (const [value, type, expected] of given) equal(shown((await one(sql, `select $1::${type} as value`, [value])).value), shown(expected), `${shown(value)} as ${type}`);
    });

    test("nothing in a value is ever taken for SQL", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id integer, value text)` });
      for (const [id, value] of hostile.entries()) await sql.execute({ text: `insert into ${table} values ($1, $2)`, values: [id, value] });
      const rows = await all(sql, { text: `select value from ${table} order by id` });
      equal(rows.map(({ value }) => value), hostile, "the values");
      equal((await one(sql, `select $1::text[] as value`, [hostile])).value, hostile, "the values as an array");
      for (const value of hostile) equal((await all(sql, { text: `select id from ${table} where value = $1`, values: [value] })).length, 1, `rows with ${value.slice(0, 20)}`);
    });

    test("refuses values that no column can hold, before any I/O", async (sql) => {
      for (const value of ["a\0b", "\ud800", ["a\0"], { a: "\0" }, new Date(NaN), Symbol("x") as unknown as string, (() => 1) as unknown as string]) {
        await failsWith("invalid_input", () => sql.execute({ text: "select $1", values: [value] }), "execute");
        await failsWith("invalid_input", () => all(sql, { text: "select $1", values: [value] }), "query");
      }
    });

    test("reads a long result in order, whatever the size of a batch", async (sql) => {
      for (const [count, batch] of [[0, 3], [1, 1], [32, 1_000], [33, 1_000], [2_500, 7], [2_500, 1_000]] as const) {
        const rows = await all(sql, { text: "select n from generate_series(1, $1::integer) as n", values: [count] }, batch);
        equal(rows.length, count, `rows of ${count} in batches of ${batch}`);
        check(rows.every(({ n }, at) => n === at + 1), "rows are in order");
      }
      for (const batch of [0, -1, 1.5, NaN]) await failsWith("invalid_input", () => all(sql, { text: "select 1 as n" }, batch), `batch ${batch}`);
    });

    test("gives the same rows in batches, none of them empty", async (sql) => {
      const sizes: number[] = [];
      const numbers: unknown[] = [];
      for await (const batch of sql.batches({ text: "select n from generate_series(1, 100) as n" }, { batch: 30 })) {
        sizes.push(batch.length);
        numbers.push(...batch.map(({ n }) => n));
      }
      equal(numbers, Array.from({ length: 100 }, (_, at) => at + 1), "rows");
      check(sizes.every((size) => size >= 1 && size <= 30), `batches have 1 to 30 rows, got ${sizes.join(" ")}`);
      for await (const _ of sql.batches({ text: "select 1 as n where false" })) check(false, "a batch of nothing");
    });

    test("leaving a loop closes its cursor, as often as one likes", async (sql) => {
      for (let times = 0; times < 30; times += 1) {
        for await (const { n } of sql.query({ text: "select n from generate_series(1, 100000) as n" })) {
          if (n === 1 + times * 4) break;
        }
      }
      equal((await one(sql, "select count(*)::integer as open from pg_cursors where name <> ''")).open, 0, "open cursors");
    });

    test("others get on while a result is read", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id integer)` });
      await within(patienceMs, (async () => {
        for await (const { n } of sql.query({ text: "select n from generate_series(1, 100) as n" }, { batch: 10 })) {
          await sql.execute({ text: `insert into ${table} values ($1)`, values: [n ?? null] });
        }
      })(), "reading and writing at once");
      equal(((await ids(sql, table)) as unknown[]).length, 100, "rows written");
    });

    test("a query cannot write unless it is told so", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id serial)` });
      const text = `select nextval(pg_get_serial_sequence('${table}', 'id')) as id`;
      await failsWith("refused", () => all(sql, { text }), "a query that writes");
      const written: unknown[] = [];
      for await (const { id } of sql.query({ text }, { readOnly: false })) written.push(id);
      equal(written, ["1"], "with readOnly: false");
    });

    test("one statement at a time, and columns with names of their own", async (sql, table) => {
      await failsWith("invalid_input", () => sql.execute({ text: `select 1 as a; create table ${table} (id integer)` }), "two statements");
      await failsWith("invalid_input", () => all(sql, { text: "select 1 as a, 2 as a" }), "two columns of one name");
      await failsWith("invalid_input", () => sql.execute({ text: 'select 1 as "__proto__"' }), "a column __proto__");
      equal(Object.keys(await one(sql, 'select 1 as "constructor", 2 as "a b", 3 as "Ä"')), ["constructor", "a b", "Ä"], "names");
    });

    test("counts the rows that came back or were changed", async (sql, table) => {
      equal((await sql.execute({ text: `create table ${table} (id integer)` })).count, 0, "create");
      equal((await sql.execute({ text: `insert into ${table} select generate_series(1, 5)` })).count, 5, "insert");
      equal((await sql.execute({ text: `update ${table} set id = id + 10 where id > $1`, values: [3] })).count, 2, "update");
      const deleted = await sql.execute({ text: `delete from ${table} where id > 10 returning id` });
      equal([deleted.count, deleted.rows.length], [2, 2], "delete");
      equal((await sql.execute({ text: `select id from ${table}` })).count, 3, "select");
    });

    test("a transaction is stored whole, or not at all with its error handed on", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id integer primary key)` });
      const add = (id: number): SqlStatement => ({ text: `insert into ${table} values ($1)`, values: [id] });
      equal(await sql.transaction(async (session) => (await session.execute(add(1))).count + (await session.execute(add(2))).count), 2, "what the work gives");
      const reason = new Error("enough");
      await failsAs(reason, () => sql.transaction(async (session) => {
        await session.execute(add(3));
        throw reason;
      }), "work that throws");
      await failsWith("conflict", () => sql.transaction(async (session) => {
        await session.execute(add(4));
        await session.execute(add(1));
      }), "a duplicate");
      equal(await ids(sql, table), [1, 2], "rows stored");
      await sql.transaction(async (session) => {
        await session.execute(add(5));
        await session.execute({ text: "savepoint before" });
        await failsWith("conflict", () => session.execute(add(5)), "a duplicate behind a savepoint");
        await session.execute({ text: "rollback to savepoint before" });
        await session.execute(add(6));
      });
      equal(await ids(sql, table), [1, 2, 5, 6], "rows stored around a savepoint");
    });

    test("says what is wrong by its code", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id integer primary key, part text not null check (part <> ''))` });
      const add = (...values: readonly SqlParameter[]) => () => sql.execute({ text: `insert into ${table} values ($1, $2)`, values });
      await add(1, "a")();
      await failsWith("conflict", add(1, "b"), "a duplicate");
      await failsWith("invalid_input", add(2, null), "null");
      await failsWith("invalid_input", add(2, ""), "a check");
      await failsWith("invalid_input", add("two", "b"), "text for a number");
      await failsWith("invalid_input", () => sql.execute({ text: "selec 1" }), "a statement that is none");
      for (const text of [`select * from no_${table}`, `select other from ${table}`]) {
        await failsWith("not_found", () => sql.execute({ text }), text);
        await failsWith("not_found", () => all(sql, { text }), text);
      }
      for (const text of ["", 5 as unknown as string]) await failsWith("invalid_input", () => sql.execute({ text }), "no statement");
      equal(await ids(sql, table), [1], "rows stored");
    });

    test("an abort is the signal's reason, before any I/O and in the middle", async (sql, table) => {
      await sql.execute({ text: `create table ${table} (id integer)` });
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      const write = { text: `insert into ${table} values (1)` };
      await failsAs(reason, () => sql.execute(write, { signal }), "execute");
      await failsAs(reason, () => sql.transaction((session) => session.execute(write), { signal }), "transaction");
      await failsAs(reason, async () => {
        for await (const _ of sql.query({ text: "select 1 as n" }, { signal })) check(false, "a row of an aborted query");
      }, "query");
      const controller = new AbortController();
      await failsAs(reason, async () => {
        let count = 0;
        for await (const _ of sql.query({ text: "select generate_series(1, 5000) as n" }, { signal: controller.signal, batch: 10 })) {
          count += 1;
          if (count === 25) controller.abort(reason);
          check(count <= 40, "no batch comes after the abort");
        }
      }, "query in the middle");
      equal(await ids(sql, table), [], "rows stored");
      equal((await one(sql, "select 1 as n")).n, 1, "the next statement");
    });

    test("is closed twice without harm, and refuses work afterwards", async (sql) => {
      await sql.close();
      await sql.close();
      await failsWith("closed", () => sql.execute({ text: "select 1 as n" }), "execute");
      await failsWith("closed", () => sql.transaction(async () => {}), "transaction");
      await failsWith("closed", () => all(sql, { text: "select 1 as n" }), "query");
    });
  });
}

async function all(sql: SqlDatabase, statement: SqlStatement, batch?: number): Promise<SqlRow[]> {
  const rows: SqlRow[] = [];
  for await (const row of sql.query(statement, batch === undefined ? {} : { batch })) rows.push(row);
  return rows;
}

/** What the server prints of each type, and what comes of it. */
const printed: readonly (readonly [expression: string, value: unknown])[] = [
  ["null::integer", null],
  ["true", true],
  ["(-7)::smallint", -7],
  ["2147483647", 2147483647],
  ["1.5::real", 1.5],
  ["0.1::float8 + 0.2::float8", 0.1 + 0.2],
  ["'NaN'::float8", "NaN"],
  ["'-Infinity'::real", "-Infinity"],
  ["9007199254740993::bigint", "9007199254740993"],
  ["12345678901234567890.1234567890::numeric", "12345678901234567890.1234567890"],
  ["'NaN'::numeric", "NaN"],
  ["''::text", ""],
  ["'ä \u{1F600} \\ \"'::varchar", 'ä \u{1F600} \\ "'],
  ["'{\"b\": [1, null, {\"c\": \"d\"}]}'::jsonb", { b: [1, null, { c: "d" }] }],
  ["'null'::jsonb", null],
  ["'[1]'::json", [1]],
  ["'\\x'::bytea", new Uint8Array()],
  ["'\\x0001feff'::bytea", Uint8Array.of(0, 1, 254, 255)],
  ["'2026-01-31 10:30:00.000001+01'::timestamptz", "2026-01-31T09:30:00.000001Z"],
  ["'2026-12-31 23:30:00-01'::timestamptz", "2027-01-01T00:30:00Z"],
  ["'1800-01-01 00:00:00+00:53:28'::timestamptz", "1799-12-31T23:06:32Z"],
  ["'infinity'::timestamptz", "infinity"],
  ["'2026-01-31 10:30:00.5'::timestamp", "2026-01-31T10:30:00.5"],
  ["'0044-03-15 12:00:00 BC'::timestamp", "0044-03-15 12:00:00 BC"],
  ["'2026-01-31'::date", "2026-01-31"],
  ["'0044-03-15 BC'::date", "0044-03-15 BC"],
  ["'10:30'::time", "10:30:00"],
  ["'1 day 02:03:04'::interval", "1 day 02:03:04"],
  ["'0B00AAAA-0000-0000-0000-000000000001'::uuid", "0b00aaaa-0000-0000-0000-000000000001"],
  ["'10.0.0.1'::inet", "10.0.0.1"],
  ["int4range(1, 5)", "[1,5)"],
  ["row(1, 'a')", "(1,a)"],
  ["'{}'::integer[]", []],
  ["'{1,NULL,3}'::integer[]", [1, null, 3]],
  ["'{{1,2},{3,4}}'::bigint[]", [["1", "2"], ["3", "4"]]],
  ["'[0:1]={t,f}'::boolean[]", [true, false]],
  ["array['NULL', null, '', ' a ', '{', '}', ',', '\"', '\\', 'ä']", ["NULL", null, "", " a ", "{", "}", ",", '"', "\\", "ä"]],
  ["array['\\x00ff'::bytea]", [Uint8Array.of(0, 255)]],
  ["array['{\"a\": [1, \"x\"]}'::jsonb]", [{ a: [1, "x"] }]],
  ["array['2026-01-31 10:30:00+00'::timestamptz]", ["2026-01-31T10:30:00Z"]],
];

/** A value, the type that the statement gives it, and what comes back. */
const given: readonly (readonly [value: SqlParameter, type: string, expected: unknown])[] = [
  [null, "text", null],
  [undefined, "integer", null],
  [false, "boolean", false],
  [-0.5, "float8", -0.5],
  [NaN, "float8", "NaN"],
  [9007199254740993n, "bigint", "9007199254740993"],
  ["", "text", ""],
  ["x".repeat(1_000_000), "text", "x".repeat(1_000_000)],
  [Uint8Array.from({ length: 300 }, (_, i) => i % 256), "bytea", Uint8Array.from({ length: 300 }, (_, i) => i % 256)],
  [new Date(Date.UTC(2026, 0, 31, 9, 30, 0, 5)), "timestamptz", "2026-01-31T09:30:00.005Z"],
  [{ a: ["ä", { b: null }] }, "jsonb", { a: ["ä", { b: null }] }],
  ["[1,2]", "jsonb", [1, 2]],
  [[1, null, 3], "integer[]", [1, null, 3]],
  [[["a", "b"], ["c", 'd"\\']], "text[]", [["a", "b"], ["c", 'd"\\']]],
  [[], "text[]", []],
  [[Uint8Array.of(0, 255)], "bytea[]", [Uint8Array.of(0, 255)]],
];

/** What an injection would be made of. */
const hostile: readonly string[] = ["'", "''; drop table x; --", "\\", "\\'", '"', "$1", "$$", "{}", "NULL", "/* */", "%s", "E'\\x41'", "\u2019", "ä\u0308", "\u{1F600}", "\n\r\t", "__proto__"];

/** Bytes are no JSON. */
function shown(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (item instanceof Uint8Array ? `bytes ${[...item].join(" ")}` : typeof item === "bigint" ? `${item}n` : item)) ?? "undefined";
}
