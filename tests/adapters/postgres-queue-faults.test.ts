import { inspect } from "node:util";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { memoryQueue, postgres, type PostgresQueue, postgresQueue, type PostgresQueueOptions, soon } from "./postgres-queue-support.ts";
import { queueStatements } from "../../src/adapters/postgres/queue-statements.ts";
import { consume } from "../../src/delivery/worker.ts";
import { relay } from "../../src/delivery/relay.ts";
import { isText, pipe, text } from "../../src/index.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { type FaultProxy, faultProxy, refused } from "../services/fault-proxy.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";
import { type Outages, outages } from "./outages.ts";
import { seen } from "./seen.ts";

const nowhere = "postgres://u:hunter2@127.0.0.1:1/x";

describe("postgresQueue without a server", () => {
  test("refuses names and options that cannot work, and opens nothing until it is asked", async () => {
    for (const table of ["", "a b", "a.b", 'a"b', "1a", "a".repeat(64)]) {
      expect(() => postgresQueue({ connectionString: nowhere, table })).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }
    for (const options of [{ leaseMs: 1 }, { pollMs: 5_001 }, { pollMs: 0 }, { archive: "a-b" }, { schema: "a;b" }]) {
      expect(() => postgresQueue({ connectionString: nowhere, table: "t", ...options })).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }
    await postgresQueue({ connectionString: nowhere, table: "t" }).close();
  });

  test("a server that is not there is unavailable for who sends, and no error shows the password", async () => {
    await using queue = postgresQueue({ connectionString: nowhere, table: "t" });
    const error: unknown = await queue.send([text("a")]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unavailable", retryable: true });
    expect(inspect(error, { depth: 10 })).not.toContain("hunter2");
  });
});

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("postgresQueue, faults", server), () => {
  let database: OwnDatabase;
  let count = 0;
  const opened: AsyncDisposable[] = [];
  const made = async (options: Partial<PostgresQueueOptions> = {}): Promise<PostgresQueue> => {
    const queue = postgresQueue({ table: `q${(count += 1)}`, connectionString: database.url, connections: 4, ...options });
    opened.push(queue);
    if (options.table === undefined) await queue.setup();
    return queue;
  };
  const again = (queue: PostgresQueue, options: Partial<PostgresQueueOptions> = {}): Promise<PostgresQueue> => made({ table: queue.name, ...options });
  beforeAll(async () => {
    if (server.url !== undefined) database = await ownDatabase(server.url);
  });
  afterAll(async () => {
    await Promise.all(opened.map((it) => it[Symbol.asyncDispose]()));
    await database?.[Symbol.asyncDispose]();
  });
  const rows = (queue: PostgresQueue, what = "*"): Promise<Record<string, unknown>[]> => database.query(`select ${what} from ${queue.name} order by id`);

  test("a table that is not there, or is another's, is told", async () => {
    const queue = await made({ table: "missing" });
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "not_found", scope: "dependency", message: expect.stringContaining("setup()") });
    await expect(reading(queue).next()).rejects.toMatchObject({ code: "not_found" });
    await database.query("create table others (id bigint)");
    await expect((await made({ table: "others" })).setup()).rejects.toMatchObject({ code: "conflict", scope: "process" });
  });

  test("setup: all who come at once find the tables, and those that are there stay as they are", async () => {
    const queues = await Promise.all(Array.from({ length: 6 }, () => made({ table: "at_once", schema: "made", archive: "at_once_done" })));
    await Promise.all(queues.map((queue) => queue.setup()));
    await queues[0]?.send([text("a")]);
    await queues[1]?.setup();
    expect(await database.query("select from made.at_once")).toHaveLength(1);
    expect(queues[0]?.name).toBe("made.at_once");
  });

  test("a message that somebody has locked is passed over, and comes when the lock is gone with its holder", async () => {
    const queue = await made();
    for (const word of ["locked", "free"]) await queue.send([text(word)]);
    const dead = new pg.Client({ connectionString: database.url });
    dead.on("error", () => {});
    await dead.connect();
    await dead.query("begin");
    await dead.query(`select from ${queue.name} where id = 1 for update`);
    const { rows: [backend] } = await dead.query<{ pid: number }>("select pg_backend_pid() as pid");
    const reader = reading(queue);
    expect(textsIn(await reader.settle(1))).toEqual(["free"]);
    const next = reader.settle(1);
    await dead.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {});
    await seen(async () => (await database.query("select from pg_stat_activity where pid = $1", [backend?.pid])).length === 0);
    await queue.send([text("later")]); // whatever wakes it
    expect(textsIn(await next)).toEqual(["locked"]);
    await dead.end().catch(() => {});
  });

  test("who has lost a lease to another is told at every settling, and changes nothing", async () => {
    const queue = await made({ leaseMs: 60_000 });
    await queue.send([text("a")]);
    const first = await reading(queue).next();
    await database.query(`update ${queue.name} set lease_until = now() - interval '1 second'`); // as a server sees it whose clock is ahead
    const second = await reading(await again(queue)).next();
    expect([second.id, second.attempt]).toEqual([first.id, 2]);
    await expect(first.ack()).rejects.toMatchObject({ code: "closed" });
    expect(first.signal.aborted).toBe(true);
    await second.ack();
    expect(await rows(queue)).toEqual([]);
  });

  test("times are the server's: a clock that is off here changes neither delays nor leases", async () => {
    const queue = await made({ leaseMs: 60_000 });
    const { now } = Date;
    try {
      Date.now = () => now() + 86_400_000;
      await queue.send([text("a")], { delayMs: 3_600_000 });
      await queue.send([text("b")]);
      await reading(queue).take(1);
    } finally {
      Date.now = now;
    }
    const off = await rows(queue, "round(extract(epoch from due_at - now()) / 3600)::integer as hours, round(extract(epoch from lease_until - now()) / 60)::integer as minutes");
    expect(off).toEqual([{ hours: 1, minutes: null }, { hours: 0, minutes: 1 }]);
  });

  test("notifications that are lost cost time alone: the table is looked at without them", async () => {
    const queue = await made({ pollMs: 200 });
    const reader = reading(queue);
    const waiting = reader.settle(1);
    await seen(async () => (await database.query("select from pg_stat_activity where datname = current_database() and query like 'listen%'")).length > 0);
    await database.query(`insert into ${queue.name} (message_id, body, due_at) values ('m', $1, now())`, [Buffer.from('{"millrace":1,"parts":[]}')]); // tells nobody
    expect((await waiting)[0]?.messageId).toBe("m");
  });

  test("another process is woken by a notification, also after its listening connection was lost", async () => {
    const queue = await made();
    const other = await again(queue, { pollMs: 5_000 });
    const reader = reading(other);
    for (const word of ["a", "b"]) {
      const waiting = reader.settle(1);
      const listening = "select pid from pg_stat_activity where datname = current_database() and query like 'listen%' and state = 'idle'";
      await seen(async () => (await database.query(listening)).length > 0);
      await queue.send([text(word)]);
      expect(textsIn(await waiting)).toEqual([word]);
      if (word === "a") await database.query(`select pg_terminate_backend(pid) from (${listening}) as it`);
    }
  });

  test("a key is with one reader at a time, and in its order, however readers come and go", async () => {
    const queue = await made();
    for (let n = 0; n < 30; n += 1) await queue.send([text(String(n))], { key: `k${n % 2}` });
    const holders = new Map<string, Set<number>>();
    const got: [string, number][] = [];
    const over = new AbortController();
    const readAs = async (who: number, reader: PostgresQueue): Promise<void> => {
      for await (const { key = "", parts: [part], ack } of reader.open({ signal: over.signal, maxInFlight: 3 })) {
        const holding = holders.get(key) ?? new Set();
        expect([...holding.add(who)]).toEqual([who]);
        holders.set(key, holding);
        got.push([key, Number(part !== undefined && isText(part) ? part.text : NaN)]);
        await new Promise((resolve) => setImmediate(resolve));
        holding.delete(who);
        await ack();
        if (got.length === 30) over.abort();
      }
    };
    const others = await Promise.all([again(queue), again(queue)]);
    await Promise.allSettled([queue, ...others].map((each, who) => readAs(who, each)));
    expect(got).toHaveLength(30);
    for (const key of ["k0", "k1"]) {
      const own = got.filter(([of]) => of === key).map(([, n]) => n);
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
  });

  test("behind a message that failed those of its key wait, and others do not", async () => {
    const queue = await made();
    for (const [key, word] of [["k", "k1"], ["k", "k2"], ["l", "l1"]] as const) await queue.send([text(word)], { key });
    const reader = reading(queue, { maxInFlight: 1 });
    const k1 = await reader.next();
    await k1.nack({ delayMs: 400 });
    const words: string[] = [];
    while (words.length < 3) words.push(...textsIn(await reader.settle(1)));
    expect(words).toEqual(["l1", "k1", "k2"]);
  });

  test("what is sent for a key waits for those whose transaction is not over, so none is had before the one it was sent behind", async () => {
    const queue = await made();
    await using sql = postgres({ connectionString: database.url });
    const reader = reading(queue);
    let behind: Promise<unknown> | undefined;
    await sql.transaction(async (session) => {
      await queue.sendWithin(session, [text("first")], { key: "k" });
      behind = queue.send([text("second")], { key: "k" });
      await queue.send([text("without a key")]);
      await seen(async () => (await database.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).length > 0);
      expect(textsIn(await reader.settle(1))).toEqual(["without a key"]);
    });
    await behind;
    expect(textsIn(await reader.settle(2))).toEqual(["first", "second"]);
  });

  test("an archive has what was acknowledged, and only that", async () => {
    const queue = await made({ archive: "done_messages" });
    for (const word of ["a", "b"]) await queue.send([text(word)], { id: word });
    const [a, b] = await reading(queue).take(2);
    await a?.ack();
    await b?.nack({ delayMs: 60_000 });
    expect(await database.query("select message_id, attempts from done_messages")).toEqual([{ message_id: "a", attempts: 1 }]);
    expect(await rows(queue, "message_id")).toEqual([{ message_id: "b" }]);
  });

  test("an outbox: what is sent within a transaction is there exactly if that commits, and reaches the other queue under its id", async () => {
    const queue = await made();
    await using sql = postgres({ connectionString: database.url });
    await sql.execute({ text: "create table orders (id integer)" });
    const order = (id: number, fails: boolean): Promise<void> =>
      sql.transaction(async (session) => {
        await session.execute({ text: "insert into orders values ($1)", values: [id] });
        await queue.sendWithin(session, [text(`order ${id}`)], { id: `order-${id}`, key: "orders" });
        if (fails) throw new Error("no");
      });
    for (let id = 0; id < 10; id += 1) await order(id, id % 3 === 0).catch(() => {});
    const target = memoryQueue({ name: "target" });
    await using worker = relay(queue, target, { ackOn: "handoff" });
    await soon(() => worker.counters.acked === 6);
    const ids = (await database.query("select id from orders order by id")).map(({ id }) => `order-${String(id)}`);
    const arrived = await reading(target).settle(6);
    expect(arrived.map(({ messageId }) => messageId)).toEqual(ids);
  });

  test("a claim reads what waits by its index, not the whole table, when most of it has been settled", async () => {
    const queue = await made();
    await database.query(`insert into ${queue.name} (message_id, body, due_at, key) select n, '{}', now(), case when n % 10 = 0 then 'k' || n % 100 end from generate_series(1, 20000) as n`);
    await database.query(`analyze ${queue.name}`);
    const { claim } = queueStatements("test", { schema: undefined, table: queue.name, archive: undefined });
    const plan = await database.query(`explain ${claim}`, [crypto.randomUUID(), 1_000, 10]);
    expect(JSON.stringify(plan)).not.toContain("Seq Scan");
  });

  describe("through a proxy", () => {
    let proxy: FaultProxy;
    let url = "";
    beforeAll(async () => {
      const at = new URL(database.url);
      proxy = await faultProxy(Number(at.port), at.hostname);
      at.port = String(proxy.port);
      at.hostname = "127.0.0.1";
      url = at.href;
    });
    afterAll(() => proxy?.[Symbol.asyncDispose]());
    /** Gives what was told of outages. */
    const worked = async (during: (done: () => number) => Promise<void>): Promise<Outages> => {
      const queue = await made();
      for (let n = 0; n < 300; n += 1) void queue.send([text(String(n))]);
      await seen(async () => (await rows(queue, "id")).length === 300);
      const far = await again(queue, { connectionString: url, leaseMs: 30_000 });
      const words = new Set<string>();
      const away = outages();
      const worker = consume(far, pipe(), async (part) => {
        if (isText(part)) words.add(part.text);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }, { concurrency: 4, maxInFlight: 8, onEvent: away.tell });
      await during(() => words.size);
      await seen(async () => (await rows(queue, "id")).length === 0);
      await worker.stop({ deadlineMs: 500 });
      expect(words.size).toBe(300);
      await far.close();
      await soon(() => proxy.open === 0);
      return away;
    };

    test("connections that are cut again and again cost no message, and the worker goes on with the same queue", async () => {
      const away = await worked(async (done) => {
        for (const at of [40, 100, 160]) {
          await soon(() => done() >= at);
          proxy.cut();
        }
      });
      expect([away.all.length <= 3, away.apart]).toEqual([true, true]); // where no call was on its way nobody has noticed
    });

    test("a server that refuses is come back to some times a second, no more, and is used when it takes connections again", async () => {
      const away = await worked(async (done) => {
        await soon(() => done() >= 40);
        const tookMs = await refused(proxy, 10);
        expect(tookMs).toBeGreaterThan((10 / 5) * 1_000);
        proxy.heal();
      });
      expect(away.all.length).toBeLessThanOrEqual(1); // where no call was on its way nobody has noticed
    });

    test("a send whose answer is cut off is interrupted: nobody knows", async () => {
      const queue = await made();
      const far = await again(queue, { connectionString: url, connections: 1 });
      await far.send([text("a")]);
      proxy.faults.silent = "down";
      const sending = far.send([text("b")]);
      const failing = expect(sending).rejects.toMatchObject({ code: "interrupted", retryable: false });
      await seen(async () => (await rows(queue, "id")).length === 2);
      proxy.cut();
      await failing;
      proxy.heal();
      await far.close();
      await soon(() => proxy.open === 0);
    });

    test.each(["its own connections", "a ready pool"])("an abort of a waiting reader rejects with its reason, and closing leaves no connection, also where nobody answers: %s", async (which) => {
      const queue = await made();
      const pool = which === "a ready pool" ? new pg.Pool({ connectionString: url }) : undefined;
      pool?.on("error", () => {});
      const far = postgresQueue({ table: queue.name, ...(pool === undefined ? { connectionString: url } : { client: pool }) });
      opened.push(far);
      const reason = new Error("enough");
      const controller = new AbortController();
      const waiting = reading(far, { signal: controller.signal }).next();
      await soon(() => proxy.open >= 2);
      proxy.faults.silent = "both";
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await far.close();
      proxy.heal();
      await pool?.end();
      await soon(() => proxy.open === 0);
    }, 60_000);
  });
});
