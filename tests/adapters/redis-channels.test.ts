import { createClient } from "redis";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { redisPubSub } from "../../src/adapters/redis/index.ts";
import { type Queue, type QueueEvent, text } from "../../src/index.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { service, titled } from "../services.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");

describe.skipIf(server.skip !== undefined)(titled("many listeners of redisPubSub", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  afterAll(() => names[Symbol.asyncDispose]());
  const subscribed = (queue: Queue, count: number): Promise<void> =>
    eventually(async () => {
      const answer = await ask("PUBSUB", "NUMSUB", queue.name);
      return Array.isArray(answer) && Number(answer[1]) === count;
    });
  /** Begins to read; what is told is kept. */
  const listening = (queue: Queue, gaps: QueueEvent[] = []): ReturnType<typeof reading> => {
    const reader = reading(queue, { tell: (event) => gaps.push(event) });
    reader.raw().catch(() => {}); // heard by whoever takes it
    return reader;
  };

  const clients = {
    redis: (address: string) => createClient({ url: address }),
    ioredis: (address: string) => new Redis(address, { lazyConnect: true }),
  };
  test.each(["redis", "ioredis"] as const)("queues with one client of %s listen on one connection, each to its own channel, and it is gone with the last reader", async (kind) => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const client = clients[kind](`redis://127.0.0.1:${proxy.port}`);
    const queues = Array.from({ length: 20 }, () => redisPubSub({ client, channel: names.name() }));
    const readers = queues.flatMap((queue) => [listening(queue), listening(queue)]);
    for (const queue of queues) await subscribed(queue, 1);
    expect(proxy.open).toBe(1);
    for (const [n, queue] of queues.entries()) await ask("PUBLISH", queue.name, JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: String(n) }] }));
    const heard = await Promise.all(readers.map(async (reader) => textsIn(await reader.settle(1))[0]));
    expect(heard).toEqual(queues.flatMap((_, n) => [String(n), String(n)]));
    for (const queue of queues.slice(1)) await queue.close();
    for (const [n, queue] of queues.entries()) await subscribed(queue, n === 0 ? 1 : 0);
    expect(proxy.open).toBe(1);
    await queues[0]?.close();
    await eventually(() => proxy.open === 0);
  });

  test("a reader that comes as the last one of its channel leaves hears what is sent, and so does one of another channel", async () => {
    const client = createClient({ url });
    await using queue = redisPubSub({ client, channel: names.name() });
    await using other = redisPubSub({ client, channel: names.name() });
    const neighbour = listening(other);
    await subscribed(other, 1);
    for (let round = 0; round < 50; round += 1) {
      const controller = new AbortController();
      const first = reading(queue, { signal: controller.signal });
      first.raw().catch(() => {});
      await subscribed(queue, 1);
      controller.abort(new Error("enough"));
      const second = reading(queue);
      second.raw().catch(() => {});
      await other.send([text("between")]);
      expect(textsIn(await neighbour.settle(1))).toEqual(["between"]);
      let sent = 0;
      for (const heard = second.settle(1).then(() => (sent = Infinity)); sent < 200; sent += 1) {
        await queue.send([text(String(round))]);
        await Promise.race([heard, new Promise((resolve) => setImmediate(resolve))]);
      }
      expect(sent).toBe(Infinity);
      await second.leave();
      await subscribed(queue, 0);
    }
  });

  test("a lost connection is one gap for each reader, which then hears that it is back, and one connection listens to all channels again", async () => {
    await using proxy = await faultProxy(Number(new URL(url).port));
    const client = createClient({ url: `redis://127.0.0.1:${proxy.port}` });
    const queues = Array.from({ length: 20 }, () => redisPubSub({ client, channel: names.name() }));
    const gaps = queues.map((): QueueEvent[] => []);
    for (const [n, queue] of queues.entries()) listening(queue, gaps[n]);
    for (const queue of queues) await subscribed(queue, 1);
    proxy.faults.refuse = true;
    proxy.cut();
    await eventually(() => proxy.connections > 4);
    proxy.heal();
    await eventually(() => gaps.every((told) => told.length > 1));
    for (const queue of queues) await subscribed(queue, 1);
    expect(gaps.map((told) => told.map(({ kind }) => kind))).toEqual(queues.map(() => ["gap", "reconnected"]));
    expect(proxy.open).toBe(1);
    for (const queue of queues) await queue.close();
  });

  test("a channel that the server refuses fails its own readers, and no others", async () => {
    const [allowed, user] = [names.name(), names.name()];
    await ask("ACL", "SETUSER", user, "on", ">pw", "+@all", "resetchannels", `&${allowed}`);
    try {
      const client = createClient({ url, username: user, password: "pw" });
      await using good = redisPubSub({ client, channel: allowed });
      await using bad = redisPubSub({ client, channel: names.name() });
      const gaps: QueueEvent[] = [];
      const reader = listening(good, gaps);
      await subscribed(good, 1);
      await expect(reading(bad).raw()).rejects.toMatchObject({ code: "unauthorized" });
      await ask("PUBLISH", allowed, JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: "still" }] }));
      expect(textsIn(await reader.settle(1))).toEqual(["still"]);
      expect(gaps).toEqual([]);
    } finally {
      await ask("ACL", "DELUSER", user);
    }
  });
});
