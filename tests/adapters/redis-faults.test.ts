import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { redisKeyValue, redisStreams } from "../../src/adapters/redis/index.ts";
import { consume, isText, pipe, type Queue, text, type Worker } from "../../src/index.ts";
import { service, titled } from "../services.ts";
import { type FaultProxy, faultProxy, refused } from "../services/fault-proxy.ts";
import { openHost } from "../services/host.ts";
import { askRedis, type RedisServer, startRedis } from "../services/redis.ts";
import { type Outages, outages } from "./outages.ts";
import { eventually } from "./redis/names.ts";

const server = await service("redis");
const skip = server.skip ?? (server.from === "REDIS_URL" ? "the server is not ours to kill" : undefined);

/** Sends numbers until it is told to end; what was confirmed is owed. */
function sending(queue: Queue): { readonly owed: Set<string>; end(): Promise<void> } {
  const owed = new Set<string>();
  let going = true;
  const work = Promise.all(Array.from({ length: 4 }, async (_, lane) => {
    for (let i = 0; going; i += 1) {
      const word = `${lane}-${i}`;
      try {
        await queue.send([text(word)]);
        owed.add(word);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20)); // not confirmed, so not owed
      }
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }));
  return {
    owed,
    async end() {
      going = false;
      await work;
    },
  };
}

/** Does what comes, and notes it before it is acknowledged. */
function working(queue: Queue): { readonly done: Map<string, number>; readonly away: Outages; readonly worker: Worker } {
  const away = outages();
  const done = new Map<string, number>();
  const worker = consume(queue, pipe(), async (part) => {
    if (isText(part)) done.set(part.text, (done.get(part.text) ?? 0) + 1);
  }, { concurrency: 20, maxInFlight: 50, onEvent: away.tell });
  return { done, away, worker };
}

const missing = (owed: ReadonlySet<string>, done: ReadonlyMap<string, number>): string[] => [...owed].filter((word) => !done.has(word));

describe.skipIf(skip !== undefined)(titled("a Redis that is killed, and connections that break", skip === undefined ? server : { skip }), () => {
  const withServer = async (body: (server: RedisServer, again: () => Promise<RedisServer>, proxy: FaultProxy) => Promise<void>): Promise<void> => {
    const host = openHost();
    try {
      const own = await startRedis(host);
      await using proxy = await faultProxy(own.port);
      await body(own, () => startRedis(host, own), proxy);
    } finally {
      await host.close();
    }
  };

  test("a server that is killed twice and started again on its data loses nothing that was confirmed; worker and sender go on, and the worker tells of both", () =>
    withServer(async (own, again) => {
      await using queue = redisStreams({ url: own.url, stream: "jobs", leaseMs: 3_000 });
      const { owed, end } = sending(queue);
      const { done, away, worker } = working(queue);
      let running = own;
      for (let kills = 0; kills < 2; kills += 1) {
        const before = done.size;
        await eventually(() => done.size > before + 300);
        await running.process.stop("SIGKILL");
        running = await again();
      }
      const before = done.size;
      await eventually(() => done.size > before + 300);
      await end();
      await eventually(() => missing(owed, done).length === 0);
      expect([...done.values()].filter((times) => times > 1).length).toBeLessThanOrEqual(2 * 50 + worker.counters.lost);
      expect([away.all.length, away.apart]).toEqual([2, true]);
      await worker.stop();
    }), 120_000);

  test("connections that are cut, silent for one side or refused lose nothing; the worker comes back in no hurry, and soon, and tells of no outage twice", () =>
    withServer(async (own, _, proxy) => {
      await using direct = redisStreams({ url: own.url, stream: "jobs" });
      await using queue = redisStreams({ url: `redis://127.0.0.1:${proxy.port}`, stream: "jobs", leaseMs: 3_000, timeoutMs: 500 });
      const { owed, end } = sending(direct);
      const { done, away, worker } = working(queue);
      const goesOn = async (): Promise<void> => {
        const before = done.size;
        await eventually(() => done.size > before + 200);
      };
      await goesOn();
      for (let cuts = 0; cuts < 3; cuts += 1) {
        proxy.cut();
        await goesOn();
      }
      for (const direction of ["up", "down"] as const) {
        proxy.faults.silent = direction;
        const { connections } = proxy;
        await eventually(() => proxy.connections > connections); // it did not wait for ever
        proxy.heal();
        proxy.cut();
        await goesOn();
      }
      const tookMs = await refused(proxy, 6);
      expect(tookMs).toBeGreaterThan((6 / 2 / 5) * 1_000); // of two connections
      proxy.heal();
      await goesOn();
      await end();
      await eventually(() => missing(owed, done).length === 0);
      // while the worker pauses nobody reads: two outages may be one then, and a reading that is given up tells of none
      expect([away.all.length > 0 && away.all.length <= 3 + 2 + 1, away.apart]).toEqual([true, true]);
      await worker.stop();
      await queue.close();
      await eventually(() => proxy.open === 0);
    }), 120_000);

  test("a server that takes no writes is unavailable: full, or a replica", () =>
    withServer(async (own) => {
      await using queue = redisStreams({ url: own.url, stream: "jobs" });
      await using store = redisKeyValue({ url: own.url });
      for (const [on, off] of [["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"], ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"]] as const) {
        await askRedis(own.port, on);
        await expect(queue.send([text("x")])).rejects.toMatchObject({ code: "unavailable", retryable: true });
        await expect(store.set("x", new Uint8Array(1))).rejects.toMatchObject({ code: "unavailable", retryable: true });
        await expect(store.advance("x", { a: { byMs: 1_000 } })).rejects.toMatchObject({ code: "unavailable", retryable: true });
        await askRedis(own.port, off);
        await queue.send([text("x")]);
      }
    }), 120_000);

  test("the queue tells what the server's confirmations are worth, as far as the server lets itself be asked", () =>
    withServer(async (own) => {
      await using queue = redisStreams({ url: own.url, stream: "jobs" });
      expect(await queue.persistence()).toEqual({ appendOnly: true, fsync: "always" });
      await askRedis(own.port, "CONFIG SET appendfsync everysec");
      expect(await queue.persistence()).toEqual({ appendOnly: true, fsync: "everysec" });
      for (const [user, rights, known] of [["some", "-config", { appendOnly: true }], ["none", "-info -config", undefined]] as const) {
        await askRedis(own.port, `ACL SETUSER ${user} on >pw ~* +@all ${rights}`);
        await using asking = redisStreams({ url: own.url.replace("//", `//${user}:pw@`), stream: "jobs" });
        expect(await asking.persistence()).toEqual(known);
        await asking.send([text("x")]); // nothing depends on it
      }
      await askRedis(own.port, "CONFIG SET appendonly no");
      expect(await queue.persistence()).toEqual({ appendOnly: false });
      const client = new Redis(own.url, { lazyConnect: true });
      await using other = redisStreams({ client, stream: "jobs" });
      expect(await other.persistence()).toEqual({ appendOnly: false });
      await expect(queue.persistence({ signal: AbortSignal.abort("enough") })).rejects.toBe("enough");
      await own.process.stop("SIGKILL");
      await expect(queue.persistence()).rejects.toMatchObject({ code: "unavailable" });
      await queue.close();
      await expect(queue.persistence()).rejects.toMatchObject({ code: "closed" });
    }), 120_000);

  test("a value that was confirmed is there after the server was killed", () =>
    withServer(async (own, again) => {
      await using store = redisKeyValue({ url: own.url });
      await store.set("x", Uint8Array.of(7));
      await store.advance("x", { a: { byMs: 3_600_000 } });
      await own.process.stop("SIGKILL");
      await expect(store.get("x")).rejects.toMatchObject({ code: "unavailable" });
      await again();
      await eventually(async () => (await store.get("x").catch(() => undefined)) !== undefined);
      expect((await store.advance("x", {})).aheadMs["a"]).toBeGreaterThan(3_500_000);
    }), 120_000);
});
