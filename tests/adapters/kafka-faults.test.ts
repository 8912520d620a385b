import { randomUUID } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kafka, type KafkaOptions } from "../../src/adapters/kafka/index.ts";
import { consume, each, isMillraceError, type Part, text } from "../../src/index.ts";
import type { Delivery, Queue, QueueEvent } from "../../src/kinds/queue.ts";
import { type FaultProxy, faultProxy, refused } from "../services/fault-proxy.ts";
import { freePort, type Host, openHost } from "../services/host.ts";
import { type KafkaServer, startKafka } from "../services/kafka.ts";
import { service, titled } from "../services.ts";
import { type Outages, outages } from "./outages.ts";

// servers are had as the shared one is; this file has one of its own, which it kills
const answer = await service("kafka");
const skip = answer.skip ?? (answer.from === "KAFKA_BROKERS" ? "a broker from the environment is not killed" : undefined);
const pass = each((part) => part);

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
};

describe.skipIf(skip !== undefined)(titled("kafka that fails", skip === undefined ? answer : { skip }), () => {
  let host: Host;
  let server: KafkaServer;
  let place: Parameters<typeof startKafka>[1];
  let proxy: FaultProxy;
  const queues: Queue[] = [];

  beforeAll(async () => {
    host = openHost();
    const behind = await freePort();
    proxy = await faultProxy(behind);
    place = { port: await freePort(), directory: host.directory("kafka"), proxied: { port: behind, through: proxy.port } };
    server = await startKafka(host, place);
  }, 120_000);
  afterEach(async () => {
    proxy.heal();
    for (const queue of queues.splice(0)) await queue.close();
    await until(() => proxy.open === 0); // each connection is closed, as the broker sees it
  }, 120_000);
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await host.close();
  }, 120_000);

  /** A queue behind the proxy, on a topic of its own. */
  const open = async (options: Partial<KafkaOptions> = {}): Promise<Queue> => {
    const topic = `t-${randomUUID()}`;
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [server.url] });
    await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 });
    await admin.close();
    const queue = kafka({ brokers: `127.0.0.1:${proxy.port}`, topic, group: `g-${randomUUID()}`, sessionMs: 6_000, heartbeatMs: 500, timeoutMs: 3_000, ...options });
    queues.push(queue);
    return queue;
  };
  /** Stores messages past the proxy. */
  const store = async (queue: Queue, words: readonly string[]): Promise<void> => {
    const producer = new Producer({ clientId: "test", bootstrapBrokers: [server.url] });
    const value = (word: string): Buffer => Buffer.from(JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: word }] }));
    await producer.send({ acks: -1, messages: words.map((word, n) => ({ topic: queue.name, partition: n % 2, value: value(word) })) });
    await producer.close();
  };
  const collecting = (): { readonly seen: Set<string>; readonly away: Outages; sink(part: Part): Promise<void> } => {
    const seen = new Set<string>();
    return { seen, away: outages(), sink: async (part) => void seen.add(part.kind === "text" ? part.text : "") };
  };
  const codeOf = (sending: Promise<unknown>): Promise<unknown> =>
    sending.then(
      () => "sent",
      (error: unknown) => (isMillraceError(error) ? error.code : error),
    );

  test("a worker outlives a broker that is killed and comes back: nothing is lost, and it is told once", async () => {
    const queue = await open();
    const words = Array.from({ length: 2_000 }, (_, n) => String(n));
    await store(queue, words.slice(0, 1_000));
    const { seen, away, sink } = collecting();
    const worker = consume(queue, pass, sink, { concurrency: 20, onEvent: away.tell });
    await until(() => seen.size >= 100);
    await server.process.stop("SIGKILL");
    server = await startKafka(host, place);
    await store(queue, words.slice(1_000));
    await until(() => seen.size === words.length);
    await worker.stop();
    await worker.finished;
    expect(worker.counters.lost + worker.counters.acked).toBeGreaterThanOrEqual(words.length);
    expect(away.all).toHaveLength(1);
  });

  test("a log that is cut short under a reading is a gap: what is out of it is lost, what comes then is read and committed", async () => {
    const group = `g-${randomUUID()}`;
    const queue = await open({ group, sessionMs: 60_000 });
    await store(queue, ["a0", "a1", "b0", "b1"]);
    const gaps: QueueEvent[] = [];
    const tell = (event: QueueEvent): void => void (event.kind === "gap" && gaps.push(event));
    const reading = queue.open({ signal: new AbortController().signal, maxInFlight: 10, tell })[Symbol.asyncIterator]();
    const take = async (count: number): Promise<Delivery[]> => {
      const taken: Delivery[] = [];
      while (taken.length < count) taken.push((await reading.next()).value as Delivery);
      return taken;
    };
    const before = await take(4);
    const [acked, out] = [0, 1].map((partition) => before.filter(({ id }) => id.split("/")[1] === String(partition)));
    for (const delivery of acked ?? []) await delivery.ack();
    await server.process.stop("SIGKILL");
    for (const partition of [0, 1]) {
      const log = join(server.directory, "data", `${queue.name}-${partition}`);
      for (const file of readdirSync(log)) if (file !== "partition.metadata") rmSync(join(log, file));
    }
    server = await startKafka(host, place);
    const next = take(2);
    await until(() => gaps.length === 2);
    expect([out?.length, out?.every(({ signal }) => signal.aborted)]).toEqual([2, true]);
    await store(queue, ["c0", "c1"]);
    for (const delivery of await next) await delivery.ack();
    const consumer = new Consumer({ clientId: "test", bootstrapBrokers: [server.url], groupId: group });
    const offsets = await consumer.listCommittedOffsets({ topics: [{ topic: queue.name, partitions: [0, 1] }] });
    await consumer.close();
    expect(offsets.get(queue.name)).toEqual([1n, 1n]);
  });

  test("a worker outlives connections that are cut, again and again, and tells of each time", async () => {
    const queue = await open();
    const words = Array.from({ length: 300 }, (_, n) => String(n));
    const { seen, away, sink } = collecting();
    const worker = consume(queue, pass, sink, { concurrency: 5, onEvent: away.tell });
    for (let round = 0; round < 3; round += 1) {
      await store(queue, words.slice(round * 100, round * 100 + 100));
      await until(() => seen.size > round * 100);
      proxy.cut();
      await until(() => away.all.length === round + 1);
    }
    await until(() => seen.size === words.length);
    expect([away.all.length, away.apart]).toEqual([3, true]);
    await worker.stop();
    await worker.finished;
  });

  test("while connections are refused it comes back less than five times a second, and soon when they are not", async () => {
    const queue = await open({ heartbeatMs: 2_000 });
    const { seen, away, sink } = collecting();
    const worker = consume(queue, pass, sink, { onEvent: away.tell });
    await store(queue, ["before"]);
    await until(() => seen.has("before"));
    const tookMs = await refused(proxy, 15);
    await store(queue, ["after"]);
    proxy.heal();
    await until(() => seen.has("after"));
    await worker.stop();
    expect(tookMs).toBeGreaterThan((15 / 5) * 1_000);
    expect(away.all).toHaveLength(1);
  });

  test("a session that the broker does not answer for is given up: what is out is lost, and comes again", async () => {
    const queue = await open({ sessionMs: 1_000, heartbeatMs: 200, timeoutMs: 1_000 });
    await store(queue, ["a"]);
    const { all: away, tell } = outages();
    const reading = queue.open({ signal: new AbortController().signal, maxInFlight: 1, tell })[Symbol.asyncIterator]();
    const first = (await reading.next()).value as Delivery;
    proxy.faults.silent = "both";
    await until(() => first.signal.aborted);
    await expect(first.ack()).rejects.toMatchObject({ code: "closed" });
    proxy.heal();
    const again = (await reading.next()).value as Delivery;
    expect(again.id).toBe(first.id);
    await until(() => away.length > 0);
    expect(away).toHaveLength(1);
    await again.ack();
  });

  test("as many as may be out are handed out while acknowledgements are on their way, and no more", async () => {
    const queue = await open();
    await store(queue, ["a", "b", "c", "d", "e", "f", "g"]);
    const reading = queue.open({ signal: new AbortController().signal, maxInFlight: 2 })[Symbol.asyncIterator]();
    const next = async (): Promise<Delivery> => (await reading.next()).value as Delivery;
    const pair = [await next(), await next()];
    proxy.faults.silent = "down";
    const acknowledged = Promise.all(pair.map((delivery) => delivery.ack()));
    const more = [await next(), await next()];
    let last: Delivery | undefined;
    const waiting = next().then((delivery) => (last = delivery));
    await new Promise((resolve) => setImmediate(resolve));
    expect(last, "two are out").toBeUndefined();
    const others = Promise.all(more.map((delivery) => delivery.ack()));
    await new Promise((resolve) => setImmediate(resolve));
    expect(last, "four are not confirmed").toBeUndefined();
    proxy.heal();
    await Promise.all([acknowledged, others, waiting]);
  });

  test("an abort ends a reading that waits, with its reason, and closes its connections; also when nothing answers", async () => {
    for (const silent of [undefined, "both"] as const) {
      const queue = await open();
      const [controller, reason] = [new AbortController(), new Error("enough")];
      await store(queue, ["a"]);
      const reading = queue.open({ signal: controller.signal, maxInFlight: 5 })[Symbol.asyncIterator]();
      await reading.next();
      const waiting = reading.next().catch((error: unknown) => error);
      proxy.faults.silent = silent;
      controller.abort(reason);
      expect(await waiting).toBe(reason);
      proxy.faults.silent = undefined; // the proxy passes on only now that they were closed
      await until(() => proxy.open === 0);
    }
  });

  test("a message that cannot be sent is unavailable; one that may have been sent is interrupted; the next one is sent", async () => {
    const queue = await open({ timeoutMs: 1_000 });
    proxy.faults.refuse = true;
    expect(await codeOf(queue.send([text("a")]))).toBe("unavailable");
    proxy.heal();
    expect(await codeOf(queue.send([text("b")]))).toBe("sent");
    proxy.faults.silent = "down"; // the broker stores it, and its answer does not come
    expect(await codeOf(queue.send([text("c")]))).toBe("interrupted");
    proxy.heal();
    expect(await codeOf(queue.send([text("d")]))).toBe("sent");
    const { seen, sink } = collecting();
    const worker = consume(queue, pass, sink);
    await until(() => seen.size === 3);
    await worker.stop();
    expect([...seen].sort()).toEqual(["b", "c", "d"]);
  });

  test("some at once keep to one connection; for a hundred there is a second, and what is cut on the way is told of each", async () => {
    const queue = await open({ timeoutMs: 1_000 });
    const send = (count: number): Promise<readonly unknown[]> => Promise.all(Array.from({ length: count }, () => codeOf(queue.send([text("a")]))));
    await send(20);
    await send(20);
    expect(proxy.open).toBe(1);
    expect(new Set(await send(100))).toEqual(new Set(["sent"]));
    expect(proxy.open).toBe(2);
    const cut = send(100);
    await new Promise((resolve) => setImmediate(resolve)); // both batches are being written
    proxy.cut();
    const codes = new Set(await cut);
    expect([...codes].filter((code) => code !== "sent" && code !== "interrupted" && code !== "unavailable")).toEqual([]);
    expect(new Set(await send(100))).toEqual(new Set(["sent"]));
  });

  test("messages that were confirmed are there, whatever happens to the connection meanwhile", async () => {
    const queue = await open({ timeoutMs: 1_000 });
    const sent: string[] = [];
    let n = 0;
    const sending = Array.from({ length: 10 }, async () => {
      while (n < 300) {
        const word = String((n += 1));
        if ((await codeOf(queue.send([text(word)]))) === "sent") sent.push(word);
      }
    });
    while (n < 300) {
      proxy.cut();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await Promise.all(sending);
    const { seen, sink } = collecting();
    const worker = consume(queue, pass, sink, { concurrency: 10 });
    await until(() => sent.every((word) => seen.has(word)));
    await worker.stop();
    expect(sent.length).toBeGreaterThan(0);
  });

  test("an aborted send rejects with its reason, and close ends those that wait", async () => {
    const queue = await open();
    proxy.faults.silent = "both";
    const [controller, reason] = [new AbortController(), new Error("enough")];
    const aborted = codeOf(queue.send([text("a")], { signal: controller.signal }));
    const closed = codeOf(queue.send([text("b")]));
    await until(() => proxy.open > 0);
    controller.abort(reason);
    expect(await aborted).toBe(reason);
    await queue.close();
    expect(await closed).toBe("closed");
    proxy.heal();
  });
});
