import { PGlite } from "@electric-sql/pglite";
import fc from "fast-check";
import { afterAll, describe, expect, it, test } from "vitest";
import { postgresKeyValue, type PostgresKeyValue, type PostgresKeyValueOptions } from "../../src/adapters/postgres/key-value.ts";
import { advanceMarks, type MarkSteps } from "../../src/kinds/marks.ts";
import { keyValueContract } from "../../src/testing/contracts/key-value.ts";
import type { PostgresClient } from "../../src/wire/postgres.ts";
import { ownDatabase, service, titled } from "../services.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
let tables = 0;

async function opened(options: Partial<PostgresKeyValueOptions>): Promise<PostgresKeyValue> {
  const store = postgresKeyValue({ table: `t${(tables += 1)}`, ...options });
  await store.setup();
  return store;
}

const pglite = await PGlite.create();
afterAll(() => pglite.close());
const rows = async (statement: string): Promise<unknown[]> => (await pglite.query(statement)).rows;
const count = async (table: string): Promise<unknown> => (await rows(`select count(*)::int as count from ${table}`)).map((row) => Object(row).count)[0];
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

keyValueContract({ describe, it }, { name: "postgres on PGlite", open: () => opened({ client: pglite }) });

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("on Postgres", server), async () => {
  if (server.url === undefined) return;
  const database = await ownDatabase(server.url);
  afterAll(() => database[Symbol.asyncDispose]());
  const { url: connectionString } = database;
  keyValueContract({ describe, it }, { name: "postgres", open: () => opened({ connectionString, connections: 4 }) });
  keyValueContract({ describe, it }, { name: "postgres, unlogged, in a schema", open: () => opened({ connectionString, connections: 4, unlogged: true, schema: "Kept" }) });
});

describe("what is set up", () => {
  test("is made once, whoever else is at it, and found again as it is", async () => {
    const stores = Array.from({ length: 3 }, () => postgresKeyValue({ client: pglite, table: "once" }));
    await Promise.all(stores.map((store) => store.setup()));
    await stores[0]?.set("x", bytes(1));
    await stores[1]?.setup();
    expect(await stores[2]?.get("x")).toEqual(bytes(1));
    expect(await rows("select indexdef from pg_indexes where tablename = 'once'")).toHaveLength(2);
  });

  test("is asked for where it is missing, by every call", async () => {
    for (const schema of ["public", "nowhere"]) {
      await using store = postgresKeyValue({ client: pglite, table: "nowhere", schema });
      const calls = [store.get("x"), store.set("x", bytes(1)), store.delete("x"), store.advance("x", { a: { byMs: 1 } })];
      const message = `postgres: there is no table "${schema}"."nowhere"; setup() makes it`;
      for (const call of await Promise.allSettled(calls)) {
        expect(call).toMatchObject({ status: "rejected", reason: { code: "not_found", scope: "dependency", service: "postgres", message } });
      }
    }
    expect(await rows("select from pg_class where relname = 'nowhere'")).toEqual([]);
  });

  test("is no table of another shape or another persistence, and says what it is", async () => {
    await pglite.query("create table other (key text, value text)");
    const other = postgresKeyValue({ client: pglite, table: "other" });
    await expect(other.setup()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining('"other" is (key:text, value:text), the store needs (key:text,') });
    await opened({ client: pglite, table: "logged" });
    await expect(opened({ client: pglite, table: "logged", unlogged: true })).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("needs unlogged (") });
    await opened({ client: pglite, table: "lost", unlogged: true });
    await expect(opened({ client: pglite, table: "lost" })).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining("is unlogged (") });
  });

  test("has names that can smuggle nothing in, and gives each of two long names its own index", async () => {
    for (const name of ['a"; drop table once; --', "a.b", "a b", "", "k".repeat(64)]) {
      expect(() => postgresKeyValue({ client: pglite, table: name })).toThrow(expect.objectContaining({ code: "invalid_input" }));
      expect(() => postgresKeyValue({ client: pglite, table: "a", schema: name })).toThrow(/schema/);
    }
    expect(() => postgresKeyValue({ table: "a" })).toThrow(expect.objectContaining({ code: "missing_config" }));
    const long = "k".repeat(62);
    for (const table of [`${long}1`, `${long}2`]) await opened({ client: pglite, table });
    expect(await rows(`select from pg_indexes where tablename like '${long}%'`)).toHaveLength(4);
    await opened({ client: pglite, table: "select", schema: "Where" });
    expect(await rows(`select from "Where"."select"`)).toEqual([]);
  });
});

describe("values", () => {
  test("are bytes of the caller's own, with nothing behind them, and as they were when they were given", async () => {
    await using store = await opened({ client: pglite });
    for (const value of [bytes(1, 2, 3), Buffer.of(1, 2, 3)]) {
      const set = store.set("x", value);
      value.fill(9);
      await set;
      expect(await store.get("x")).toEqual(bytes(1, 2, 3));
    }
    // as pg reads them: a window on a buffer that it shares with others
    await using windows = postgresKeyValue({ client: { query: async () => ({ rows: [{ value: Buffer.from("abc") }] }) }, table: "t" });
    const got = await windows.get("x");
    expect([got?.constructor, got?.buffer.byteLength, [...(got ?? [])]]).toEqual([Uint8Array, 3, [97, 98, 99]]);
  });

  test("that no driver could read are refused before anything is sent, and as long a life as a number can say is fine", async () => {
    let sent = 0;
    const client: PostgresClient = { query: async () => ({ rows: [{ is_set: (sent += 1) > 0 }] }) };
    await using counted = postgresKeyValue({ client, table: "t" });
    await expect(counted.set("x", new Uint8Array(2 ** 28 - 15))).rejects.toMatchObject({ code: "too_large" });
    expect(sent).toBe(0);
    await using store = await opened({ client: pglite });
    await store.set("x", bytes(1), { ttlMs: Number.MAX_SAFE_INTEGER });
    expect(await store.get("x")).toEqual(bytes(1));
  });

  test("and answers that are none are an error, not a value", async () => {
    let answer: unknown;
    await using store = postgresKeyValue({ client: { query: async () => ({ rows: [{ value: answer, answer }] }) }, table: "t" });
    for (answer of ["\\x01", 1, {}]) await expect(store.get("x")).rejects.toMatchObject({ code: "bad_response" });
    for (answer of ["{}", 7, '{"taken":true,"waitMs":0,"aheadMs":{"a":"1"}}', '{"taken":1,"waitMs":0,"aheadMs":{}}', '{"taken":true,"waitMs":0,"aheadMs":null}']) {
      await expect(store.advance("x", {})).rejects.toMatchObject({ code: "bad_response" });
    }
  });
});

describe("what is past", () => {
  const fill = async (table: string, rows: number): Promise<void> => {
    await pglite.query(`insert into ${table} select 'past ' || i, case i % 2 when 0 then 'value' else 'marks' end, '', '{}', now() - interval '1 hour' + i * interval '1 millisecond' from generate_series(1, ${rows}) i`);
  };

  test("goes by a thousand rows with the first write and each hundredth after it, the oldest first; what lives stays", async () => {
    await using store = await opened({ client: pglite, table: "swept" });
    await store.set("lives", bytes(1), { ttlMs: 3_600_000 });
    await store.set("for ever", bytes(2));
    await fill("swept", 1_500);
    for (let writes = 3; writes <= 100; writes += 1) await store.set("for ever", bytes(2));
    expect(await count("swept")).toBe(1_502);
    await store.advance("marked", { a: { byMs: 3_600_000 } });
    expect(await count("swept")).toBe(503);
    expect(await rows("select from swept where key = 'past 1000' or key = 'past 1001'")).toHaveLength(1);
    await using next = postgresKeyValue({ client: pglite, table: "swept" });
    await next.set("lives", bytes(1));
    expect((await rows("select key from swept order by 1")).map((row) => Object(row).key)).toEqual(["for ever", "lives", "marked"]);
  });

  test("is not seen although it is still there, and does not keep others from setting once", async () => {
    await using store = await opened({ client: pglite, table: "unseen" });
    await store.set("first", bytes(1));
    await fill("unseen", 2);
    expect(await store.get("past 2")).toBeUndefined();
    expect(await store.set("past 2", bytes(3), { ifAbsent: true })).toBe(true);
    expect(await store.get("past 2")).toEqual(bytes(3));
  });

  test("a sweep that fails is not the caller's trouble", async () => {
    const client: PostgresClient = {
      async query(text) {
        if (text.startsWith("delete")) throw new Error("canceling statement due to statement timeout");
        return { rows: [{ is_set: true }] };
      },
    };
    await using store = postgresKeyValue({ client, table: "t" });
    expect(await store.set("x", bytes(1))).toBe(true);
    await expect(store.delete("x")).rejects.toThrow("canceling"); // it was heard where it matters
  });
});

describe("marks", () => {
  test("move as those in memory do, whatever the steps", async () => {
    await using store = await opened({ client: pglite });
    // in units of hours: what passes while the test runs is next to nothing
    const unitMs = 3_600_000;
    const near = (ahead: Readonly<Record<string, number>>): unknown => Object.fromEntries(Object.entries(ahead).map(([name, ms]) => [name, Math.round(ms / unitMs)]));
    const step = fc
      .record({ by: fc.integer({ min: -4, max: 6 }), atLeast: fc.option(fc.integer({ min: 0, max: 5 })), within: fc.option(fc.integer({ min: 0, max: 9 })) })
      .filter(({ by, atLeast, within }) => within === null || (atLeast ?? 0) + by <= within);
    const steps = fc.dictionary(fc.constantFrom("a", "b:1", "__proto__"), step, { maxKeys: 3, noNullPrototype: true });
    let keys = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 8 }), async (calls) => {
        const key = `k${(keys += 1)}`;
        const model = new Map<string, number>();
        for (const call of calls) {
          const moves: MarkSteps = Object.fromEntries(
            Object.entries(call).map(([name, { by, atLeast, within }]) => [
              name,
              // half a unit of room, so that the little that passes decides nothing
              { byMs: by * unitMs, ...(atLeast === null ? {} : { atLeastMs: atLeast * unitMs }), ...(within === null ? {} : { withinMs: (within + 0.5) * unitMs }) },
            ]),
          );
          const expected = advanceMarks(model, moves, 0);
          const got = await store.advance(key, moves);
          expect(got.taken).toBe(expected.taken);
          expect(near(got.aheadMs)).toEqual(near(expected.aheadMs));
          expect(Math.abs(got.waitMs - expected.waitMs)).toBeLessThan(60_000);
        }
      }),
      { numRuns: Math.max(20, runs / 4) },
    );
  });

  test("take steps without a limit, and such that lead past the end of all dates", async () => {
    await using store = await opened({ client: pglite, table: "far" });
    expect(await store.advance("k", { a: { byMs: 1e300, withinMs: Infinity } })).toMatchObject({ taken: true, aheadMs: { a: 1e300 } });
    expect((await store.advance("k", { a: { byMs: 1e300 } })).aheadMs["a"]).toBe(2e300);
    expect(await rows("select expires_at from far")).toEqual([{ expires_at: null }]);
    expect((await store.advance("k", { a: { byMs: -3e300 } })).aheadMs).toEqual({});
    expect(await rows("select from far where expires_at <= now() + interval '1 minute'")).toHaveLength(1);
  });

  test("take what is above a limit by less than their clock can tell, as those in memory do", async () => {
    await using store = await opened({ client: pglite });
    expect((await store.advance("k", { a: { byMs: 100_000.0005, withinMs: 100_000 } })).taken).toBe(true);
    expect((await store.advance("l", { a: { byMs: 100_000, atLeastMs: 0.0005, withinMs: 100_000 } })).taken).toBe(true);
  });

  test("that are refused, or only looked at, write nothing", async () => {
    await using store = await opened({ client: pglite, table: "still" });
    const third = { a: { byMs: 10_000_000 / 3, withinMs: 10_000_000 } };
    for (let i = 0; i < 3; i += 1) expect((await store.advance("k", third)).taken).toBe(true);
    const version = await rows("select ctid, xmin from still");
    expect((await store.advance("k", third)).taken).toBe(false);
    await store.advance("k", {});
    await store.advance("unknown", {});
    await store.advance("unknown", { a: { byMs: -5 } });
    expect(await rows("select ctid, xmin from still")).toEqual(version);
  });

  test("are past as soon as their time is, though their row is dated later", async () => {
    await using store = await opened({ client: pglite, table: "dated" });
    await store.advance("k", { a: { atLeastMs: 30_000 } });
    expect(await rows("select extract(second from expires_at)::int as second, expires_at - now() > interval '29 seconds' as later from dated")).toEqual([{ second: 0, later: true }]);
    await pglite.query("update dated set marks = jsonb_build_object('a', extract(epoch from now())::numeric * 1000)");
    expect((await store.advance("k", {})).aheadMs).toEqual({});
  });
});
