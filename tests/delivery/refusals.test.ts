import { describe, expect, test } from "vitest";
import { memoryKeyValue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { pipe, type Processor } from "../../src/index.ts";
import { journal } from "../../src/kinds/journal.ts";
import type { ConsumeOptions } from "../../src/delivery/options.ts";
import type { Sink, SinkLike } from "../../src/delivery/sinks.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Queue } from "../../src/kinds/queue.ts";
import { like } from "./support.ts";

const queue = memoryQueue();
const durable = like(queue, { durable: true });
const pubSub = like(queue, { guarantee: "at-most-once", redelivery: "none" });
const atomic: Sink = { guarantee: "confirmed", write: async () => {}, atomic: async () => "applied" };
const settling: Sink = { ...atomic, settles: queue };
const once = journal(memoryKeyValue());

/** What is refused, why, and the nearest that is not. */
const cases: readonly [what: string, message: RegExp, refused: [Queue, SinkLike | readonly SinkLike[] | undefined, ConsumeOptions], fine: [Queue, SinkLike | readonly SinkLike[] | undefined, ConsumeOptions]][] = [
  ["dead letters of a source that delivers at most once", /deadLetter: memory delivers at most once/, [pubSub, undefined, { deadLetter: queue }], [pubSub, undefined, {}]],
  ["maxDeliveries of a source that delivers at most once", /maxDeliveries: memory delivers at most once/, [pubSub, undefined, { maxDeliveries: 3 }], [queue, undefined, { maxDeliveries: 3 }]],
  ["less in flight than running", /maxInFlight \(2\) is less than concurrency \(3\)/, [queue, undefined, { concurrency: 3, maxInFlight: 2 }], [queue, undefined, { concurrency: 3, maxInFlight: 3 }]],
  ["a batch of more than may be in flight", /batch.count \(5\) is more than maxInFlight \(4\)/, [queue, undefined, { batch: { count: 5 }, maxInFlight: 4 }], [queue, undefined, { batch: { count: 5 }, maxInFlight: 5 }]],
  [
    "a batch that waits for half of a lease that cannot be prolonged",
    /batch.maxWaitMs \(5000\) is half of the lease \(10000\)/,
    [like(queue, { leaseMs: 10_000, lacks: { extend: "no call" } }), undefined, { batch: { count: 2, maxWaitMs: 5_000 } }],
    [like(queue, { leaseMs: 10_000 }), undefined, { batch: { count: 2, maxWaitMs: 5_000 } }],
  ],
  ["a sink that confirms nothing", /the sink confirms nothing/, [queue, { guarantee: "fire-and-forget", write: async () => {} }, {}], [queue, { guarantee: "confirmed", write: async () => {} }, {}]],
  ["one of several sinks that confirms nothing", /the sink confirms nothing/, [queue, [async () => {}, pubSub], {}], [queue, [async () => {}, async () => {}], {}]],
  ["a queue as a sink that confirms nothing", /the sink confirms nothing/, [queue, pubSub, {}], [queue, memoryQueue(), {}]],
  ["dead letters that confirm nothing", /deadLetter: the queue confirms nothing/, [queue, undefined, { deadLetter: pubSub }], [queue, undefined, { deadLetter: queue }]],
  ["outputs in memory, of a durable source", /say ackOn: "handoff"/, [durable, queue, {}], [durable, queue, { ackOn: "handoff" }]],
  ["dead letters in memory, of a durable source", /say ackOn: "handoff"/, [durable, undefined, { deadLetter: queue }], [durable, undefined, { deadLetter: durable }]],
  ["keys in order, of a queue without keys", /ordering "key": memory has no keys: a list/, [like(queue, { lacks: { keys: "a list" } }), undefined, { ordering: "key" }], [queue, undefined, { ordering: "key" }]],
  ["an atomic sink beside another", /an atomic sink must be the only one/, [queue, [atomic, async () => {}], {}], [queue, [atomic], {}]],
  ["batches into an atomic sink", /batch: an atomic sink/, [queue, atomic, { batch: { count: 2 } }], [queue, atomic, {}]],
  ["a sink that settles deliveries of another queue", /sink: its transactions settle deliveries of memory other, not of memory/, [queue, { ...atomic, settles: { service: "memory", name: "other" } }, { ordering: "strict" }], [queue, settling, { ordering: "strict" }]],
  ["a sink that settles deliveries, out of their order", /sink: .* say ordering: "strict"/, [queue, settling, { ordering: "key", batch: { count: 2 } }], [queue, settling, { ordering: "strict", batch: { count: 2 } }]],
  ["a journal of batches", /batch: a journal/, [queue, undefined, { batch: { count: 2 }, journal: once }], [queue, undefined, { journal: once }]],
];

describe("D13: what would lose messages, or stand still, is refused when it is built, with the reason", () => {
  for (const [what, message, refused, fine] of cases) {
    test(what, async () => {
      const build = ([source, sink, options]: typeof refused): unknown => consume(source, pipe(), sink, options);
      expect(() => build(refused)).toThrow(expect.objectContaining({ code: "missing_config", message: expect.stringMatching(message) as string }) as Error);
      const worker = consume(fine[0], pipe(), fine[1], fine[2]);
      await worker.stop();
    });
  }

  test("options that are out of range", () => {
    const bad: readonly [ConsumeOptions, RegExp][] = [
      [{ concurrency: 0 }, /consume: concurrency/],
      [{ maxInFlight: 1.5 }, /consume: maxInFlight/],
      [{ ordering: "random" as "key" }, /consume: ordering/],
      [{ maxDeliveries: 0 }, /consume: maxDeliveries/],
      [{ deliveryTimeoutMs: NaN }, /consume: deliveryTimeoutMs/],
      [{ outageMs: -1 }, /consume: outageMs/],
      [{ outageMs: NaN }, /consume: outageMs/],
      [{ batch: { count: 0 } }, /consume: batch.count/],
      [{ batch: { count: 1, bytes: 0 } }, /consume: batch.bytes/],
      [{ batch: { count: 1, maxWaitMs: 0 } }, /consume: batch.maxWaitMs/],
      [{ errorBudget: { rate: 2 } }, /consume: errorBudget.rate/],
      [{ deadLetter: {} as Queue }, /consume: deadLetter must be a queue/],
      [{ ackOn: "never" as "handoff" }, /consume: ackOn/],
      [{ baseMs: -1 }, /consume: baseMs/],
      [{ version: 1 as unknown as string }, /consume: version/],
    ];
    for (const [options, message] of bad) {
      expect(() => consume(queue, pipe(), undefined, options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringMatching(message) as string }) as Error);
    }
    expect(() => consume({} as Queue, pipe())).toThrow(/consume: queue must be a queue/);
    expect(() => consume(queue, "x" as unknown as Processor)).toThrow(/consume: processor must be a processor/);
    expect(() => consume(queue, pipe(), { write: 1 } as unknown as Sink)).toThrow(/consume: sink must be a sink/);
  });
});
