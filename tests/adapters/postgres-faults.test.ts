import { inspect } from "node:util";
import { PGlite } from "@electric-sql/pglite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgres, type PostgresOptions } from "../../src/adapters/postgres/index.ts";
import type { SqlDatabase, SqlQueryOptions, SqlRow } from "../../src/kinds/sql.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";

const many = "select n, pg_backend_pid() as pid from generate_series(1, 100000) as n";

describe("postgres", () => {
  test("opens nothing until it is asked, and refuses options that cannot work", async () => {
    const nowhere = "postgres://u:hunter2@127.0.0.1:1/x";
    await postgres({ connectionString: nowhere }).close();
    for (const options of [{ connections: 0 }, { connectMs: 0 }, { timeoutMs: 1.5 }, { readerIdleMs: -1 }, { ssl: { rejectUnauthorized: false } as object }]) {
      expect(() => postgres({ connectionString: nowhere, ...options })).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }
    expect(() => postgres({})).toThrow(expect.objectContaining({ code: "missing_config" }));
    expect(() => postgres({ connectionString: `${nowhere}?sslmode=no-verify` })).toThrow(/verified or not used/);
  });

  test("a server that is not there is unavailable, and neither error nor adapter shows the password", async () => {
    const sql = postgres({ connectionString: "postgres://u:hunter2@127.0.0.1:1/x" });
    const error: unknown = await sql.execute({ text: "select 1" }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unavailable", retryable: true });
    for (const shown of [inspect(error, { depth: 10 }), JSON.stringify(error), inspect(sql, { depth: 10, showHidden: true })]) expect(shown).not.toContain("hunter2");
    await sql.close();
  });

  test("a client that is neither of pg nor PGlite is told so", async () => {
    await using sql = postgres({ client: { query: async () => ({ rows: [] }) } });
    await expect(sql.execute({ text: "select 1" })).rejects.toMatchObject({ code: "missing_config" });
  });
});

describe("postgres on PGlite", () => {
  let client: PGlite;
  beforeAll(async () => {
    client = await PGlite.create();
  }, 120_000);
  afterAll(() => client.close());

  test("whoever waits too long for the one connection gets unavailable, and whoever has it goes on", async () => {
    await using sql = postgres({ client, connectMs: 30 });
    const result = await sql.transaction(async (session) => {
      await expect(sql.execute({ text: "select 1 as n" })).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("30 ms") });
      return (await session.execute({ text: "select 2 as n" })).rows;
    });
    expect(result).toEqual([{ n: 2 }]);
    expect((await sql.execute({ text: "select 3 as n" })).rows).toEqual([{ n: 3 }]);
  });

  test("an aborted wait does nothing when its turn comes", async () => {
    await using sql = postgres({ client });
    await sql.execute({ text: "create table waits (n integer)" });
    const controller = new AbortController();
    const reason = new Error("enough");
    await sql.transaction(async () => {
      const waiting = sql.execute({ text: "insert into waits values (1)" }, { signal: controller.signal });
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
    });
    expect((await sql.execute({ text: "select n from waits" })).rows).toEqual([]);
  });
});

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("postgres, its server at fault", server), () => {
  let database: OwnDatabase;
  const opened: SqlDatabase[] = [];
  const open = (options: Partial<PostgresOptions> = {}): SqlDatabase => {
    const sql = postgres({ connectionString: database.url, connections: 2, ...options });
    opened.push(sql);
    return sql;
  };
  beforeAll(async () => {
    if (server.url !== undefined) database = await ownDatabase(server.url);
  });
  afterAll(async () => {
    await Promise.all(opened.map((sql) => sql.close()));
    await database?.[Symbol.asyncDispose]();
  });
  const backends = (): Promise<Record<string, unknown>[]> =>
    database.query("select pid, state, query from pg_stat_activity where application_name = 'millrace' and datname = current_database()");
  const read = async (sql: SqlDatabase, text: string, each: (row: SqlRow, count: number) => unknown, options: SqlQueryOptions = {}): Promise<number> => {
    let count = 0;
    for await (const row of sql.query({ text }, options)) if ((await each(row, (count += 1))) === "break") break;
    return count;
  };

  test("a loop that is left gives its connection back as it was", async () => {
    const sql = open({ connections: 1 });
    const pids = new Set<unknown>();
    for (const stop of [1, 32, 33, 40, 300]) {
      await read(sql, many, ({ pid }, count) => {
        pids.add(pid);
        return count === stop ? "break" : undefined;
      }, { batch: 1_000 });
    }
    const [row] = (await sql.execute({ text: "select pg_backend_pid() as pid" })).rows;
    expect([...pids]).toEqual([row?.pid]);
    expect(await backends()).toMatchObject([{ state: "idle" }]);
    await sql.close();
  });

  test("the server makes no more than one batch ahead of the reader", async () => {
    const sql = open();
    await sql.execute({ text: "create sequence made" });
    const ahead: number[] = [];
    const look = async (count: number): Promise<void> => {
      const [row] = await database.query("select last_value::integer as made from made");
      ahead.push(Number(row?.["made"]) - count);
    };
    await read(sql, "select nextval('made') as n from generate_series(1, 100000)", async (_, count) => {
      if ([1, 4, 25, 95].includes(count)) await look(count);
      return count === 100 ? "break" : undefined;
    }, { batch: 10, readOnly: false });
    for (const rows of ahead) expect(rows).toBeLessThan(20);
    await look(100);
    expect(ahead.at(-1)).toBeLessThan(20);
  });

  test("rows that are wide come in small batches", async () => {
    const sql = open();
    await sql.execute({ text: "create sequence widely" });
    await read(sql, "select nextval('widely') as n, repeat('x', 300000) as wide from generate_series(1, 1000)", (_, count) => (count === 40 ? "break" : undefined), { readOnly: false });
    const [row] = await database.query("select last_value::integer as made from widely");
    expect(row?.["made"]).toBeLessThan(50);
  });

  test("a loop that is left while the server works on the next batch ends its work", async () => {
    const sql = open({ connections: 1 });
    await read(sql, "select n, pg_sleep(60 * (n / 33)) from generate_series(1, 100) as n", (_, count) => (count === 20 ? "break" : undefined));
    await expect.poll(async () => (await backends()).filter(({ state }) => state === "active"), { timeout: 5_000 }).toEqual([]);
    expect((await sql.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
    await sql.close();
  });

  test("an abort ends the statement at the server, and the next one finds a connection", async () => {
    const sql = open({ connections: 1 });
    const reason = new Error("enough");
    const working = async (): Promise<number> => (await backends()).filter(({ state }) => state === "active").length;
    const calls: readonly ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => sql.execute({ text: "select pg_sleep(60)" }, { signal }),
      (signal) => sql.transaction((session) => session.execute({ text: "select pg_sleep(60)" }), { signal }),
      (signal) => read(sql, "select n, pg_sleep(60 * (n / 40)) from generate_series(1, 100) as n", () => {}, { signal }),
    ];
    for (const call of calls) {
      const controller = new AbortController();
      const running = expect(call(controller.signal)).rejects.toBe(reason);
      await expect.poll(working, { timeout: 5_000 }).toBe(1);
      controller.abort(reason);
      await running;
      await expect.poll(working, { timeout: 5_000 }).toBe(0);
      expect((await sql.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
    }
    await sql.close();
  });

  test("a statement that takes too long is a timeout, and the connection is good for the next", async () => {
    const sql = open({ connections: 1, timeoutMs: 60 });
    await expect(sql.execute({ text: "select pg_sleep(20)" })).rejects.toMatchObject({ code: "timeout" });
    await expect(read(sql, "select n, pg_sleep(20 * (n / 50)::integer) from generate_series(1, 100) as n", () => {})).rejects.toMatchObject({ code: "timeout" });
    await expect(sql.transaction((session) => session.execute({ text: "select pg_sleep(20)" }))).rejects.toMatchObject({ code: "timeout" });
    expect((await sql.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
  });

  test("a slow reader is not taken for an idle transaction, unless it is slower than readerIdleMs", async () => {
    const pause = (): Promise<unknown> => database.query("select pg_sleep(0.3)");
    const patient = open({ timeoutMs: 100 });
    expect(await read(patient, many, (_, count) => (count === 1 ? pause() : count === 100 ? "break" : undefined), { batch: 10 })).toBe(100);
    const strict = open({ readerIdleMs: 50 });
    await expect(read(strict, many, (_, count) => (count === 1 ? pause() : undefined), { batch: 10 })).rejects.toMatchObject({ code: "unavailable" });
    expect((await strict.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
  });

  test("more readers than connections: the one too many is unavailable after connectMs, and nobody hangs", async () => {
    const sql = open({ connections: 1, connectMs: 50 });
    await read(sql, many, async (_, count) => {
      if (count === 1) await expect(sql.execute({ text: "select 1 as n" })).rejects.toMatchObject({ code: "unavailable", retryable: true });
      return count === 2 ? "break" : undefined;
    });
    expect((await sql.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
  });

  test("a connection that is lost while it reads is unavailable, and never an end", async () => {
    const sql = open();
    const seen: unknown[] = [];
    const reading = read(sql, many, async ({ n, pid }) => {
      if (seen.push(n) === 100) await database.query("select pg_terminate_backend($1, 5000)", [pid]);
    }, { batch: 10 });
    await expect(reading).rejects.toMatchObject({ code: "unavailable" });
    expect(seen.length).toBeLessThan(130);
    expect((await sql.execute({ text: "select 1 as n" })).rows).toEqual([{ n: 1 }]);
  });

  test("a connection that is lost while committing is interrupted, and before that nothing is stored", async () => {
    const sql = open();
    for (const text of [
      "create table last_words (n integer)",
      "create function die() returns trigger language plpgsql as 'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5); return null; end'",
      "create constraint trigger at_commit after insert on last_words deferrable initially deferred for each row when (new.n = 2) execute function die()",
    ]) await sql.execute({ text });
    const add = (n: number): Promise<unknown> => sql.transaction((session) => session.execute({ text: "insert into last_words values ($1)", values: [n] }));
    await add(1);
    await expect(add(2)).rejects.toMatchObject({ code: "interrupted", retryable: false });
    const dying = sql.transaction(async (session) => {
      await session.execute({ text: "insert into last_words values (3)" });
      await session.execute({ text: "select pg_terminate_backend(pg_backend_pid())" });
    });
    await expect(dying).rejects.toMatchObject({ code: "unavailable" });
    expect((await sql.execute({ text: "select n from last_words" })).rows).toEqual([{ n: 1 }]);
  });

  test("values as large as they may be arrive whole, and larger ones are too large", async () => {
    const sql = open();
    const text = "ä".repeat(8_000_000);
    expect((await sql.execute({ text: "select $1::text as value", values: [text] })).rows[0]?.value === text).toBe(true);
    const bytes = new Uint8Array(8_000_000).fill(171);
    const [row] = (await sql.execute({ text: "select $1::bytea as value, length($1::bytea) as length", values: [bytes] })).rows;
    expect(row?.length).toBe(8_000_000);
    expect(Buffer.compare(row?.value as Uint8Array, bytes)).toBe(0);
    await expect(sql.execute({ text: "select repeat('x', 1073741824) as value" })).rejects.toMatchObject({ code: "too_large" });
  });

  test("what the work of a transaction throws is its own, also where it looks like a lost connection", async () => {
    const sql = open();
    const foreign = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    await expect(sql.transaction(() => Promise.reject(foreign))).rejects.toBe(foreign);
    await expect(sql.transaction(() => Promise.reject(undefined))).rejects.toBe(undefined);
  });

  test("deadlocks and serialization failures are conflicts that may be tried again", async () => {
    const sql = open();
    await sql.execute({ text: "create table pair (id integer primary key)" });
    await sql.execute({ text: "insert into pair values (1), (2)" });
    const ready = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const lock = (id: number) => ({ text: "select id from pair where id = $1 for update", values: [id] });
    const crossing = ([1, 2] as const).map((id) =>
      sql.transaction(async (session) => {
        await session.execute(lock(id));
        ready[id - 1]?.resolve();
        await ready[2 - id]?.promise;
        await session.execute(lock(3 - id));
      }),
    );
    const results = await Promise.allSettled(crossing);
    expect(results.filter(({ status }) => status === "rejected")).toMatchObject([{ reason: { code: "conflict", retryable: true } }]);
  });

  test("close ends what is in progress with closed, at once", async () => {
    const sql = open();
    const calls = [sql.execute({ text: "select pg_sleep(60)" }), read(sql, many, (_, count) => (count === 5 ? sql.close() : undefined))];
    for (const result of await Promise.allSettled(calls)) expect(result).toMatchObject({ status: "rejected", reason: { code: "closed" } });
    await expect.poll(async () => (await backends()).filter(({ query }) => String(query).includes("pg_sleep(60")).length, { timeout: 5_000 }).toBe(0);
  });
});
