import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type PostgresQueue, postgresQueue, soon } from "./postgres-queue-support.ts";
import { text } from "../../src/index.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";
import { seen } from "./seen.ts";

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("postgresQueue on a ready pool", server), () => {
  let database: OwnDatabase;
  let count = 0;
  beforeAll(async () => {
    if (server.url !== undefined) database = await ownDatabase(server.url);
  });
  afterAll(() => database?.[Symbol.asyncDispose]());
  const poolOf = (settings: pg.PoolConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ connectionString: database.url, max: 1, ...settings });
    pool.on("error", () => {});
    onTestFinished(() => pool.end());
    return pool;
  };
  const made = async (client: pg.Pool): Promise<PostgresQueue> => {
    const queue = postgresQueue({ client, table: `ready_${(count += 1)}` });
    await queue.setup();
    return queue;
  };
  const listening = async (): Promise<number> =>
    (await database.query("select from pg_stat_activity where datname = current_database() and query like 'listen%' and state = 'idle'")).length;

  test.each([[0, 1], [1, 0]] as const)("two whose pool has one connection, with which one of them listens, close in either order, and the pool has it again: %i before %i", async (...order) => {
    const pool = poolOf();
    const queues = [await made(pool), await made(pool)] as const;
    const waiting = [];
    for (const queue of queues) {
      waiting.push(reading(queue).next().catch((error: unknown) => error));
      if (waiting.length === 1) await seen(async () => (await listening()) === 1);
    }
    await soon(() => pool.waitingCount >= 2);
    for (const at of order) await queues[at].close();
    expect(await Promise.all(waiting)).toMatchObject([{ code: "closed" }, { code: "closed" }]);
    expect((await pool.query("select 1 as n")).rows).toEqual([{ n: 1 }]);
  }, 30_000);

  test("who opens and leaves again and again while the pool has nothing to lend has no more places in its line, and the pool has its connection at last", async () => {
    const pool = poolOf();
    const queue = await made(pool);
    const taken = await pool.connect();
    const waiters = new Set<number>();
    for (let times = 0; times < 5; times += 1) {
      const controller = new AbortController();
      const next = reading(queue, { signal: controller.signal }).next();
      await soon(() => pool.waitingCount >= 2); // who listens, and who claims
      waiters.add(pool.waitingCount);
      controller.abort(new Error("left"));
      await expect(next).rejects.toThrow("left");
    }
    expect([...waiters]).toEqual([2]);
    const next = expect(reading(queue).next()).rejects.toMatchObject({ code: "closed" });
    taken.release(); // to who listens
    await seen(async () => (await listening()) === 1);
    await queue.close();
    await next;
    await soon(() => pool.waitingCount === 0 && pool.idleCount === 1);
  }, 60_000);

  test("whose place in the pool's line was left by another waits its own time, not what the other had left", async () => {
    const pool = poolOf({ connectionTimeoutMillis: 2_000 });
    const queue = await made(pool);
    const taken = await pool.connect();
    const left = new AbortController();
    const first = reading(queue, { signal: left.signal }).next();
    await soon(() => pool.waitingCount === 2);
    left.abort(new Error("left"));
    await expect(first).rejects.toThrow("left");
    const sending = queue.send([text("a")]);
    sending.catch(() => {});
    await soon(() => pool.waitingCount < 2); // the time of those who left is over
    taken.release();
    await sending;
    await queue.close();
  }, 30_000);

  test.each([
    ["is being made", 0, 1],
    ["was waited for in the pool's line, and is being made", 1, 0],
  ])("a connection that %s and never comes about is waited for by nobody else", async (_, lineWhenAsked, lineThen) => {
    const pool = poolOf({ max: 3 });
    const queue = await made(pool);
    await queue.send([text("a")]);
    await queue.close();
    let asked = 0;
    const halfOpen = {
      totalCount: 1,
      waitingCount: 0,
      query: (statement: string, values: unknown[]) => pool.query(statement, values),
      connect() {
        if ((asked += 1) > 2) return pool.connect();
        this.waitingCount += lineWhenAsked;
        return new Promise<pg.PoolClient>(() => {});
      },
    };
    const again = postgresQueue({ client: halfOpen, table: queue.name });
    const left = new AbortController();
    const first = reading(again, { signal: left.signal }).next();
    await soon(() => asked === 2); // who listens, and who claims
    left.abort(new Error("left"));
    await expect(first).rejects.toThrow("left");
    halfOpen.waitingCount = lineThen;
    expect(textsIn(await reading(again).settle(1))).toEqual(["a"]);
    await again.close();
  }, 30_000);
});
