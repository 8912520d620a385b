import { UserError } from "@platformatic/kafka";
import { describe, expect, test } from "vitest";
import { Commits } from "../../src/adapters/kafka/commits.ts";
import { faultOf } from "../../src/adapters/kafka/errors.ts";
import { insideOf } from "../../src/adapters/kafka/held.ts";
import { checked } from "../../src/adapters/kafka/options.ts";
import { kafka, kafkaSink } from "../../src/adapters/kafka/index.ts";
import { type Out, Partition } from "../../src/adapters/kafka/partition.ts";
import { type Fetched, keyIn, recordsIn } from "../../src/adapters/kafka/records.ts";
import { watchStuck } from "../../src/adapters/kafka/stuck.ts";
import { type SinkContext, text } from "../../src/index.ts";
import { isKey } from "../../src/kinds/queue.ts";
import { type FakeClock, fakeClock } from "../../src/testing/clock.ts";

type Batch = NonNullable<Fetched["records"]>[number];

const batch = (firstOffset: bigint, count: number, more: Partial<Batch> = {}): Batch => ({
  firstOffset,
  lastOffsetDelta: count - 1,
  magic: 2,
  attributes: 0,
  producerId: -1n,
  records: Array.from({ length: count }, (_, offsetDelta) => ({ offsetDelta, length: 10, key: null, value: Uint8Array.of(offsetDelta), headers: [] })),
  ...more,
});
/** The end of a transaction: 0 aborts, 1 commits. */
const marker = (firstOffset: bigint, producerId: bigint, type: 0 | 1): Batch =>
  batch(firstOffset, 1, { attributes: 48, producerId, records: [{ offsetDelta: 0, length: 10, key: Uint8Array.of(0, 0, 0, type), value: null, headers: [] }] });
const inTransaction = (firstOffset: bigint, count: number, producerId: bigint): Batch => batch(firstOffset, count, { attributes: 16, producerId });
const offsets = (fetched: Fetched, from: bigint): readonly [readonly number[], number] => {
  const { records, next } = recordsIn(fetched, from);
  return [records.map(({ offset }) => Number(offset)), Number(next)];
};

describe("what a fetch brings", () => {
  test("begins at the wanted offset within a batch, and goes on behind the last, also over holes", () => {
    expect(offsets({ records: [batch(3n, 4), batch(20n, 2)], abortedTransactions: null }, 5n)).toEqual([[5, 6, 20, 21], 22]);
    expect(offsets({ records: [batch(3n, 4, { records: [] })], abortedTransactions: null }, 3n)).toEqual([[], 7]);
    expect(offsets({ records: null, abortedTransactions: null }, 5n)).toEqual([[], 5]);
  });

  test("leaves out aborted transactions: also one whose end is not there yet, and each of several of one producer", () => {
    const open = { records: [inTransaction(0n, 2, 7n), batch(2n, 1)], abortedTransactions: [{ producerId: 7n, firstOffset: 0n }] };
    expect(offsets(open, 0n)).toEqual([[2], 3]);
    const several = {
      records: [inTransaction(0n, 1, 7n), marker(1n, 7n, 0), inTransaction(2n, 1, 7n), marker(3n, 7n, 1), inTransaction(4n, 1, 7n), marker(5n, 7n, 0), inTransaction(6n, 1, 8n), marker(7n, 8n, 1)],
      abortedTransactions: [{ producerId: 7n, firstOffset: 4n }, { producerId: 7n, firstOffset: 0n }],
    };
    expect(offsets(several, 0n)).toEqual([[2, 6], 8]);
  });

  test("makes one unreadable record of a batch in an unknown form, and goes on behind it", () => {
    const { records, next } = recordsIn({ records: [batch(4n, 3, { magic: 1 }), batch(7n, 1)], abortedTransactions: null }, 4n);
    expect(records.map(({ offset, magic }) => [offset, magic])).toEqual([[4n, 1], [7n, undefined]]);
    expect(next).toBe(8n);
  });
});

test("keys are such as may be sent on, each its own, whatever others have written", () => {
  const keys = ["plain", "", "\0\0\0*", "k".repeat(257), "k".repeat(258), "k".repeat(10_000)].map((key) => keyIn({ offset: 0n, bytes: 0, key: Buffer.from(key), value: null, headers: [] }));
  expect(keys[0]).toBe("plain");
  expect(keys.every(isKey)).toBe(true);
  expect(new Set(keys).size).toBe(keys.length);
});

const taken = (partition: Partition): Out => {
  const out = partition.take();
  if (out === undefined) throw new Error("needs a message");
  return out;
};

describe("a partition", () => {
  const filled = (count: number, lowBytes = 1_000_000): Partition => {
    const partition = new Partition(0, 0n, false, fakeClock(), lowBytes);
    partition.add(recordsIn({ records: [batch(0n, count)], abortedTransactions: null }, 0n).records, BigInt(count));
    return partition;
  };

  test("hands out no more than a thousand messages beyond the one that is not settled", () => {
    const partition = filled(1_200);
    const [first, ...others] = Array.from({ length: 1_000 }, () => taken(partition));
    for (const out of others) partition.settle(out);
    expect([partition.take(), partition.place]).toEqual([undefined, 0n]);
    if (first !== undefined) partition.settle(first);
    expect([partition.take()?.record.offset, partition.place]).toEqual([1_000n, 1_000n]);
  });

  test("is asked for no more while enough is there", () => {
    const partition = filled(501);
    expect([filled(499).wants, partition.wants]).toEqual([true, false]);
    partition.take();
    partition.take();
    expect(partition.wants).toBe(true);
  });

  test("is asked for no more while enough bytes are there, of few messages too, and whether they are settled or not", () => {
    const partition = filled(5, 50); // ten bytes each
    expect(partition.wants).toBe(false);
    partition.take();
    expect(partition.wants).toBe(true);
    partition.add(recordsIn({ records: [batch(5n, 1)], abortedTransactions: null }, 5n).records, 6n);
    expect(partition.wants).toBe(false);
    const out = taken(partition);
    partition.giveBack(out, 0, true);
    expect([taken(partition).record.offset, partition.wants]).toEqual([1n, true]); // it is not counted twice
    for (let left = 4; left > 0; left -= 1) partition.take();
    partition.add(recordsIn({ records: [batch(6n, 5)], abortedTransactions: null }, 6n).records, 11n);
    expect(partition.wants).toBe(false);
  });

  test("knows the place behind messages only where all before them are settled or among them, given back or out", () => {
    const partition = filled(4);
    const [a, b] = [taken(partition), taken(partition), taken(partition)];
    expect([partition.placeBehind(new Set([0n, 1n])), partition.placeBehind(new Set([0n, 2n])), partition.placeBehind(new Set([2n]))]).toEqual([2n, undefined, undefined]);
    partition.settle(a);
    partition.giveBack(b, 0, true);
    expect([partition.placeBehind(new Set([2n])), partition.placeBehind(new Set([2n, 1n]))]).toEqual([undefined, 3n]);
  });

  test("waits for what was given back, which comes first and in its order", async () => {
    const clock = fakeClock();
    const partition = new Partition(0, 0n, false, clock, 1_000_000);
    partition.add(recordsIn({ records: [batch(0n, 3)], abortedTransactions: null }, 0n).records, 3n);
    const [a, b] = [taken(partition), taken(partition)];
    partition.giveBack(b, 0, false);
    partition.giveBack(a, 50, true);
    expect([partition.take(), partition.dueMs]).toEqual([undefined, clock.now() + 50]);
    await clock.advance(50);
    const again = [partition.take(), partition.take(), partition.take()];
    expect(again.map((out) => [out?.record.offset, out?.attempt])).toEqual([[0n, 2], [1n, 1], [2n, 1]]);
  });
});

describe("a commit while the group is being divided anew", () => {
  test.each([["stands when its reader drains", false, "committed"], ["is another's when its partition is taken away", true, "closed"]] as const)("%s", async (_, revoked, outcome) => {
    const partition = new Partition(0, 0n, true, fakeClock(), 1_000_000);
    partition.revoked = revoked;
    partition.place = 1n;
    let calls = 0;
    const commit = async (): Promise<void> => {
      calls += 1;
      if (calls === 1) throw Object.assign(new Error("no"), { apiId: "REBALANCE_IN_PROGRESS", canRetry: false });
    };
    const commits = new Commits(checked({ brokers: "127.0.0.1:9", topic: "jobs" }), commit, () => {}, new AbortController().signal);
    expect(await commits.confirm(partition).then(() => "committed", ({ code }: { code: string }) => code)).toBe(outcome);
  });
});

test("a broker that the metadata does not know is looked for again", () => {
  expect(faultOf(new UserError("Cannot find broker with node id 3"))).toEqual({ code: "unavailable" });
});

describe("D7: a message that is not settled", () => {
  const partitionOf = (index: number, clock: FakeClock): Partition => {
    const partition = new Partition(index, 0n, false, clock, 1_000_000);
    partition.add(recordsIn({ records: [batch(0n, 3)], abortedTransactions: null }, 0n).records, 3n);
    return partition;
  };

  test("is told of when it is the oldest of its partition for so long, and again as long as it is; one that is given back too", async () => {
    const clock = fakeClock();
    const [held, moving, idle] = [partitionOf(0, clock), partitionOf(1, clock), partitionOf(2, clock)];
    const told: (readonly [number, bigint, number])[] = [];
    const cancel = watchStuck({ clock, maxStuckMs: 800, partitions: () => [held, moving, idle], tell: (...each) => told.push(each) });
    const [first, second] = [taken(held), taken(held)];
    const moves = taken(moving);
    moving.take();
    await clock.advance(600);
    moving.settle(moves);
    held.settle(second); // not the oldest
    held.giveBack(first, 10_000, true);
    await clock.advance(200);
    expect(told).toEqual([]);
    await clock.advance(100); // it was first seen at the first look
    expect(told).toEqual([[0, 0n, 800]]);
    await clock.advance(800);
    expect(told.filter(([index]) => index === 0)).toEqual([[0, 0n, 800], [0, 0n, 1_600]]);
    expect(told.filter(([index]) => index !== 0)).toEqual([[1, 1n, 800]]);
    cancel();
    await clock.advance(10_000);
    expect(told.length).toBe(3);
  });
});

describe("options", () => {
  test.each<[string, object]>([
    ["brokers", { brokers: "" }],
    ["brokers", { brokers: [] }],
    ["brokers", { brokers: "127.0.0.1" }],
    ["brokers", { brokers: "kafka://me:secret@127.0.0.1:9092" }],
    ["brokers", { brokers: "me:secret@127.0.0.1:9092" }],
    ["topic", { topic: "a/b" }],
    ["topic", { topic: ".." }],
    ["topic", { topic: "a".repeat(250) }],
    ["topic", { topic: undefined }],
    ["group", { group: "a b" }],
    ["group", { group: "" }],
    ["startAt", { startAt: "start" }],
    ["whenGone", { whenGone: "latest" }],
    ["sessionMs", { sessionMs: 999 }],
    ["heartbeatMs", { sessionMs: 6_000, heartbeatMs: 2_001 }],
    ["maxStuckMs", { maxStuckMs: 0 }],
    ["connectMs", { connectMs: 0 }],
    ["timeoutMs", { timeoutMs: 1.5 }],
    ["fetchBytes", { fetchBytes: 0 }],
    ["sasl", { sasl: { mechanism: "PLAIN", username: "me", password: "" } }],
    ["sasl", { sasl: { mechanism: "GSSAPI", username: "me", password: "secret" } }],
    ["sasl", { sasl: { mechanism: "OAUTHBEARER" } }],
  ])("refuses a bad %s when it is built", (option, options) => {
    const build = (): unknown => kafka({ brokers: "127.0.0.1:9092", topic: "jobs", group: "workers", ...options });
    expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(option) }));
    expect(build).not.toThrow(/secret/);
  });

  const queue = kafka({ brokers: "127.0.0.1:9", topic: "jobs", group: "workers" });

  test.each<[string, string, object]>([
    ["topic", "invalid_input", { topic: "a/b" }],
    ["topic", "invalid_input", {}],
    ["again", "missing_config", { topic: "jobs" }],
    ["key", "invalid_input", { topic: "results", key: "customer" }],
    ["transactionalId", "invalid_input", { topic: "results", transactionalId: "" }],
    ["transactionMs", "invalid_input", { topic: "results", transactionMs: 999 }],
  ])("a sink refuses a bad %s when it is built", (option, code, options) => {
    expect(() => kafkaSink(queue, options as Parameters<typeof kafkaSink>[1])).toThrow(expect.objectContaining({ code, message: expect.stringContaining(option) as string }) as Error);
  });

  test("a sink is for a queue of Kafka that is read, and writes in a transaction alone", async () => {
    expect(() => kafkaSink({ ...queue }, { topic: "results" })).toThrow(/kafkaSink: queue must be a queue of kafka/);
    expect(() => kafkaSink(kafka({ brokers: "127.0.0.1:9", topic: "jobs" }), { topic: "results" })).toThrow(/without a group/);
    await using sink = kafkaSink(queue, { topic: "results" });
    await expect(sink.write(text("a"), {} as SinkContext)).rejects.toMatchObject({ code: "invalid_input" });
  });

  test("a queue that was built without a group only sends", async () => {
    await using queue = kafka({ brokers: "127.0.0.1:9", topic: "jobs" });
    const reading = queue.open({ signal: new AbortController().signal, maxInFlight: 1 })[Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toMatchObject({ code: "missing_config", message: expect.stringContaining("group") });
  });

  test("a queue that is closed while a reading prepares joins no group", async () => {
    const queue = kafka({ brokers: "127.0.0.1:9", topic: "jobs", group: "workers" });
    const gate = Promise.withResolvers<void>();
    insideOf(queue)?.prepare.add(() => gate.promise);
    const next = queue.open({ signal: new AbortController().signal, maxInFlight: 1 })[Symbol.asyncIterator]().next();
    await queue.close();
    gate.resolve();
    await expect(next).rejects.toMatchObject({ code: "closed" });
  });

  test("a broker that is not there is unavailable, at once", async () => {
    await using queue = kafka({ brokers: "127.0.0.1:9", topic: "jobs" });
    await expect(queue.send([])).rejects.toMatchObject({ code: "unavailable", retryable: true, service: "kafka" });
  });
});
