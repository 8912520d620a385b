import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { image, isBytes, isJson, isText, json, type Part, pipe, run, tap, text } from "../../src/index.ts";
import { insert, type InsertOptions } from "../../src/kinds/insert.ts";
import { insertStatement } from "../../src/kinds/insert-statement.ts";
import type { SqlDatabase } from "../../src/kinds/sql.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { numbers, texts, turns } from "../streams/support.ts";
import { onDatabases } from "./sql-support.ts";

const words = { type: "text", value: (part: Part) => (isText(part) ? part.text : null) };
const keyed = { type: "text", value: (part: Part) => (isText(part) ? (part.text.split("=")[0] ?? null) : null) };
const valued = { type: "text", value: (part: Part) => (isText(part) ? (part.text.split("=")[1] ?? null) : null) };

await onDatabases("insert", (database) => {
  const made = async (columns: string): Promise<string> => {
    const table = database.table();
    await database.sql.execute({ text: `create table ${table} (${columns})` });
    return table;
  };
  const stored = async (table: string): Promise<unknown[]> => (await database.rows(`select words from ${table} order by n`)).map((row) => row.words);

  test("stores a row for each part, and hands on the same parts in order", async () => {
    const table = await made("n serial, words text");
    const parts = numbers(25).map((word) => text(word, { metadata: { word } }));
    const out = await run(insert(database.sql, { table, columns: { words }, batch: 10 }), parts).collect();
    expect(out).toEqual(parts);
    expect(out[7]).toBe(parts[7]);
    expect(await stored(table)).toEqual(numbers(25));
  });

  test("each value comes back as what it was: text, bytes, JSON, times, arrays, nothing", async () => {
    const table = await made("n serial, words text, body bytea, about jsonb, at timestamptz, tags text[], amount numeric");
    const hostile = "'; drop table x; -- \\ \" {} NULL ä\u0308 \u{1F600}\n";
    const parts = [text(""), text(hostile), image(Uint8Array.of(0, 255, 92, 39)), json({ a: [null, hostile] }), text("NULL")];
    await run(
      insert(database.sql, {
        table,
        columns: {
          words,
          body: { type: "bytea", value: (part) => (isBytes(part) ? part.bytes : null) },
          about: { type: "jsonb", value: (part) => (isJson(part) ? part.value : null) },
          at: { type: "timestamp with time zone", value: () => new Date(Date.UTC(2026, 0, 31)) },
          tags: { type: "text[]", value: (part) => [part.kind, hostile] },
          amount: { type: "numeric", value: () => "0.1" },
        },
      }),
      parts,
    ).collect();
    const rows = await database.rows(`select words, body, about, at, tags, amount from ${table} order by n`);
    const row = { words: null, body: null, about: null, at: "2026-01-31T00:00:00Z", tags: ["text", hostile], amount: "0.1" };
    expect(rows).toEqual([
      { ...row, words: "" },
      { ...row, words: hostile },
      { ...row, body: Uint8Array.of(0, 255, 92, 39), tags: ["bytes", hostile] },
      { ...row, about: { a: [null, hostile] }, tags: ["json", hostile] },
      { ...row, words: "NULL" },
    ]);
  });

  test("a list is JSON in a column of JSON, and too long a text is refused, not cut", async () => {
    const table = await made("n serial, about jsonb, code varchar(3)");
    const columns = { about: { type: "jsonb", value: () => [1, "a"] }, code: { type: "varchar", value: words.value } };
    await run(insert(database.sql, { table, columns }), "abc").collect();
    expect(await database.rows(`select about, code from ${table}`)).toEqual([{ about: [1, "a"], code: "abc" }]);
    await expect(run(insert(database.sql, { table, columns }), ["ok", "abcd"]).collect()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("part 1") });
    expect(await database.rows(`select 1 as one from ${table}`)).toHaveLength(1);
  });

  test("parts that match refuses pass by in their place, and are not counted", async () => {
    const table = await made("n serial, words text primary key");
    const parts = [image(Uint8Array.of(1)), text("a"), json(1), text("b"), text("a")];
    const storing = insert(database.sql, { table, columns: { words }, match: isText, batch: 4 });
    expect(await run(storing, parts.slice(0, 4)).collect()).toEqual(parts.slice(0, 4));
    await expect(run(storing, [json(1), text("c"), json(2), text("a")]).collect()).rejects.toMatchObject({ message: expect.stringContaining("part 1:") });
  });

  for (const atomic of [false, true]) {
    const kept = atomic ? [] : numbers(10);
    test.each([
      ["a key that is there", "conflict", "17"],
      ["a check", "invalid_input", "-1"],
      ["text for a number", "invalid_input", "x"],
    ])(`names the part that breaks %s, and stores nothing of its ${atomic ? "run" : "batch"}`, async (_, code, bad) => {
      const table = await made("n serial, words integer primary key check (words >= 0)");
      await database.sql.execute({ text: `insert into ${table} (words) values (17)` });
      const source = [...numbers(13), bad, "20", bad, "21"];
      const seen: string[] = [];
      const storing = pipe(insert(database.sql, { table, columns: { words: { ...words, type: "integer" } }, batch: 10, atomic }), tap((part) => void seen.push(...texts([part]))));
      await expect(run(storing, source).collect()).rejects.toMatchObject({ code, message: expect.stringContaining("insert: part 13: ") });
      expect(seen).toEqual(numbers(10));
      expect((await stored(table)).map(String)).toEqual(["17", ...kept]);
    });
  }

  test("finds the part wherever it stands in its batch", async () => {
    const table = await made("n serial, words integer check (words >= 0)");
    for (const size of [1, 2, 3, 7, 8]) {
      for (let bad = 0; bad < size; bad += 1) {
        const source = numbers(size).map((word, at) => (at === bad ? "-1" : word));
        const storing = insert(database.sql, { table, columns: { words: { ...words, type: "integer" } } });
        await expect(run(storing, source).collect()).rejects.toMatchObject({ message: expect.stringContaining(`insert: part ${bad}: `) });
      }
    }
    expect(await stored(table)).toEqual([]);
  });

  test("a batch in which a key comes again is stored whole or not at all too", async () => {
    const table = await made("key text primary key, value integer check (value >= 0)");
    const storing = insert(database.sql, { table, columns: { key: keyed, value: { ...valued, type: "integer" } }, conflict: { columns: ["key"], update: "all" } });
    await expect(run(storing, ["a=1", "b=1", "a=2", "a=-1"]).collect()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("part 3:") });
    expect(await database.rows(`select key from ${table}`)).toEqual([]);
  });

  test("a key twice in one batch is a conflict of the second", async () => {
    const table = await made("n serial, words text primary key");
    const source = ["a", "b", "c", "b", "d"];
    await expect(run(insert(database.sql, { table, columns: { words } }), source).collect()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("part 3:") });
    expect(await stored(table)).toEqual([]);
  });

  test("what no column can hold is refused before anything is sent, and the part is named", async () => {
    const table = await made("n serial, words text, body bytea");
    const refused = async (columns: InsertOptions["columns"], part: Part): Promise<void> =>
      expect(run(insert(database.sql, { table, columns }), [text("a"), part]).collect()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("part 1: column") });
    await refused({ words }, text("a\0b"));
    await refused({ words }, text("\ud800"));
    await refused({ body: { type: "bytea", value: (part) => (isText(part) && part.text === "a" ? null : "text") } }, text("b"));
    await refused({ words: { type: "jsonb", value: (part) => (isText(part) && part.text === "a" ? null : { deep: ["\0"] }) } }, text("b"));
    expect(await stored(table)).toEqual([]);
  });

  test("a row that is there is overwritten, in part, or stays, as conflict says", async () => {
    const table = await made("key text primary key, value text default 'none', other text");
    const other = { type: "text", value: valued.value };
    const rows = async (): Promise<unknown> => (await database.rows(`select key, value, other from ${table} order by key`)).map((row) => Object.values(row).join());
    const store = (update: "all" | readonly string[] | false, ...source: string[]): Promise<unknown> =>
      run(insert(database.sql, { table, columns: { key: keyed, value: valued, other }, conflict: { columns: ["key"], update } }), source).collect();
    await store("all", "a=1", "b=1");
    await store(false, "a=2", "c=2", "c=3");
    expect(await rows()).toEqual(["a,1,1", "b,1,1", "c,2,2"]);
    await store(["value"], "b=4", "d=4", "d=5");
    expect(await rows()).toEqual(["a,1,1", "b,4,1", "c,2,2", "d,5,4"]);
  });

  test("parts with one key store what they would store one by one, however they fall into batches", async () => {
    const pairs = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.integer({ min: 0, max: 99 })), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(pairs, fc.integer({ min: 1, max: 12 }), fc.boolean(), async (given, batch, atomic) => {
        const table = await made("key text primary key, value text");
        const source = given.map(([key, value]) => `${key}=${value}`);
        const storing = insert(database.sql, { table, columns: { key: keyed, value: valued }, conflict: { columns: ["key"], update: "all" }, batch, atomic });
        expect(texts(await run(storing, source).collect())).toEqual(source);
        const rows = await database.rows(`select key, value from ${table}`);
        expect(Object.fromEntries(rows.map(({ key, value }) => [key, value]))).toEqual(Object.fromEntries(given.map(([key, value]) => [key, String(value)])));
      }),
      { numRuns: Math.min(25, Number(process.env.PROPERTY_RUNS ?? 200)) },
    );
  });

  test("with atomic, leaving the run and an abort store nothing, and its end stores all", async () => {
    const table = await made("n serial, words text");
    const storing = insert(database.sql, { table, columns: { words }, batch: 2, atomic: true });
    for await (const part of run(storing, numbers(10))) if (texts([part])[0] === "5") break;
    expect(await stored(table)).toEqual([]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = pipe(storing, tap((part) => void (texts([part])[0] === "5" && controller.abort(reason))));
    await expect(run(aborted, numbers(10), { signal: controller.signal }).collect()).rejects.toBe(reason);
    expect(await stored(table)).toEqual([]);
    await run(storing, numbers(10)).collect();
    expect(await stored(table)).toEqual(numbers(10));
  });

  test("without atomic, what was handed on is stored when the run is left", async () => {
    const table = await made("n serial, words text");
    for await (const part of run(insert(database.sql, { table, columns: { words }, batch: 2 }), numbers(10))) if (texts([part])[0] === "5") break;
    expect(await stored(table)).toEqual(numbers(6));
  });

  test("a batch holds no more than 8 MiB of content, whatever is stored of it", async () => {
    const table = await made("n serial, words text");
    const large = "x".repeat(3_000_000);
    const parts = [json({ deep: [large] }), text(large), image(new Uint8Array(3_000_000)), json(large), text("a")];
    await run(insert(database.sql, { table, columns: { words: { type: "text", value: (part) => part.kind } } }), parts).collect();
    expect((await database.rows(`select count(*) as rows from ${table} group by xmin::text order by min(n)`)).map(({ rows }) => rows)).toEqual(["2", "3"]);
  });

  test("a batch that does not fill up is stored after maxWaitMs", async () => {
    const table = await made("n serial, words text");
    const clock = fakeClock();
    let goOn = (): void => {};
    const parked = new Promise<void>((resolve) => (goOn = resolve));
    const source = (async function* () {
      yield* ["a", "b"];
      await parked;
    })();
    const out: string[] = [];
    const running = run(insert(database.sql, { table, columns: { words }, maxWaitMs: 50, clock }), source).forEach((part) => void out.push(...texts([part])));
    await turns();
    expect(out).toEqual([]);
    await clock.advance(50);
    await expect.poll(() => out).toEqual(["a", "b"]);
    expect(await stored(table)).toEqual(["a", "b"]);
    goOn();
    await running;
  });
});

test("rows that overwrite go in the order of their keys, so that two writers never wait for each other in a circle", () => {
  const statement = insertStatement("insert", { table: "t", types: { key: "text", value: "text" }, conflict: { columns: ["key"], update: "all" } });
  const given = ["b", "a", "c", "a"].map((key, ordinal) => ({ ordinal, texts: [key, null] }));
  expect(statement.roundsOf(given).map((round) => round.map(({ ordinal }) => ordinal))).toEqual([[1, 0, 2], [3]]);
});

describe("insert", () => {
  const untouched: SqlDatabase = {
    service: "untouched",
    query: () => {
      throw new Error("not asked for");
    },
    batches: () => {
      throw new Error("not asked for");
    },
    execute: () => Promise.reject(new Error("not asked for")),
    transaction: () => Promise.reject(new Error("not asked for")),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  const options: InsertOptions = { table: "t", columns: { words } };

  test("asks nothing of the database when there is nothing to store", async () => {
    expect(await run(insert(untouched, { ...options, atomic: true, match: () => false }), ["a"]).text()).toBe("a");
    expect(await run(insert(untouched, options), []).collect()).toEqual([]);
  });

  test.each(['x"; drop table y; --', "a.b", "", "1a", "ä", "a b", "a".repeat(64), "a\0"])("the name %j is refused wherever one stands", (name) => {
    expect(() => insert(untouched, { ...options, table: name })).toThrow(/table must be a name/);
    expect(() => insert(untouched, { ...options, schema: name })).toThrow(/schema must be a name/);
    expect(() => insert(untouched, { ...options, columns: { [name]: words } })).toThrow(/column must be a name/);
    expect(() => insert(untouched, { ...options, conflict: { columns: [name], update: false } })).toThrow(/conflict.columns must be a name/);
    expect(() => insert(untouched, { ...options, conflict: { columns: ["words"], update: [name] } })).toThrow(/conflict.update must be of words/);
  });

  test.each(["text; drop table y", "varchar(3)", "", "a--b", "text[3]", "text)", '"text"', "text\n"])("the type %j is refused", (type) => {
    expect(() => insert(untouched, { ...options, columns: { words: { ...words, type } } })).toThrow(/type of words must be the name of a type/);
  });

  test("refuses other options that cannot work", () => {
    const refused = (wrong: object, message: RegExp): void => expect(() => insert(untouched, { ...options, ...wrong })).toThrow(message);
    expect(() => insert({} as SqlDatabase, options)).toThrow(/sql must be an SQL database/);
    refused({ columns: {} }, /columns must be one at least/);
    refused({ columns: { words: { type: "text", value: "a" } } }, /value of words must be a function/);
    refused({ batch: 0 }, /batch must be a whole number/);
    refused({ maxWaitMs: 0 }, /maxWaitMs must be a whole number/);
    refused({ atomic: "yes" }, /atomic must be a boolean/);
    refused({ match: true }, /match must be a function/);
    refused({ conflict: { columns: [], update: "all" } }, /conflict.columns must be a list of names/);
    refused({ conflict: { columns: ["other"], update: "all" } }, /conflict.columns must be of words/);
    refused({ conflict: { columns: ["words"], update: "some" } }, /conflict.update must be/);
  });
});
