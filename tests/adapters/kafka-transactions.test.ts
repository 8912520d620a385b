import { randomUUID } from "node:crypto";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kafka, type KafkaOptions, type KafkaSink, kafkaSink, type KafkaSinkOptions } from "../../src/adapters/kafka/index.ts";
import { consume, each, isMillraceError, MillraceError, type Part, pipe, type Processor, type Sink, text, type WorkerEvent } from "../../src/index.ts";
import type { Delivery, Queue } from "../../src/kinds/queue.ts";
import { type FaultProxy, faultProxy } from "../services/fault-proxy.ts";
import { freePort, type Host, openHost } from "../services/host.ts";
import { startKafka } from "../services/kafka.ts";
import { service, titled } from "../services.ts";

// a broker of its own, since its connections are broken
const answer = await service("kafka");
const skip = answer.skip ?? (answer.from === "KAFKA_BROKERS" ? "a broker from the environment has no proxy before it" : undefined);

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
};
const wordOf = (part: Part | undefined): string => (part?.kind === "text" ? part.text : "");
const bodyOf = (word: string): Buffer => Buffer.from(JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: word }] }));
const twice = each((part) => [part, text(`${wordOf(part)}'`)]);

describe.skipIf(skip !== undefined)(titled("kafka to kafka in one transaction", skip === undefined ? answer : { skip }), () => {
  let host: Host;
  let proxy: FaultProxy;
  /** Past the proxy. */
  let direct: string;
  let through: string;
  let admin: Admin;
  let raw: Producer;
  const open: AsyncDisposable[] = [];

  beforeAll(async () => {
    host = openHost();
    const behind = await freePort();
    proxy = await faultProxy(behind);
    ({ url: direct } = await startKafka(host, { port: await freePort(), directory: host.directory("kafka"), proxied: { port: behind, through: proxy.port } }));
    through = `127.0.0.1:${proxy.port}`;
    admin = new Admin({ clientId: "test", bootstrapBrokers: [direct] });
    raw = new Producer({ clientId: "test", bootstrapBrokers: [direct] });
  }, 120_000);
  afterEach(async () => {
    proxy.heal();
    for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
    await until(() => proxy.open === 0); // each connection is closed, as the broker sees it
  }, 120_000);
  afterAll(async () => {
    await Promise.all([admin.close(), raw.close()]);
    await proxy[Symbol.asyncDispose]();
    await host.close();
  }, 120_000);

  const topicOf = async (partitions: number, configs: { name: string; value: string }[] = []): Promise<string> => {
    const topic = `t-${randomUUID()}`;
    await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs });
    const consumer = new Consumer({ clientId: "test", bootstrapBrokers: [direct], groupId: "none", retries: false });
    // known before it is led
    await until(() => consumer.listOffsets({ topics: [topic] }).then(() => true, () => false));
    await consumer.close();
    return topic;
  };
  const keep = <T extends AsyncDisposable>(it: T): T => {
    open.push(it);
    return it;
  };
  interface Line {
    readonly queue: Queue;
    readonly topic: string;
    readonly group: string;
    readonly results: string;
    sink(options?: Partial<KafkaSinkOptions>, queue?: Queue): KafkaSink;
    reader(options?: Partial<KafkaOptions>): Queue;
  }
  /** A topic with messages, one for what becomes of them, and a group that comes by the proxy or past it. */
  const line = async (words: readonly string[], { partitions = 1, brokers = direct }: { partitions?: number; brokers?: string } = {}): Promise<Line> => {
    const [topic, results, group] = [await topicOf(partitions), await topicOf(1), `g-${randomUUID()}`];
    const reader = (options: Partial<KafkaOptions> = {}): Queue => keep(kafka({ brokers, topic, group, sessionMs: 6_000, heartbeatMs: 200, timeoutMs: 1_000, ...options }));
    const queue = reader();
    await raw.send({ acks: -1, messages: words.map((word, n) => ({ topic, partition: n % partitions, key: Buffer.from(word), value: bodyOf(word) })) });
    return { queue, topic, group, results, reader, sink: (options, of = queue) => keep(kafkaSink(of, { topic: results, ...options })) };
  };
  /** What is in a topic, up to its end: for who reads what is committed, or all of it. */
  const contents = async (topic: string, isolation: "committed" | "all" = "committed"): Promise<string[]> => {
    await raw.send({ acks: -1, messages: [{ topic, partition: 0, value: bodyOf("end") }] });
    const words: string[] = [];
    if (isolation === "committed") {
      await using queue = kafka({ brokers: direct, topic, group: `g-${randomUUID()}` });
      for await (const { parts } of queue.open({ signal: new AbortController().signal, maxInFlight: 1_000_000 })) {
        if (wordOf(parts[0]) === "end") return words;
        words.push(wordOf(parts[0]));
      }
    }
    const consumer = new Consumer({ clientId: "test", bootstrapBrokers: [direct], groupId: `g-${randomUUID()}` });
    for await (const { value } of await consumer.consume({ topics: [topic], mode: "earliest", autocommit: false, isolationLevel: 0 })) {
      const [part] = (JSON.parse(value.toString()) as { parts: { text: string }[] }).parts;
      if (part?.text === "end") break;
      words.push(part?.text ?? "");
    }
    await consumer.close(true);
    return words;
  };
  /** How far the group has come, with all transactions ended. */
  const committed = async ({ topic, group }: Line, partitions: number[] = [0]): Promise<readonly bigint[]> => {
    const consumer = new Consumer({ clientId: "test", bootstrapBrokers: [direct], groupId: group });
    const offsets = await consumer.listCommittedOffsets({ topics: [{ topic, partitions }] });
    await consumer.close();
    return offsets.get(topic) ?? [];
  };
  const reading = (queue: Queue) => {
    const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 2_000 })[Symbol.asyncIterator]();
    return async (count: number): Promise<Delivery[]> => {
      const deliveries: Delivery[] = [];
      while (deliveries.length < count) deliveries.push((await iterator.next()).value as Delivery);
      return deliveries;
    };
  };
  /** One transaction by hand, with outputs of these deliveries. */
  const apply = (sink: KafkaSink, deliveries: readonly Delivery[], outputs: readonly string[], during: () => Promise<void> | void = () => {}): Promise<string> => {
    const [delivery] = deliveries;
    if (delivery === undefined) throw new Error("no delivery");
    const write = async (target: Sink): Promise<void> => {
      for (const [n, word] of outputs.entries()) await target.write(text(word), { key: `${delivery.id}:${n}`, delivery, deliveries, signal: new AbortController().signal });
      await during();
    };
    return sink.atomic(delivery, write, deliveries);
  };
  const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => "none", (error: unknown) => (isMillraceError(error) ? error.code : error));
  /** Two outputs of which the first is on its way when the second is written. */
  const large = (word: string): string[] => [word, word.toUpperCase()].map((each) => each.repeat(700_000 / each.length));

  describe("a worker", () => {
    test("has the outputs of each delivery in the topic once, with its key, and its place committed, whatever fails between two outputs", async () => {
      const it = await line(["a", "b", "c"]);
      let failing = 1;
      const processor: Processor = async function* (input, context) {
        for await (const part of twice(input, context)) {
          yield part;
          if (wordOf(part) === "b" && failing-- > 0) throw new TypeError("between two outputs");
        }
      };
      const worker = consume(it.queue, processor, it.sink(), { ordering: "strict", baseMs: 10 });
      await until(() => worker.counters.acked === 3);
      await worker.stop();
      expect(await contents(it.results)).toEqual(["a", "a'", "b", "b'", "c", "c'"]);
      await expect.poll(() => committed(it)).toEqual([3n]);
      const [first] = await reading(keep(kafka({ brokers: direct, topic: it.results, group: `g-${randomUUID()}` })))(1);
      expect([first?.key, first?.messageId]).toEqual(["a", `${it.topic}/0/0:0`]);
    });

    test("settles a batch in one transaction: of one that fails nothing is seen, also of what was sent before, and the next is whole", async () => {
      const words = Array.from({ length: 90 }, (_, n) => `w${n}`);
      const it = await line(words, { partitions: 3 });
      let failing = 1;
      const processor: Processor = async function* (input) {
        let n = 0;
        for await (const part of input) {
          yield text(wordOf(part).padEnd(50_000));
          n += 1;
          if (n === 60 && failing-- > 0) throw new TypeError("in the middle");
        }
      };
      const keys: number[] = [];
      const sink = it.sink({ key: (part, { deliveries }) => (keys.push(deliveries.length), wordOf(part).trim()) });
      const worker = consume(it.queue, processor, sink, { ordering: "strict", baseMs: 10, batch: { count: 90 } });
      await until(() => worker.counters.acked === 90);
      await worker.stop();
      expect(new Set(keys)).toEqual(new Set([90]));
      const [seen, stored] = [await contents(it.results), await contents(it.results, "all")];
      expect(seen.map((word) => word.trim()).sort()).toEqual([...words].sort());
      expect(stored.length).toBeGreaterThan(90 + 20); // a megabyte of the first attempt was there, and is not read
      await expect.poll(() => committed(it, [0, 1, 2])).toEqual([30n, 30n, 30n]);
    });

    test("sets a bad one of a batch aside, and has the effects of the others once and in order", async () => {
      const words = Array.from({ length: 40 }, (_, n) => `w${n}`);
      const it = await line(words);
      const letters: string[] = [];
      const processor = each((part) => {
        if (wordOf(part) === "w17") throw new MillraceError("invalid_input", "bad");
        return part;
      });
      const worker = consume(it.queue, processor, it.sink(), { ordering: "strict", baseMs: 10, batch: { count: 20 }, deadLetter: async ({ parts }) => void letters.push(wordOf(parts[0])) });
      await until(() => worker.counters.acked + worker.counters.deadLettered === 40);
      await worker.stop();
      expect([await contents(it.results), letters]).toEqual([words.filter((word) => word !== "w17"), ["w17"]]);
      await expect.poll(() => committed(it)).toEqual([40n]);
    });

    test("sets aside what is too large for the topic, also when others that were sent with it have to be sent anew", async () => {
      const words = Array.from({ length: 8 }, (_, n) => `w${n}`);
      const it = await line(words);
      const results = await topicOf(1, [{ name: "max.message.bytes", value: "3000" }]);
      const letters: string[] = [];
      const worker = consume(it.queue, each((part) => text(wordOf(part).padEnd(wordOf(part) === "w5" ? 4_000 : 100))), it.sink({ topic: results }), {
        ordering: "strict",
        baseMs: 10,
        batch: { count: 8 },
        deadLetter: async ({ parts }) => void letters.push(wordOf(parts[0])),
      });
      await until(() => worker.counters.acked + worker.counters.deadLettered === 8);
      await worker.stop();
      expect([(await contents(results)).map((word) => word.trim()), letters]).toEqual([words.filter((word) => word !== "w5"), ["w5"]]);
    });

    test("gives back a partition in the middle of a transaction: the others are done once, and this one elsewhere", async () => {
      const words = Array.from({ length: 400 }, (_, n) => `w${n}`);
      const it = await line(words, { partitions: 4 });
      const events: WorkerEvent[] = [];
      const slow = each(async (part) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return part;
      });
      const options = { ordering: "strict", batch: { count: 50, maxWaitMs: 50 } } as const;
      const first = consume(it.queue, slow, it.sink(), { ...options, onEvent: (event) => events.push(event) });
      await until(() => first.counters.acked > 0);
      const other = it.reader();
      const second = consume(other, slow, it.sink({}, other), options);
      await until(() => second.counters.acked > 0);
      await first.stop({ deadlineMs: 0 }); // in the middle of one
      await until(() => first.counters.acked + second.counters.acked >= 400);
      await second.stop();
      expect((await contents(it.results)).sort()).toEqual([...words].sort());
      await expect.poll(() => committed(it, [0, 1, 2, 3])).toEqual([100n, 100n, 100n, 100n]);
    });

    test("gives up a run that hangs behind outputs that were sent: the next attempt has the effects, once", async () => {
      const it = await line(["a"]);
      let attempts = 0;
      const processor: Processor = async function* (input) {
        attempts += 1;
        for await (const part of input) for (const word of large(wordOf(part))) yield text(word);
        if (attempts === 1) await new Promise(() => {});
      };
      const worker = consume(it.queue, processor, it.sink({ transactionMs: 600_000 }), { ordering: "strict", baseMs: 10, deliveryTimeoutMs: 1_500 });
      await until(() => worker.counters.acked === 1);
      await worker.stop();
      expect((await contents(it.results)).map((word) => word[0])).toEqual(["a", "A"]);
      expect([attempts > 1, await committed(it)]).toEqual([true, [1n]]);
    });

    test("whose name another takes is fenced: it stops, and nothing of its transaction is seen", async () => {
      const it = await line(["a", "b"]);
      const gate = Promise.withResolvers<void>();
      let begun = false;
      const processor: Processor = async function* (input) {
        for await (const part of input) {
          yield* large(wordOf(part)).map((word) => text(word));
          begun = true;
          await gate.promise;
        }
      };
      const transactionalId = `worker-${randomUUID()}`;
      const worker = consume(it.queue, processor, it.sink({ transactionalId }), { ordering: "strict" });
      await until(() => begun);
      const elsewhere = await line(["z"]);
      const [z] = await reading(elsewhere.queue)(1);
      await apply(elsewhere.sink({ transactionalId }), z === undefined ? [] : [z], ["z"]);
      gate.resolve();
      await expect(worker.finished).rejects.toMatchObject({ code: "closed" });
      expect([await contents(it.results), await committed(it)]).toEqual([[], [-1n]]);
    });
  });

  describe("a transaction", () => {
    test("that fails after outputs were sent leaves nothing for who reads what is committed, and its deliveries unsettled", async () => {
      const it = await line(["a"]);
      const [a] = await reading(it.queue)(1);
      const sink = it.sink();
      const failed = apply(sink, a === undefined ? [] : [a], large("a"), () => Promise.reject(new Error("no")));
      await expect(failed).rejects.toThrow("no");
      expect((await contents(it.results, "all")).map((word) => word[0])).toEqual(["a"]); // the second was still in memory
      expect(await contents(it.results)).toEqual([]);
      expect(await committed(it)).toEqual([-1n]);
    });

    test("does not settle what is before its deliveries: out of order it is refused", async () => {
      const it = await line(["a", "b", "c"]);
      const [a, b, c] = await reading(it.queue)(3);
      const sink = it.sink();
      if (a === undefined || b === undefined || c === undefined) throw new Error("three messages");
      await expect(apply(sink, [b], ["b"])).rejects.toMatchObject({ code: "missing_config", message: expect.stringContaining("ordering") as string });
      expect(await apply(sink, [a, b], ["a", "b"])).toBe("applied");
      await Promise.all([a.ack(), b.ack()]);
      expect(await apply(sink, [c], [])).toBe("applied"); // no outputs are an effect too
      expect([await contents(it.results), await committed(it)]).toEqual([["a", "b"], [3n]]);
    });

    test("without outputs that fails settles nothing, neither by the next one of its sink", async () => {
      const it = await line(["a", "b"], { partitions: 2 });
      const [a, b] = (await reading(it.queue)(2)).sort((one, other) => one.id.localeCompare(other.id));
      if (a === undefined || b === undefined) throw new Error("two messages");
      const sink = it.sink();
      const reason = new Error("lost");
      let looks = 0;
      const watched = Object.defineProperty(new AbortController().signal, "throwIfAborted", {
        value: () => {
          looks += 1;
          if (looks === 3) throw reason; // its place is in the transaction
        },
      });
      await expect(apply(sink, [{ ...a, signal: watched }], [])).rejects.toBe(reason);
      expect(await apply(sink, [b], ["b"])).toBe("applied");
      expect([await contents(it.results), await committed(it, [0, 1])]).toEqual([["b"], [-1n, 1n]]);
    });

    test("has settled its deliveries: to acknowledge them asks nothing of a broker", async () => {
      const it = await line(["a", "b"], { brokers: through });
      const deliveries = await reading(it.queue)(2);
      expect(await apply(it.sink(), deliveries, ["ab"])).toBe("applied");
      proxy.faults.silent = "both";
      await Promise.all(deliveries.map((delivery) => delivery.ack()));
      proxy.heal();
      await expect.poll(() => committed(it)).toEqual([2n]);
    });

    test("settles no deliveries but those that are out of its queue", async () => {
      const [it, other] = [await line(["a"]), await line(["b"])];
      const [b] = await reading(other.queue)(1);
      expect(await failure(apply(it.sink(), b === undefined ? [] : [b], []))).toBe("missing_config");
    });

    for (const [what, break_, outcome] of [
      ["the answer to its commit is lost is found to be done", () => void (proxy.faults.silent = "down"), "already-applied"],
      ["its commit is lost is found not to be done", () => {
        proxy.faults.refuse = true;
        proxy.cut();
      }, "applied"],
    ] as const) {
      test(`of which ${what}, and its effects are there once`, async () => {
        const it = await line(["a"], { brokers: through });
        const [a] = await reading(it.queue)(1);
        if (a === undefined) throw new Error("a message");
        let looks = 0;
        const own = new AbortController();
        const watched = Object.defineProperty(own.signal, "throwIfAborted", {
          value: () => {
            looks += 1;
            if (looks === 3) break_(); // the last look before the commit
          },
        });
        const sink = it.sink();
        expect(await failure(apply(sink, [{ ...a, signal: watched }], ["a"]))).toMatch(/^(unavailable|timeout)$/);
        proxy.heal();
        let again = 0;
        let result = "";
        await until(async () => (result = String(await apply(sink, [a], ["a"], () => void (again += 1)).catch(() => ""))) !== "");
        expect([result, looks]).toEqual([outcome, 3]);
        expect(again > 0).toBe(outcome === "applied");
        await a.ack();
        expect([await contents(it.results), await committed(it)]).toEqual([["a"], [1n]]);
      });
    }

    /** An attempt whose commit is done, and whose answer is lost; resolves when the commit is on its way. */
    const unheard = async (sink: KafkaSink, delivery: Delivery, word: string): Promise<{ readonly code: Promise<unknown> }> => {
      let looks = 0;
      const signal = Object.defineProperty(new AbortController().signal, "throwIfAborted", {
        value: () => {
          looks += 1;
          if (looks === 3) proxy.faults.silent = "down"; // the last look before the commit
        },
      });
      const code = failure(apply(sink, [{ ...delivery, signal }], [word]));
      await until(() => looks === 3);
      return { code };
    };

    test("of which the answer to its commit is lost is found to be done also by an attempt that had begun before", async () => {
      const it = await line(["a"], { brokers: through });
      const [a] = await reading(it.queue)(1);
      if (a === undefined) throw new Error("a message");
      const sink = it.sink();
      const { code } = await unheard(sink, a, "a");
      const second = apply(sink, [a], ["a"]);
      expect(await code).toMatch(/^(unavailable|timeout)$/);
      proxy.heal();
      expect(await second).toBe("already-applied");
      await a.ack();
      expect([await contents(it.results), await committed(it)]).toEqual([["a"], [1n]]);
    });

    test("of which the answer to its commit is lost is found to be done also after one of other deliveries has asked", async () => {
      const it = await line(["a", "b"], { partitions: 2, brokers: through });
      const [a, b] = (await reading(it.queue)(2)).sort((one, other) => one.id.localeCompare(other.id));
      if (a === undefined || b === undefined) throw new Error("two messages");
      const sink = it.sink();
      const { code } = await unheard(sink, a, "a");
      expect(await code).toMatch(/^(unavailable|timeout)$/);
      proxy.heal();
      expect(await apply(sink, [b], ["b"])).toBe("applied");
      expect(await apply(sink, [a], ["a"])).toBe("already-applied");
      expect([await contents(it.results), await committed(it, [0, 1])]).toEqual([["a", "b"], [1n, 1n]]);
    });

    for (const [when, options] of [
      ["as soon as one of its name reads", { transactionalId: `worker-${randomUUID()}`, transactionMs: 600_000 }],
      ["when its time is over", { transactionMs: 2_000 }],
    ] as const) {
      test(`of a reader that died is not seen, and its deliveries come ${when}`, async () => {
        const it = await line(["a"], { brokers: through });
        const [a] = await reading(it.queue)(1);
        if (a === undefined) throw new Error("a message");
        let looks = 0;
        const watched = Object.defineProperty(new AbortController().signal, "throwIfAborted", {
          value: () => {
            looks += 1;
            if (looks === 3) proxy.faults.silent = "both"; // dead to the broker, with the place in the transaction
          },
        });
        const dead = failure(apply(it.sink(options), [{ ...a, signal: watched }], large("a")));
        await until(() => looks === 3);
        const successor = it.reader({ brokers: direct });
        const sink = it.sink(options, successor);
        const again = await reading(successor)(1);
        expect(again.map(({ id }) => id)).toEqual([a.id]);
        expect(await apply(sink, again, ["again"])).toBe("applied");
        proxy.cut();
        expect(["unavailable", "timeout", "closed"]).toContain(await dead);
        proxy.heal();
        expect([await contents(it.results), await committed(it)]).toEqual([["again"], [1n]]);
      });
    }

    test("of a zombie is refused by the broker: who is no member any more settles nothing", async () => {
      const it = await line(["a"]);
      const [a] = await reading(it.queue)(1);
      if (a === undefined) throw new Error("a message");
      // it goes on as if it still were a member
      const zombie = { ...a, signal: new AbortController().signal };
      const put = apply(it.sink(), [zombie], large("a"), async () => {
        const consumer = new Consumer({ clientId: "test", bootstrapBrokers: [direct], groupId: it.group });
        const { members } = (await admin.describeGroups({ groups: [it.group] })).get(it.group) ?? {};
        await admin.removeMembersFromConsumerGroup({ groupId: it.group, members: [...(members?.keys() ?? [])].map((memberId) => ({ memberId, reason: "test" })) });
        await consumer.close();
      });
      expect(await failure(put)).toBe("unavailable");
      expect([await contents(it.results), await committed(it)]).toEqual([[], [-1n]]);
    });
  });

  test("a reader takes over only when the transaction of the one before is decided: what that has done is not done again", async () => {
    const it = await line(["a", "b"], { brokers: through });
    const queue = it.reader({ sessionMs: 1_000, timeoutMs: 30_000 });
    const [a] = await reading(queue)(1);
    if (a === undefined) throw new Error("a message");
    let looks = 0;
    const watched = Object.defineProperty(new AbortController().signal, "throwIfAborted", {
      value: () => {
        looks += 1;
        if (looks === 3) proxy.faults.silent = "both"; // the place is in the transaction; its end stays on the way
      },
    });
    const result = apply(it.sink({ transactionMs: 30_000 }, queue), [{ ...a, signal: watched }], ["a"]);
    await until(() => looks === 3);
    const successor = it.reader({ brokers: direct });
    const next = reading(successor)(1);
    await until(() => a.signal.aborted); // the session is over
    await until(async () => (await admin.describeGroups({ groups: [it.group] })).get(it.group)?.members.size === 1);
    await new Promise((resolve) => setTimeout(resolve, 500)); // the successor asks where to begin
    proxy.heal();
    expect([await result, (await next).map(({ id }) => id)]).toEqual(["applied", [`${it.topic}/0/1`]]);
    expect(await contents(it.results)).toEqual(["a"]);
  });

  test("aborted records are never delivered, whoever aborted them how often; what is not ended yet waits", async () => {
    const topic = await topicOf(1);
    const send = (value: string) => ({ messages: [{ topic, partition: 0, value: bodyOf(value) }] });
    const producers = Array.from({ length: 2 }, () => new Producer({ clientId: "test", bootstrapBrokers: [direct], idempotent: true, retries: 5, retryDelay: 20, transactionalId: randomUUID() }));
    const [one, two] = producers;
    if (one === undefined || two === undefined) throw new Error("two producers");
    const seen: string[] = [];
    const queue = keep(kafka({ brokers: direct, topic, group: `g-${randomUUID()}`, fetchBytes: 200 })); // several fetches within a transaction
    const reader = consume(queue, pipe(), async (part) => void seen.push(wordOf(part)));
    const wanted: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      const [first, second] = [await one.beginTransaction(), await two.beginTransaction()];
      for (let n = 0; n < 3; n += 1) {
        await first.send(send(`aborted ${round}.${n}`));
        await second.send(send(`kept ${round}.${n}`));
        await raw.send({ acks: -1, ...send(`plain ${round}.${n}`) });
        wanted.push(`kept ${round}.${n}`, `plain ${round}.${n}`);
      }
      await first.abort();
      expect(seen.filter((word) => word.startsWith(`plain ${round}`))).toEqual([]); // the second is not ended
      await second.commit();
      const third = await one.beginTransaction();
      await third.send(send(`kept ${round}`));
      wanted.push(`kept ${round}`);
      await third.commit();
      await until(() => seen.length >= wanted.length);
    }
    await Promise.all(producers.map((producer) => producer.close()));
    await reader.stop();
    expect(seen).toEqual(wanted);
  }, 60_000);
});
