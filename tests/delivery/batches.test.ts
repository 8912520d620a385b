import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { bytes, MillraceError, type Part, pipe, type Processor, text } from "../../src/index.ts";
import type { SinkContext } from "../../src/delivery/sinks.ts";
import { consume } from "../../src/delivery/worker.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { drained, filled, firstWord, gate, heardEvents, lettersIn, turns, until, wordOf, written } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** Notes the words of each run, and fails on those that `bad` names, at the end. */
function noting(batches: string[][], bad: (words: readonly string[]) => unknown = () => undefined): Processor {
  return async function* (input: AsyncIterable<Part>) {
    const words: string[] = [];
    for await (const part of input) words.push(wordOf(part));
    batches.push(words);
    const error = bad(words);
    if (error !== undefined) throw error;
    yield text(words.join(""));
  };
}
const poison = (words: readonly string[]): unknown => (words.some((word) => word.startsWith("bad")) ? new MillraceError("invalid_input", "bad") : undefined);

describe("D16: several deliveries in one run", () => {
  test("are run together when there are enough of them, or have waited long enough, and acknowledged together", async () => {
    const clock = fakeClock();
    const queue = await filled([..."abcde"], { clock });
    const batches: string[][] = [];
    const sink = written();
    await using worker = consume(queue, noting(batches), sink, { clock, batch: { count: 2, maxWaitMs: 300 } });
    await until(() => worker.counters.acked === 4);
    await clock.advance(299);
    expect([batches, worker.counters.inFlight]).toEqual([[["a", "b"], ["c", "d"]], 1]);
    await clock.advance(1);
    await until(() => worker.counters.acked === 5);
    expect(batches[2]).toEqual(["e"]);
    expect(sink.all).toEqual([{ word: "ab", key: "q/1@m1+1:0" }, { word: "cd", key: "q/3@m3+1:0" }, { word: "e", key: "q/5@m5:0" }]);
  });

  test("one that is full takes its wait with it: the next waits as long from its own first delivery", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock });
    const batches: string[][] = [];
    await using worker = consume(queue, noting(batches), undefined, { clock, batch: { count: 2, maxWaitMs: 300 } });
    await until(() => worker.counters.acked === 2);
    await clock.advance(200);
    await queue.send([text("c")]);
    await clock.advance(299);
    expect(batches).toEqual([["a", "b"]]);
    await clock.advance(1);
    expect(batches).toEqual([["a", "b"], ["c"]]);
  });

  test("tell the sink of the first delivery, and of all", async () => {
    const queue = await filled(["a", "b", "c"]);
    const told: unknown[] = [];
    const sink = async (_: Part, { delivery, deliveries }: SinkContext): Promise<void> => void told.push(delivery.id, deliveries.map(({ id }) => id));
    await using worker = consume(queue, noting([]), sink, { batch: { count: 3 } });
    await until(() => worker.counters.acked === 3);
    expect(told).toEqual(["q/1", ["q/1", "q/2", "q/3"]]);
  });

  test("no more bytes than allowed in one, but for a single larger delivery", async () => {
    const queue = memoryQueue({ name: "q" });
    for (const size of [40, 30, 20, 20, 500, 10]) await queue.send([bytes(new Uint8Array(size), "x/y")]);
    const sizes: number[] = [];
    const processor: Processor = async function* (input: AsyncIterable<Part>) {
      let size = 0;
      for await (const part of input) size += part.kind === "bytes" ? part.bytes.byteLength : 0;
      sizes.push(size);
    };
    const clock = fakeClock();
    await using worker = consume(queue, processor, undefined, { clock, batch: { count: 100, bytes: 70 }, maxInFlight: 100 });
    await until(() => worker.counters.acked === 6, clock);
    expect(sizes).toEqual([70, 40, 500, 10]);
  });

  test("none is acknowledged before all of it is confirmed", async () => {
    const queue = await filled(["a", "b"]);
    const confirming = gate();
    await using worker = consume(queue, pipe(), () => confirming.promise, { batch: { count: 2 } });
    await turns(5);
    expect(queue.counts.inFlight).toBe(2);
    confirming.open();
    await until(() => worker.counters.acked === 2);
  });

  test("a run that gives nothing acknowledges its own deliveries, not the next", async () => {
    const queue = await filled(["drop1", "drop2", "c", "d"]);
    const holding = gate();
    const processor: Processor = async function* (input) {
      for await (const part of input) {
        if (!wordOf(part).startsWith("drop")) await holding.promise;
      }
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, written(), { batch: { count: 2 }, maxInFlight: 4, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 2);
    await turns(5);
    expect([events.of("acked").map(({ id }) => id), queue.counts.inFlight]).toEqual([["q/1", "q/2"], 2]);
    holding.open();
    await until(() => worker.counters.acked === 4);
  });

  test("one bad message among n is found in at most 2·log2(n) + 1 further runs, and alone set aside", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 32 }), fc.nat(31), async (count, at) => {
        const words = Array.from({ length: count }, (_, i) => (i === at % count ? `bad${i}` : `w${i}`));
        const queue = await filled(words);
        const dead = memoryQueue();
        const batches: string[][] = [];
        const sink = written();
        const worker = consume(queue, noting(batches, poison), sink, { deadLetter: dead, batch: { count }, maxInFlight: 32 });
        await until(() => worker.counters.acked + worker.counters.deadLettered === count);
        await worker.stop();
        expect((await drained(dead)).map(firstWord)).toEqual(words.filter((word) => word.startsWith("bad")));
        expect(sink.words.join("")).toBe(words.filter((word) => !word.startsWith("bad")).join(""));
        expect(batches.length - 1).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(count)) + 1);
      }),
      { numRuns: Math.ceil(runs / 4) },
    );
  });

  test("a failure that may have been chance is tried again together, and parted when its attempts are spent", async () => {
    const clock = fakeClock();
    const queue = await filled([..."aaaaa", "bug", "c"], { clock });
    const dead = memoryQueue();
    const batches: string[][] = [];
    const bug = (words: readonly string[]): unknown => (words.includes("bug") ? new TypeError("bug") : undefined);
    await using worker = consume(queue, noting(batches, bug), written(), { clock, deadLetter: dead, maxDeliveries: 2, batch: { count: 7 }, maxInFlight: 7, random: () => 0 });
    await until(() => worker.counters.acked + worker.counters.deadLettered === 7, clock, 100);
    expect(batches.map((words) => words.join(""))).toEqual(["aaaaabugc", "aaaaabugc", "aaa", "aabugc", "aa", "bugc", "bug", "c"]);
    expect((await lettersIn(dead)).map(({ word }) => word)).toEqual(["bug"]);
  });

  test("keep the order of lanes", async () => {
    const queue = await filled(["k1", "l1", "k2", "l2", "m1", "m2"], { key: (word) => word.slice(0, 1) });
    const batches: string[][] = [];
    const holding = gate();
    const noted = noting(batches);
    const processor: Processor = async function* (input, context) {
      for await (const part of noted(input, context)) {
        if (wordOf(part) === "k1l1") await holding.promise;
        yield part;
      }
    };
    await using worker = consume(queue, processor, written(), { ordering: "key", concurrency: 3, batch: { count: 2 } });
    await until(() => worker.counters.acked === 2);
    expect(batches).toEqual([["k1", "l1"], ["m1", "m2"]]);
    holding.open();
    await until(() => worker.counters.acked === 6);
    expect(batches[2]).toEqual(["k2", "l2"]);
  });

  test("a stop in the middle of parting one gives back what is not settled, and nothing twice", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b", "bad", "d"], { clock });
    let runs = 0;
    const processor: Processor = async function* (input) {
      runs += 1;
      if (runs === 3) await new Promise(() => {}); // the second half
      for await (const part of input) if (wordOf(part) === "bad") throw new MillraceError("invalid_input", "bad");
    };
    const worker = consume(queue, processor, undefined, { clock, deadLetter: memoryQueue(), batch: { count: 4 }, maxInFlight: 4 });
    await until(() => runs === 3);
    const stopping = worker.stop({ deadlineMs: 0 });
    await clock.advance(250);
    expect(await stopping).toEqual({ acked: 0, nacked: 2, deadLettered: 0, abandoned: 0 });
    expect([worker.counters.acked, worker.counters.lost, queue.counts.waiting]).toEqual([2, 0, 2]);
  });

  test("a stop gives back at once what is still being gathered", async () => {
    const queue = await filled(["a", "b"]);
    const clock = fakeClock();
    const worker = consume(queue, pipe(), written(), { clock, batch: { count: 10 }, maxInFlight: 10 });
    await until(() => worker.counters.inFlight === 2);
    expect(await worker.stop()).toMatchObject({ acked: 0, nacked: 2 });
    expect([queue.counts.waiting, clock.pending]).toEqual([2, 0]);
  });
});
