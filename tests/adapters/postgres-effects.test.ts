import { fork } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresJournal } from "../../src/adapters/postgres/index.ts";
import { memoryQueue, postgres, postgresQueue, soon } from "./postgres-queue-support.ts";
import { consume } from "../../src/delivery/worker.ts";
import { sqlSink } from "../../src/delivery/sql-sink.ts";
import { each, from, isText, type Part, pipe, run, text } from "../../src/index.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import type { SqlDatabase } from "../../src/kinds/sql.ts";
import { reading } from "../../src/testing/contracts/queue-reading.ts";
import { programFolder } from "../programs.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("effects in Postgres", server), () => {
  let database: OwnDatabase;
  let sql: SqlDatabase;
  beforeAll(async () => {
    if (server.url === undefined) return;
    database = await ownDatabase(server.url);
    sql = postgres({ connectionString: database.url });
    await sql.execute({ text: "create table effects (id text, n integer)" });
  });
  afterAll(async () => {
    await sql?.close();
    await database?.[Symbol.asyncDispose]();
  });
  const sinkOf = (inbox: string) =>
    sqlSink(sql, {
      inbox,
      write: (session, part, { key }) => session.execute({ text: "insert into effects values ($1, $2)", values: [key, isText(part) ? Number(part.text) : null] }),
    });
  const delivery = async (): Promise<Delivery> => {
    const queue = memoryQueue({ name: "q" });
    await queue.send([text("1")]);
    return reading(queue).next();
  };
  const about = (it: Delivery, n: number) => ({ key: `${it.id}:${n}`, delivery: it, deliveries: [it], signal: it.signal });
  const effects = async (): Promise<unknown[]> => (await database.query("select id from effects order by id")).map(({ id }) => id);

  test("sqlSink: of several that do one delivery at once, one does it, and none of a failed one is left", async () => {
    const sink = sinkOf("at_once");
    await Promise.all([sink.setup(), sink.setup()]);
    const it = await delivery();
    const failing = sink.atomic(it, async (inner) => {
      await inner.write(text("1"), about(it, 0));
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await effects()).toEqual([]);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => sink.atomic(it, (inner) => inner.write(text("1"), about(it, 0)))));
    expect(outcomes.toSorted()).toEqual(["already-applied", "already-applied", "already-applied", "already-applied", "applied"]);
    expect(await effects()).toEqual(["q/1:0"]);
    await database.query("truncate effects");
  });

  test("sqlSink: setup makes the schema that is named, and none otherwise; twice is fine", async () => {
    const schemas = async (): Promise<unknown[]> => (await database.query("select nspname from pg_namespace where nspname !~ '^pg_' order by 1")).map(({ nspname }) => nspname);
    const before = await schemas();
    await sinkOf("plain_inbox").setup();
    expect(await schemas()).toEqual(before);
    const sink = sqlSink(sql, { inbox: "inbox", schema: "own_schema", write: async () => {} });
    await sink.setup();
    await sink.setup();
    expect((await schemas()).filter((it) => !before.includes(it))).toEqual(["own_schema"]);
    expect(await sink.atomic(await delivery(), async () => {})).toBe("applied");
    expect(await database.query("select id from own_schema.inbox")).toEqual([{ id: expect.stringMatching(/^q\/1@/) as string }]);
  });

  test("sqlSink: a delivery that was lost meanwhile has no effect", async () => {
    const sink = sinkOf("lost");
    await sink.setup();
    const it = await delivery();
    const lost = new AbortController();
    const writing = sink.atomic({ ...it, signal: lost.signal }, async (inner) => {
      await inner.write(text("1"), about(it, 0));
      lost.abort(new Error("lost"));
    });
    await expect(writing).rejects.toThrow("lost");
    expect(await effects()).toEqual([]);
  });

  test("sqlSink: what is older than keepMs is swept, and refused options are told", async () => {
    const sink = sqlSink(sql, { inbox: "swept", keepMs: 60_000, write: async () => {}, id: ({ id }) => id });
    await sink.setup();
    await database.query("insert into swept select n::text, now() - interval '2 minutes' from generate_series(1, 50) as n");
    for (let n = 0; n < 100; n += 1) await sink.atomic({ ...(await delivery()), id: `new-${n}` }, async () => {});
    expect(await database.query("select count(*)::integer as n from swept")).toEqual([{ n: 100 }]);
    for (const options of [{ inbox: "a b" }, { keepMs: 0 }, { schema: "a-b" }]) {
      expect(() => sqlSink(sql, { inbox: "x", write: async () => {}, ...options })).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }
  });

  test("sqlSink: a commit whose answer is lost is found out by the next attempt, and done once", async () => {
    const sink = sinkOf("commits");
    await sink.setup();
    await database.query("create function die() returns trigger language plpgsql as 'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5); return null; end'");
    await database.query("create table deaths (n integer); insert into deaths values (1)");
    await database.query("create constraint trigger at_commit after insert on commits deferrable initially deferred for each row when (new.id = 'c/1@m1') execute function die()");
    await using queue = memoryQueue({ name: "c" });
    await queue.send([text("1")], { id: "m1" });
    const kinds: string[] = [];
    await using worker = consume(queue, pipe(), sink, {
      baseMs: 10,
      onEvent({ kind }) {
        kinds.push(kind);
        if (kind === "retried") void database.query("drop trigger if exists at_commit on commits");
      },
    });
    await soon(() => worker.counters.acked === 1);
    expect(kinds[0]).toBe("retried");
    expect(await effects()).toEqual(["c/1@m1:0"]);
    await database.query("truncate effects");
  });

  test("postgresJournal: of several that record at once the first wins, and one that dies in between has recorded nothing", async () => {
    await using one = postgresJournal({ connectionString: database.url, table: "journal" });
    await using two = postgresJournal({ connectionString: database.url, table: "journal" });
    await one.setup();
    const textOf = (parts: AsyncIterable<Part>): Promise<string> => run(pipe(), parts).text();
    const dying = one.once("k", async function* () {
      yield text("half");
      throw new Error("dies");
    });
    await expect(textOf(dying)).rejects.toThrow("dies");
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => textOf((n % 2 === 0 ? one : two).once("k", () => from(`answer ${n}`)))));
    expect(new Set(answers).size).toBe(1);
    expect(await textOf(two.once("k", () => from("another")))).toBe(answers[0]);
    await database.query("update journal set expires_at = now() - interval '1 second'");
    expect(await textOf(two.once("k", () => from("after its time")))).toBe("after its time");
  });

  test("a worker that is killed again and again has the effects of each message exactly once", async () => {
    const [messages, killings] = [300, 2];
    await using queue = postgresQueue({ connectionString: database.url, table: "killed" });
    await queue.setup();
    await database.query("create table killed_effects (n integer)");
    await sqlSink(sql, { inbox: "killed_inbox", write: async () => {} }).setup();
    await Promise.all(Array.from({ length: messages }, (_, n) => queue.send([text(String(n))])));
    const folder = programFolder({ "worker.ts": worker });
    let kills = 0;
    let twice = 0;
    try {
      for (let round = 0; ; round += 1) {
        const child = fork(`${folder}/worker.ts`, [database.url], { execArgv: ["--conditions=millrace-source"], stdio: "ignore" });
        const ended = once(child, "exit");
        // by what it has done, not by the clock: some dozens of messages into its work
        let acked = 0;
        const enough = 20 + ((round * 37) % 60);
        child.on("message", () => {
          acked += 1;
          if (acked === enough && round < killings) child.kill("SIGKILL");
        });
        if (round >= killings) {
          await soon(() => acked > 0 || child.exitCode !== null);
          for (let left = 1; left > 0; ) left = Number((await database.query("select count(*)::integer as n from killed"))[0]?.["n"]);
          child.kill("SIGKILL");
          await ended;
          break;
        }
        await ended;
        kills += 1;
        twice += Number((await database.query("select count(*)::integer as n from killed where holder is not null"))[0]?.["n"]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    expect([kills, twice > 0]).toEqual([killings, true]); // killed in the midst of messages, or nothing is shown
    expect(await database.query("select count(*)::integer as rows, count(distinct n)::integer as messages from killed_effects")).toEqual([{ rows: messages, messages }]);
  }, 120_000);

  test("each as a pipeline that fails now and then writes what it gives once", async () => {
    await using queue = postgresQueue({ connectionString: database.url, table: "shaky" });
    await queue.setup();
    await sql.execute({ text: "create table shaky_effects (word text)" });
    const sink = sqlSink(sql, { inbox: "shaky_inbox", write: (session, part) => session.execute({ text: "insert into shaky_effects values ($1)", values: [isText(part) ? part.text : null] }) });
    await sink.setup();
    for (let n = 0; n < 40; n += 1) await queue.send([text(String(n))]);
    let calls = 0;
    const shaky = each((part) => {
      calls += 1;
      if (calls % 3 === 0) throw new TypeError("now and then");
      return [part, part];
    });
    await using worker_ = consume(queue, shaky, sink, { concurrency: 4, baseMs: 1, maxMs: 1 });
    await soon(() => worker_.counters.acked === 40);
    expect(await database.query("select count(*)::integer as rows, count(distinct word)::integer as words from shaky_effects")).toEqual([{ rows: 80, words: 40 }]);
  });
});

/** Works through the queue, and says each message that it has acknowledged. */
const worker = `
import { consume, isText, pipe, sqlSink } from "millrace";
import { postgres, postgresQueue } from "millrace/adapters/postgres";
const connectionString = process.argv[2] ?? "";
const sql = postgres({ connectionString, connections: 8 });
const sink = sqlSink(sql, {
  inbox: "killed_inbox",
  write: (session, part) => session.execute({ text: "insert into killed_effects values ($1)", values: [isText(part) ? Number(part.text) : null] }),
});
consume(postgresQueue({ connectionString, table: "killed", leaseMs: 500 }), pipe(), sink, {
  concurrency: 8,
  onEvent: ({ kind }) => void (kind === "acked" && process.send?.("acked")),
});
`;
