import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresQueue, postgresQueue, type PostgresQueueOptions } from "./postgres-queue-support.ts";
import { type Delivery, text } from "../../src/index.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { type FaultProxy, faultProxy, refused } from "../services/fault-proxy.ts";
import { ownDatabase, type OwnDatabase, service, titled } from "../services.ts";
import { seen } from "./seen.ts";

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("postgresQueue, what counts as an attempt", server), () => {
  let database: OwnDatabase;
  let proxy: FaultProxy;
  let far = "";
  let count = 0;
  const opened: PostgresQueue[] = [];
  beforeAll(async () => {
    if (server.url === undefined) return;
    database = await ownDatabase(server.url);
    const at = new URL(database.url);
    proxy = await faultProxy(Number(at.port), at.hostname);
    at.port = String(proxy.port);
    at.hostname = "127.0.0.1";
    far = at.href;
  });
  afterAll(async () => {
    await Promise.all(opened.map((queue) => queue.close()));
    await proxy?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });
  const made = async (options: Partial<PostgresQueueOptions>): Promise<PostgresQueue> => {
    const queue = postgresQueue({ connectionString: database.url, table: `counted_${(count += 1)}`, ...options });
    opened.push(queue);
    await queue.setup();
    return queue;
  };
  const send = async (queue: PostgresQueue, ...words: string[]): Promise<void> => {
    for (const word of words) await queue.send([text(word)]);
  };
  const attempts = (deliveries: readonly Delivery[]): string[] => deliveries.map((delivery) => `${textsIn([delivery]).join()} ${delivery.attempt}`).toSorted();
  const rows = (queue: PostgresQueue, what: string): Promise<Record<string, unknown>[]> => database.query(`select ${what} from ${queue.name} order by id`);
  const isLost = ({ signal }: Delivery): Promise<void> => new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

  test("what was claimed and not handed out counts nothing when nobody asks for it as long as the lease lasts; what was handed out does", async () => {
    const queue = await made({ leaseMs: 2_000 });
    await send(queue, "a", "b", "c", "d", "e");
    const reader = reading(queue, { maxInFlight: 5 });
    const a = await reader.next();
    expect(await rows(queue, "attempts")).toEqual(Array(5).fill({ attempts: 1 }));
    await isLost(a);
    await seen(async () => (await rows(queue, "lease_until > now() as lasts")).every(({ lasts }) => lasts !== true));
    expect(attempts(await reader.settle(5))).toEqual(["a 2", "b 1", "c 1", "d 1", "e 1"]);
  });

  test("what one reader does not ask for another gets before the lease is over", async () => {
    const queue = await made({ leaseMs: 6_000 });
    await send(queue, "a", "b");
    const a = await reading(queue, { maxInFlight: 2 }).next();
    expect(attempts(await reading(queue).settle(1))).toEqual(["b 1"]);
    expect(a.signal.aborted).toBe(false);
    await a.ack();
  });

  test("a claim that is answered after its lease was over counts what was handed out, and nothing else", async () => {
    const queue = await made({ leaseMs: 100 });
    await send(queue, "a", "b", "c");
    const slow = postgresQueue({ connectionString: far, table: queue.name, leaseMs: 100 });
    opened.push(slow);
    proxy.faults.latencyMs = 100; // each way
    await reading(slow).next();
    await seen(async () => (await rows(queue, "holder")).filter(({ holder }) => holder === null).length === 2);
    proxy.heal();
    expect(await rows(queue, "attempts")).toEqual([{ attempts: 1 }, { attempts: 0 }, { attempts: 0 }]);
  });

  test("what could not be given back, as nobody answered, counts nothing either once the server is back", async () => {
    const queue = await made({ connectionString: far, leaseMs: 2_000 });
    await send(queue, "a", "b");
    const reader = reading(queue, { maxInFlight: 2 });
    const a = await reader.next();
    proxy.faults.silent = "up";
    await isLost(a);
    proxy.faults.refuse = true;
    proxy.cut();
    await seen(async () => (await rows(queue, "lease_until > now() as lasts")).every(({ lasts }) => lasts === false));
    proxy.heal();
    expect(attempts(await reader.settle(2))).toEqual(["a 2", "b 1"]);
  });

  test.each([60_000, 1_000])("a claim whose answer was lost counts nothing once the reader has the server again, whether its lease of %i ms is over or not", async (leaseMs) => {
    const queue = await made({ connectionString: far, leaseMs });
    const reader = reading(queue);
    await send(queue, "warm");
    await reader.settle(1);
    await send(queue, "a");
    proxy.faults.silent = "down";
    const next = reader.next();
    await seen(async () => (await rows(queue, "attempts"))[0]?.["attempts"] === 1);
    if (leaseMs === 1_000) await seen(async () => (await rows(queue, "lease_until < now() as over"))[0]?.["over"] === true);
    await refused(proxy, 4);
    proxy.heal();
    expect(attempts([await next])).toEqual(["a 1"]);
  });

  test("what was handed out counts, also when its lease was lost here while the answer to prolonging it was on its way", async () => {
    const queue = await made({ connectionString: far, leaseMs: 1_000 });
    await send(queue, "a");
    const reader = reading(queue);
    const a = await reader.next();
    proxy.faults.silent = "down";
    const extending = expect(a.extend?.(60_000)).rejects.toMatchObject({ code: "closed" });
    await seen(async () => (await rows(queue, "lease_until > now() + interval '30 seconds' as lasts"))[0]?.["lasts"] === true);
    await isLost(a);
    const next = reader.next();
    await refused(proxy, 4);
    proxy.heal();
    await extending;
    expect(attempts([await next])).toEqual(["a 2"]);
  });
});
