import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { Admin, Consumer, murmur2, Producer } from "@platformatic/kafka";
import { afterAll, describe, expect, it, test } from "vitest";
import { kafka, type KafkaOptions } from "../../src/adapters/kafka/index.ts";
import { systemClock } from "../../src/core/clock.ts";
import { consume, each, foreign, isMillraceError, type Part, publish, run, text } from "../../src/index.ts";
import type { Delivery, Queue, QueueEvent, QueueOpenOptions } from "../../src/kinds/queue.ts";
import { queueContract } from "../../src/testing/contracts/queue.ts";
import { service, titled } from "../services.ts";

const answer = await service("kafka");
const brokers = answer.url ?? "127.0.0.1:9";
const pass = each((part) => part);
const plain = foreign({ read: (body) => new TextDecoder().decode(body) });
const client = { clientId: "test", bootstrapBrokers: brokers.split(",") };

describe.skipIf(answer.skip !== undefined)(titled("kafka", answer), () => {
  const admin = new Admin(client);
  const raw = new Producer(client);
  afterAll(async () => void (await Promise.all([admin.close(), raw.close()])));

  /** A queue on a topic of its own. */
  const topicOf = async (partitions = 1, configs: { name: string; value: string }[] = []): Promise<string> => {
    const topic = `t-${randomUUID()}`;
    await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs });
    return topic;
  };
  const groups = new Map<Queue, string>();
  const open = async (options: Partial<KafkaOptions> = {}): Promise<Queue> => {
    const group = `g-${randomUUID()}`;
    const queue = kafka({ brokers, topic: await topicOf(), group, sessionMs: 6_000, heartbeatMs: 200, ...options });
    groups.set(queue, options.group ?? group);
    return queue;
  };
  /** How far the group of a queue has come in each of four partitions, as the broker knows it. */
  const committed = async (queue: Queue): Promise<readonly bigint[]> => {
    const consumer = new Consumer({ ...client, groupId: groups.get(queue) ?? "" });
    const offsets = await consumer.listCommittedOffsets({ topics: [{ topic: queue.name, partitions: [0, 1, 2, 3] }] });
    await consumer.close();
    return offsets.get(queue.name) ?? [];
  };
  const put = async (queue: Queue, body: Uint8Array, partition = 0): Promise<void> => {
    await raw.send({ acks: -1, messages: [{ topic: queue.name, partition, value: Buffer.from(body) }] });
  };

  queueContract({ describe, it }, {
    name: "kafka",
    open,
    put,
    declares: {
      guarantee: "at-least-once",
      redelivery: "seek",
      durable: true,
      lacks: { delay: "a log is read in its order", attempts: "Kafka does not count deliveries; those after a crash begin at 1 again" },
    },
  });

  const reading = (queue: Queue, options: Partial<QueueOpenOptions> = {}) => {
    const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 2_000, ...options })[Symbol.asyncIterator]();
    const take = async (count: number): Promise<Delivery[]> => {
      const deliveries: Delivery[] = [];
      while (deliveries.length < count) deliveries.push((await iterator.next()).value as Delivery);
      return deliveries;
    };
    return { iterator, take, leave: async () => void (await iterator.return?.()) };
  };
  const textsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ parts: [part] }) => (part?.kind === "text" ? part.text : ""));
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const utf8 = (value: string): Buffer => Buffer.from(value);

  describe("what lies in a log", () => {
    test("a tombstone is a message of no parts; a key that is no text keeps an order too; no header is trusted", async () => {
      await using queue = await open({ format: plain });
      const headers = new Map([["message-id", "m-1"], ["correlation-id", "c\n1"], ["traceparent", "none"], ["__proto__", "x"], ["huge", "h".repeat(1_000_000)], ["tenant", "a"]].map(([name, value]) => [utf8(name ?? ""), utf8(value ?? "")]));
      // the client's types say that a message has a value; a tombstone has none
      const messages = [{ key: utf8("k"), value: null as unknown as Buffer }, { key: Buffer.of(255), value: utf8("b") }, { value: utf8("c"), headers }];
      for (const message of messages) await raw.send({ acks: -1, messages: [{ topic: queue.name, partition: 0, ...message }] });
      const [tombstone, binary, bare] = await reading(queue).take(3);
      expect([tombstone?.parts, tombstone?.unreadable, tombstone?.key]).toEqual([[], undefined, "k"]);
      expect([binary?.key, textsOf(binary === undefined ? [] : [binary])]).toEqual(["base64:/w==", ["b"]]);
      expect([bare?.key, bare?.messageId, bare?.correlationId, bare?.traceparent, bare?.headers]).toEqual([undefined, "m-1", undefined, undefined, { tenant: "a" }]);
    });

    test("messages of a transaction that was aborted are not read, compressed ones are", async () => {
      await using queue = await open({ format: plain });
      const producer = new Producer({ ...client, idempotent: true, transactionalId: randomUUID() });
      const send = (value: string): object => ({ messages: [{ topic: queue.name, partition: 0, value: utf8(value) }] });
      const aborted = await producer.beginTransaction();
      await aborted.send(send("aborted") as Parameters<typeof aborted.send>[0]);
      await aborted.abort();
      const committed = await producer.beginTransaction();
      await committed.send(send("committed") as Parameters<typeof committed.send>[0]);
      await committed.commit();
      await producer.close();
      await raw.send({ acks: -1, compression: "gzip", messages: [{ topic: queue.name, partition: 0, value: utf8("compressed") }] });
      expect(textsOf(await reading(queue).take(2))).toEqual(["committed", "compressed"]);
    });

    /** Says that the group has come so far. */
    const commit = async (topic: string, group: string, offset: bigint): Promise<void> => {
      const committing = new Consumer({ ...client, groupId: group });
      committing.topics.track(topic);
      await committing.joinGroup({});
      await committing.commit({ offsets: [{ topic, partition: 0, offset, leaderEpoch: -1 }] });
      await committing.close();
    };

    test("messages that are gone are a gap, and the reading goes on at the earliest there is, or fails if it is told to", async () => {
      const topic = await topicOf();
      await using first = await open({ topic });
      for (const word of ["a", "b", "c", "d"]) await first.send([text(word)]);
      await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 3n }] }] });
      const late = kafka({ brokers, topic, group: `g-${randomUUID()}` });
      expect(textsOf(await reading(late).take(1))).toEqual(["d"]); // it had read nothing: nothing is missing
      await late.close();

      const group = `g-${randomUUID()}`;
      await commit(topic, group, 1n);
      await using failing = await open({ topic, group, whenGone: "fail" });
      await expect(reading(failing).take(1)).rejects.toMatchObject({ code: "not_found" });
      await using queue = await open({ topic, group });
      const events: QueueEvent[] = [];
      expect(textsOf(await reading(queue, { tell: (event) => events.push(event) }).take(1))).toEqual(["d"]);
      expect(events).toMatchObject([{ kind: "gap", queue: topic, count: 2 }]);
    });

    test("a log that is shorter than the group's place is a gap, and is committed as it is read", async () => {
      const [topic, group] = [await topicOf(), `g-${randomUUID()}`];
      await commit(topic, group, 100n);
      await using queue = await open({ topic, group });
      const send = async (count: number, from: number): Promise<void> => void (await Promise.all(Array.from({ length: count }, (_, n) => queue.send([text(String(from + n))]))));
      await send(5, 0);
      const events: QueueEvent[] = [];
      const first = reading(queue, { tell: (event) => events.push(event) });
      for (const delivery of await first.take(5)) await delivery.ack();
      expect([events.map(({ kind }) => kind), (await committed(queue))[0]]).toEqual([["gap"], 5n]);
      await first.leave();
      await send(100, 5);
      expect(textsOf(await reading(queue).take(1))).toEqual(["5"]);
    });

    test.each(["earliest", "latest"] as const)("a topic that is made again is read from its beginning also where messages are in it before that is noticed, by who started at the %s", async (startAt) => {
      await using queue = await open({ startAt });
      const events: QueueEvent[] = [];
      const reader = reading(queue, { tell: (event) => events.push(event) });
      const next = reader.take(1);
      if (startAt === "latest") await expect.poll(() => committed(queue), { timeout: 10_000 }).toContain(0n);
      await queue.send([text("old")]);
      const [old] = await next;
      const after = reader.take(1);
      await admin.deleteTopics({ topics: [queue.name] });
      await admin.createTopics({ topics: [queue.name], partitions: 1, replicas: 1 });
      const another = kafka({ brokers, topic: queue.name });
      await another.send([text("new")]); // before it has noticed
      await old?.ack().catch(() => {}); // a place of the old topic, as one of the new
      await another.close();
      expect([textsOf(await after), events.map(({ kind }) => kind)]).toEqual([["new"], expect.arrayContaining(["gap"])]);
    });

    test("a topic that is made again is a gap, and is read from its beginning", async () => {
      await using queue = await open();
      await queue.send([text("old")]);
      const events: QueueEvent[] = [];
      const reader = reading(queue, { tell: (event) => events.push(event) });
      const [old] = await reader.take(1);
      await old?.ack();
      const next = reader.take(1);
      await admin.deleteTopics({ topics: [queue.name] });
      await admin.createTopics({ topics: [queue.name], partitions: 1, replicas: 1 });
      await until(() => events.length > 0);
      await queue.send([text("new")]);
      expect(textsOf(await next)).toEqual(["new"]);
    });
  });

  describe("a reading", () => {
    test("commits no further than the first message that is not settled", async () => {
      await using queue = await open();
      for (const word of ["a", "b", "c"]) await queue.send([text(word)]);
      const first = reading(queue);
      const [a, b, c] = await first.take(3);
      await c?.ack();
      await b?.ack();
      await first.leave();
      await expect(a?.ack()).rejects.toMatchObject({ code: "closed" });
      const second = reading(queue);
      const [again] = await second.take(1);
      await again?.ack();
      await second.leave();
      expect(textsOf(await reading(queue).take(2))).toEqual(["b", "c"]);
    });

    test("that starts at the end misses nothing that is sent from then on, also what a reader before it did not settle", async () => {
      await using queue = await open({ startAt: "latest" });
      await queue.send([text("before")]);
      const first = reading(queue);
      const taken = first.take(1);
      await expect.poll(() => committed(queue), { timeout: 10_000 }).toContain(1n);
      await queue.send([text("a")]);
      expect(textsOf(await taken)).toEqual(["a"]);
      await first.leave();
      await queue.send([text("b")]);
      expect(textsOf(await reading(queue).take(2))).toEqual(["a", "b"]);
    });

    test("what was given back holds up its partition until its delay is over, and no other", async () => {
      await using queue = await open({ topic: await topicOf(2), format: plain });
      await put(queue, utf8("k1"));
      await put(queue, utf8("k2"));
      await put(queue, utf8("l1"), 1);
      const reader = reading(queue, { maxInFlight: 1 });
      const seen: (readonly [string, number])[] = [];
      while (seen.length < 4) {
        const [delivery] = await reader.take(1);
        const [word = ""] = textsOf(delivery === undefined ? [] : [delivery]);
        seen.push([word, delivery?.attempt ?? 0]);
        if (word === "k1" && delivery?.attempt === 1) await delivery.nack({ delayMs: 200 });
        else await delivery?.ack();
      }
      expect(seen).toEqual([["k1", 1], ["l1", 1], ["k1", 2], ["k2", 1]]);
    });

    test("tells a worker of a message that it does not get done with, D7", async () => {
      await using queue = await open({ maxStuckMs: 100 });
      const { id } = await queue.send([text("a")]);
      const stuck: unknown[] = [];
      const failing = each(() => {
        throw new TypeError("always");
      });
      const worker = consume(queue, failing, undefined, { baseMs: 1, maxMs: 10, onEvent: (event) => void (event.kind === "stuck" && stuck.push(event)) });
      await until(() => stuck.length > 1);
      await worker.stop();
      expect(stuck[0]).toEqual({ kind: "stuck", queue: queue.name, id, forMs: expect.any(Number) as number });
    });

    test("gives half of its partitions to another: what is out may be settled meanwhile, the rest is lost and comes there", async () => {
      const topic = await topicOf(4);
      await using queue = await open({ topic, sessionMs: 5_000, format: plain });
      for (const partition of [0, 1, 2, 3]) for (const word of ["a", "b"]) await put(queue, utf8(word), partition);
      const held = await reading(queue).take(8);
      const taken = reading(queue).take(2);
      const group = groups.get(queue) ?? "";
      while ((await admin.describeGroups({ groups: [group] })).get(group)?.members.size !== 2) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 500)); // the first has heard that there is another
      for (const delivery of held) if (textsOf([delivery])[0] === "a") await delivery.ack();
      const others = await taken;
      expect(textsOf(others)).toEqual(["b", "b"]);
      const lost = held.filter(({ signal }) => signal.aborted);
      expect(lost.map(({ id }) => id).sort()).toEqual(others.map(({ id }) => id).sort());
      for (const delivery of lost) await expect(delivery.ack()).rejects.toMatchObject({ code: "closed" });
      for (const delivery of held) if (!delivery.signal.aborted && textsOf([delivery])[0] === "b") await delivery.ack();
      for (const delivery of others) await delivery.ack();
      await expect(committed(queue)).resolves.toEqual([2n, 2n, 2n, 2n]);
    });

    test("gets the partitions that are added to its topic, at the next look", async () => {
      let look: (() => void) | undefined;
      const timeout = (ms: number, run: () => void): (() => void) => {
        if (ms !== 300_000) return systemClock.timeout(ms, run);
        look = run;
        return () => {};
      };
      await using queue = await open({ format: plain, clock: { ...systemClock, timeout } });
      const reader = reading(queue);
      await put(queue, utf8("a"));
      const [a] = await reader.take(1);
      await admin.createPartitions({ topics: [{ name: queue.name, count: 3, assignments: null }] });
      const fresh = new Producer(client); // the other one thinks that there is one partition
      const store = () => fresh.send({ acks: -1, messages: [{ topic: queue.name, partition: 2, value: utf8("b") }] });
      await expect.poll(async () => (await store()).offsets?.[0]?.partition, { timeout: 20_000 }).toBe(2);
      await fresh.close();
      look?.();
      let [b] = await reader.take(1);
      while (b?.id.split("/")[1] === "0") [b] = await reader.take(1); // stored before the new ones were known
      await Promise.all([a?.ack(), b?.ack()]); // nothing was taken away
      expect([b?.id, (await committed(queue)).slice(0, 3)]).toEqual([`${queue.name}/2/0`, [1n, -1n, 1n]]);
    });

    test("stands the drain of a worker: all that was sent is worked on once, by two workers in turns", async () => {
      const topic = await topicOf(4);
      await using queue = await open({ topic });
      const words = Array.from({ length: 200 }, (_, n) => String(n));
      await run(publish(queue, { concurrency: 50 }), words).collect();
      const seen: string[] = [];
      const sink = async (part: Part): Promise<void> => void seen.push(part.kind === "text" ? part.text : "");
      const first = consume(queue, pass, sink, { concurrency: 10 });
      await until(() => seen.length >= 20);
      const second = consume(queue, pass, sink, { concurrency: 10 });
      await until(() => seen.length >= 60);
      await first.stop();
      await until(() => seen.length >= 200);
      await second.stop();
      expect([...seen].sort()).toEqual([...words].sort());
    });
  });

  describe("sending", () => {
    test("puts a key where Kafka's own client does, and says the place", async () => {
      await using queue = await open({ topic: await topicOf(7) });
      const sent = await Promise.all(["a", "image-7", "ключ", "a"].map((key) => queue.send([], { key })));
      // org.apache.kafka.common.utils.Utils.murmur2, positive, modulo 7
      const partitions = ["a", "image-7", "ключ", "a"].map((key) => (murmur2(utf8(key)) & 0x7fff_ffff) % 7);
      expect(sent.map(({ id }) => Number(id.split("/")[1]))).toEqual(partitions);
      expect(sent[3]?.id).toBe(`${queue.name}/${partitions[0]}/1`);
    });

    test("keeps the order of each key, and all of it where there is one partition, of hundreds sent at once", async () => {
      for (const partitions of [1, 4]) {
        await using queue = await open({ topic: await topicOf(partitions) });
        await queue.send([]); // from here on it knows how many there are
        const keys = Array.from({ length: 300 }, (_, n) => (partitions === 1 && n % 3 === 0 ? undefined : `k${n % 7}`));
        const sent = await Promise.all(keys.map((key) => queue.send([], key === undefined ? {} : { key })));
        const offsets = Map.groupBy(sent.map(({ id }, n) => ({ key: keys[n], offset: Number(id.split("/")[2]) })), ({ key }) => (partitions === 1 ? "all" : key));
        for (const [, places] of offsets) expect(places).toEqual([...places].sort((a, b) => a.offset - b.offset));
      }
    });

    test("keeps the order of a key also while it learns how many partitions there are", async () => {
      await using queue = await open({ topic: await topicOf(4) });
      const send = () => queue.send([text("x".repeat(10_000))], { key: "a" });
      const before = Array.from({ length: 300 }, send); // three batches
      await before[0];
      const sent = await Promise.all([...before, ...Array.from({ length: 100 }, send)]);
      expect(sent.map(({ id }) => Number(id.split("/")[2]))).toEqual(sent.map((_, n) => n));
    });

    test("messages that are too much together are stored one by one, one that is too large for the topic is refused", async () => {
      await using queue = await open({ topic: await topicOf(1, [{ name: "max.message.bytes", value: "3000" }]) });
      const words = Array.from({ length: 8 }, (_, n) => String(n).repeat(1_000));
      const large = expect(queue.send([text("x".repeat(5_000))])).rejects.toMatchObject({ code: "too_large" });
      const sent = await Promise.all(words.map((word) => queue.send([text(word)])));
      await large;
      expect(new Set(sent.map(({ id }) => id)).size).toBe(8);
      expect(textsOf(await reading(queue).take(8))).toEqual(words);
    });

    test("a topic that is not there is not found, for who sends and for who reads", async () => {
      await using queue = await open({ topic: `none-${randomUUID()}` });
      await expect(queue.send([])).rejects.toMatchObject({ code: "not_found", scope: "dependency" });
      await expect(reading(queue).take(1)).rejects.toMatchObject({ code: "not_found", scope: "dependency" });
    });

    test("shows no password, whatever the client says of it", async () => {
      await using queue = await open({ sasl: { mechanism: "PLAIN", username: "me", password: "canary-5f1c0b7e9d" } });
      const error: unknown = await queue.send([]).catch((reason: unknown) => reason);
      expect(isMillraceError(error)).toBe(true);
      expect(`${inspect(error, { depth: 10, showHidden: true })}${JSON.stringify(error)}${inspect(queue, { depth: 10, showHidden: true })}`).not.toContain("canary");
    });
  });
});
