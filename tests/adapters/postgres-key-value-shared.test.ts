import fc from "fast-check";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { postgresKeyValue, type PostgresKeyValue } from "../../src/adapters/postgres/key-value.ts";
import { run } from "../../src/core/run.ts";
import { MillraceError } from "../../src/core/errors.ts";
import { text } from "../../src/core/constructors.ts";
import { cache } from "../../src/resilience/cache.ts";
import { circuitBreaker } from "../../src/resilience/circuit-breaker.ts";
import { rateLimit } from "../../src/resilience/rate-limit.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { ownDatabase, service, titled } from "../services.ts";
import { seen } from "./seen.ts";

/** Marks move in hours here: what passes while a test runs is next to nothing. */
const unitMs = 3_600_000;
const units = (ms: number | undefined): number => Math.round((ms ?? 0) / unitMs);

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("one table of Postgres, from several pools", server), async () => {
  if (server.url === undefined) return;
  const database = await ownDatabase(server.url);
  const { url: connectionString } = database;
  const processes = Array.from({ length: 4 }, () => postgresKeyValue({ connectionString, table: "shared", connections: 6 }));
  const [one, two] = processes as [PostgresKeyValue, PostgresKeyValue];
  await one.setup();
  afterAll(async () => {
    await Promise.all(processes.map((store) => store.close()));
    await database[Symbol.asyncDispose]();
  });
  const of = (i: number): PostgresKeyValue => processes[i % processes.length] ?? one;

  test("setup: all of those who come at once find the table", async () => {
    await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      await using store = postgresKeyValue({ connectionString, table: "at_once", schema: "made", connections: 1 });
      await store.setup();
      expect(await store.set(`${i}`, Uint8Array.of(i))).toBe(true);
    }));
    expect(await database.query("select from made.at_once")).toHaveLength(12);
  });

  test("marks: every answer fits into one order of all callers, and the last room is given once", async () => {
    const limit = 100;
    const costs = fc.sample(fc.integer({ min: 1, max: 5 }), 80);
    for (const key of ["a", "b", "c"]) {
      const answers = await Promise.all(
        costs.map(async (cost, i) => ({ cost, ...(await of(i).advance(key, { cells: { byMs: cost * unitMs, withinMs: (limit + 0.5) * unitMs } })) })),
      );
      let sum = 0;
      for (const { cost, aheadMs } of answers.filter(({ taken }) => taken).toSorted((x, y) => units(x.aheadMs["cells"]) - units(y.aheadMs["cells"]))) {
        sum += cost;
        expect(units(aheadMs["cells"])).toBe(sum);
      }
      expect(sum).toBeGreaterThan(limit - 5);
      for (const { cost, aheadMs, waitMs } of answers.filter(({ taken }) => !taken)) {
        expect(units(aheadMs["cells"]) + cost).toBeGreaterThan(limit);
        expect(units(waitMs + unitMs / 2)).toBe(units(aheadMs["cells"]) + cost - limit);
      }
      expect(units((await two.advance(key, {})).aheadMs["cells"])).toBe(sum);
    }
  });

  test("marks: a key that nobody has used is made by one of those who come at once, and all of them count", async () => {
    for (let round = 0; round < 20; round += 1) {
      const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => of(i).advance(`new ${round}`, { cells: { byMs: unitMs, withinMs: 7.5 * unitMs } })));
      expect(answers.filter(({ taken }) => taken).map(({ aheadMs }) => units(aheadMs["cells"])).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    }
  });

  test("marks: what is given back while others take is neither lost nor counted twice", async () => {
    await one.advance("back", { cells: { byMs: 100 * unitMs } });
    const moves = fc.sample(fc.integer({ min: -2, max: 3 }), 80);
    await Promise.all(moves.map((by, i) => of(i).advance("back", { cells: { byMs: by * unitMs } })));
    expect(units((await two.advance("back", {})).aheadMs["cells"])).toBe(moves.reduce((sum, by) => sum + by, 100));
  });

  test("marks: a call that waited for another sees what that one did, by the clock of when its turn came", async () => {
    await one.advance("turn", { cells: { byMs: unitMs } });
    const other = new pg.Client({ connectionString });
    await other.connect();
    try {
      await other.query("begin");
      await other.query("select from shared where key = 'turn' for update");
      const waiting = two.advance("turn", { cells: { byMs: unitMs } });
      await seen(async () => (await database.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).length > 0);
      await other.query(`update shared set marks = jsonb_build_object('cells', extract(epoch from clock_timestamp())::numeric * 1000 + ${5 * unitMs}) where key = 'turn'`);
      await other.query("commit");
      const { aheadMs } = await waiting;
      expect(aheadMs["cells"]).toBeLessThanOrEqual(6 * unitMs);
      expect(aheadMs["cells"]).toBeGreaterThan(6 * unitMs - 60_000);
    } finally {
      await other.end();
    }
  });

  test("values: one of many sets once, also where a value is past and not yet gone", async () => {
    await one.set("past", new Uint8Array(1));
    await database.query("update shared set expires_at = now() - interval '1 minute' where key = 'past'");
    for (const key of ["once", "past"]) {
      const sets = await Promise.all(Array.from({ length: 24 }, (_, i) => of(i).set(key, Uint8Array.of(i), { ifAbsent: true, ttlMs: unitMs })));
      expect(sets.filter(Boolean)).toHaveLength(1);
      expect(await one.get(key)).toEqual(Uint8Array.of(sets.indexOf(true)));
    }
  });

  test("values: a sweep passes over what somebody is about to renew, and waits for nobody", async () => {
    for (const key of ["renewed", "not renewed"]) await one.set(key, Uint8Array.of(1));
    const other = new pg.Client({ connectionString });
    await other.connect();
    try {
      await database.query("update shared set expires_at = now() - interval '1 minute' where key like '%renewed'");
      await other.query("begin");
      await other.query("update shared set expires_at = null where key = 'renewed'");
      await using sweeping = postgresKeyValue({ connectionString, table: "shared", timeoutMs: 2_000 });
      await sweeping.set("sweeps", Uint8Array.of(1));
      expect(await database.query("select key from shared where key like '%renewed'")).toEqual([{ key: "renewed" }]);
      await other.query("commit");
      expect(await two.get("renewed")).toEqual(Uint8Array.of(1));
    } finally {
      await other.end();
    }
  });

  test("values: writers, sweeps and readers at once never meet in a circle, and nothing that lives is swept", async () => {
    const names = Array.from({ length: 10 }, (_, i) => `busy ${i}`);
    await Promise.all(
      Array.from({ length: 600 }, async (_, i) => {
        const name = names[(i * 7) % names.length] ?? "";
        if (i % 3 === 0) await of(i).advance(name, { a: { byMs: 1 } });
        else await of(i).set(name, Uint8Array.of(i % 256), i % 2 === 0 ? { ttlMs: 1 } : {});
      }),
    );
    for (const name of names) await one.set(name, Uint8Array.of(1), { ttlMs: unitMs });
    await Promise.all(Array.from({ length: 250 }, (_, i) => of(i).set("other", Uint8Array.of(1))));
    expect(await Promise.all(names.map((name) => two.get(name)))).toEqual(names.map(() => Uint8Array.of(1)));
  });

  test("rateLimit: two processes together make no more calls than the limit says", async () => {
    let calls = 0;
    const process = (store: PostgresKeyValue): ReturnType<typeof rateLimit> =>
      rateLimit(async function* (input) {
        calls += 1;
        yield* input;
      }, { requests: 10, perMs: 10 * unitMs, waitMs: 1, store, key: ["service", "account", "model"], onStoreError: "fail", storeTimeoutMs: 60_000 });
    const [a, b] = [process(one), process(two)];
    const settled = await Promise.allSettled(Array.from({ length: 24 }, (_, i) => run(i % 2 === 0 ? a : b, "x").text()));
    expect(calls).toBe(10);
    for (const result of settled) if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "rate_limited", retryAfterMs: expect.any(Number) });
  });

  test("cache: what one process was answered, the other answers again", async () => {
    let calls = 0;
    const process = (store: PostgresKeyValue): { readonly answer: ReturnType<typeof cache>; readonly stored: Promise<void> } => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const options = { scope: "public", store, secret: "0123456789abcdef", name: "shout", version: "1", storeTimeoutMs: 60_000 };
      const answer = cache(async function* (input) {
        calls += 1;
        for await (const part of input) yield text(part.kind === "text" ? part.text.toUpperCase() : "");
      }, { ...options, onEvent: ({ kind }) => kind === "stored" && resolve() });
      return { answer, stored: promise };
    };
    const [a, b] = [process(one), process(two)];
    expect(await run(a.answer, "hello").text()).toBe("HELLO");
    await a.stored;
    expect(await run(b.answer, "hello").text()).toBe("HELLO");
    expect(calls).toBe(1);
  });

  test("circuitBreaker: a service that one process found down is left alone by the other", async () => {
    const clock = fakeClock();
    let calls = 0;
    const process = (store: PostgresKeyValue): ReturnType<typeof circuitBreaker> =>
      circuitBreaker(async function* () {
        calls += 1;
        throw new MillraceError("unavailable", "down");
      }, { name: "model", failureThreshold: 1, openMs: unitMs, store, clock });
    const [a, b] = [process(one), process(two)];
    await expect(run(a, "x").text()).rejects.toMatchObject({ code: "unavailable" });
    await seen(async () => (await two.advance("millrace:circuit:model", {})).aheadMs["open"] !== undefined);
    await expect(run(b, "x").text()).rejects.toMatchObject({ code: "circuit_open" });
    expect(calls).toBe(1);
  });
});
