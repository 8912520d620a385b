import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { answerCalls } from "../../src/delivery/answer-calls.ts";
import { call, type CallOptions } from "../../src/delivery/call.ts";
import { requestHeaders } from "../../src/delivery/call-headers.ts";
import { reopening } from "../../src/delivery/reopening.ts";
import { each, isText, MillraceError, type Processor, run, text } from "../../src/index.ts";
import type { Queue } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { heardEvents, like, likeDeliveries, turns, until, wordOf } from "./support.ts";

const queues = () => ({ requests: memoryQueue({ name: "requests" }), replies: memoryQueue({ name: "replies" }) });
const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
/** Gives one part, and then nothing until it is aborted. */
const stuck = () => {
  const aborted: unknown[] = [];
  const processor: Processor = async function* (_, context) {
    yield text("a");
    await new Promise((_, reject) => {
      context?.signal.addEventListener("abort", () => {
        aborted.push(context.signal.reason);
        reject(context.signal.reason as Error);
      });
    });
  };
  return { aborted, processor };
};

describe("cancellations", () => {
  /** A queue whose first openings fail. */
  const failing = (queue: Queue, ...errors: readonly unknown[]): { readonly queue: Queue; readonly opened: () => number } => {
    let opened = 0;
    const open: Queue["open"] = async function* (options) {
      opened += 1;
      if (opened <= errors.length) throw errors[opened - 1];
      yield* queue.open(options);
    };
    return { queue: like(queue, { open }), opened: () => opened };
  };

  test("that cannot be read are read again after growing pauses, and end calls then", async () => {
    const { requests, replies } = queues();
    const clock = fakeClock();
    const inner = memoryQueue({ name: "cancellations" });
    const cut = new MillraceError("unavailable", "cut");
    const { queue: cancellations, opened } = failing(inner, cut, new MillraceError("unavailable", "cut", { retryAfterMs: 7_000 }), cut);
    const events = heardEvents();
    const { aborted, processor } = stuck();
    await using _ = answerCalls(requests, processor, [replies], { cancellations, clock, random: () => 0.5, onEvent: events.onEvent });
    await turns();
    expect([opened(), events.of("source_failed")]).toMatchObject([1, [{ delayMs: 500, error: cut }]]);
    await clock.advance(499);
    expect(opened()).toBe(1);
    await clock.advance(1);
    expect([opened(), events.of("source_failed")[1]?.delayMs]).toEqual([2, 7_000]);
    await clock.advance(7_000);
    expect([opened(), events.of("source_failed")[2]?.delayMs]).toEqual([3, 2_000]);
    await clock.advance(2_000);
    expect(opened()).toBe(4);
    for await (const _ of run(call(requests, replies, { cancellations: inner }), "go")) break;
    await until(() => aborted.length === 1);
    expect(events.of("lost")[0]?.error).toMatchObject({ message: "answerCalls: the call was cancelled" });
  });

  test("that came before the reading failed make it a first failure; the end of the worker is none", async () => {
    const { requests, replies } = queues();
    const clock = fakeClock();
    const inner = memoryQueue({ name: "cancellations" });
    let opened = 0;
    const open: Queue["open"] = async function* (options) {
      opened += 1;
      if (opened < 3) throw new MillraceError("unavailable", "cut");
      for await (const delivery of inner.open(options)) {
        yield delivery;
        if (opened === 3) throw new MillraceError("unavailable", "cut");
      }
    };
    const events = heardEvents();
    const worker = answerCalls(requests, shout, [replies], { cancellations: like(inner, { open }), clock, random: () => 0.5, onEvent: events.onEvent });
    await clock.advance(1_500);
    expect(opened).toBe(3);
    await inner.send([]);
    await clock.advance(500);
    expect([opened, events.of("source_failed").map(({ delayMs }) => delayMs)]).toEqual([4, [500, 1_000, 500]]);
    await worker.stop();
    await turns();
    expect(events.of("source_failed")).toHaveLength(3);
  });

  test("that cannot be read for good are read no more, and it is told", async () => {
    for (const error of [new MillraceError("closed", "it is closed"), new TypeError("a bug")]) {
      const { requests, replies } = queues();
      const clock = fakeClock();
      const { queue: cancellations, opened } = failing(memoryQueue(), error, error);
      const events = heardEvents();
      await using _ = answerCalls(requests, shout, [replies], { cancellations, clock, onEvent: events.onEvent });
      await turns();
      await clock.advance(120_000);
      expect([opened(), events.of("source_failed")]).toEqual([1, [{ kind: "source_failed", delayMs: Infinity, error }]]);
      expect(await run(call(requests, replies), "a").text()).toBe("A"); // calls are answered all the same
    }
  });

  test("are read no more, and leave no timer, when the worker is over", async () => {
    const { requests, replies } = queues();
    const clock = fakeClock();
    const cut = new MillraceError("unavailable", "cut");
    const { queue: cancellations, opened } = failing(memoryQueue(), cut, cut);
    const worker = answerCalls(requests, shout, [replies], { cancellations, clock, random: () => 0.5 });
    await turns();
    await worker.stop();
    await turns();
    expect(clock.pending).toBe(0);
    await clock.advance(120_000);
    expect(opened()).toBe(1);
  });
});

test("a source that gave something before it failed is opened again as after a first failure, until it ends", async () => {
  const clock = fakeClock();
  const events = heardEvents();
  let [opened, received] = [0, 0];
  const read = async (): Promise<void> => {
    opened += 1;
    if (opened === 3) received += 1;
    if (opened < 5) throw new MillraceError("unavailable", "cut");
  };
  const over = reopening(read, { signal: new AbortController().signal, received: () => received, tell: events.onEvent, clock, random: () => 1 });
  await clock.advance(10_000);
  await over;
  expect([opened, events.of("source_failed").map(({ delayMs }) => delayMs)]).toEqual([5, [1_000, 2_000, 1_000, 2_000]]);
});

test("a call that was cancelled and not confirmed is not worked on when it comes again", async () => {
  const clock = fakeClock();
  const inner = memoryQueue({ name: "requests", clock, leaseMs: 1_000 });
  const [replies, cancellations] = [memoryQueue({ name: "replies" }), memoryQueue({ name: "cancellations" })];
  let acks = 0;
  let began = 0;
  const unsure = likeDeliveries(inner, (delivery) => ({
    ...delivery,
    async ack() {
      if ((acks += 1) <= 2) throw new MillraceError("unavailable", "cut");
      await delivery.ack();
    },
  }));
  const { processor } = stuck();
  const counting: Processor = (parts, context) => ((began += 1), processor(parts, context));
  await using worker = answerCalls(unsure, counting, [replies], { cancellations, clock });
  for await (const _ of run(call(inner, replies, { cancellations, clock }), "go")) break;
  await until(() => worker.counters.lost === 1);
  await until(() => acks === 3, clock, 500); // it came twice again
  expect([began, inner.counts]).toEqual([1, { waiting: 0, delayed: 0, inFlight: 0 }]);
});

test("a key function that throws fails the call before anything is begun", async () => {
  const { requests, replies } = queues();
  const clock = fakeClock();
  let opened = 0;
  const counted = like(replies, { open: (options) => ((opened += 1), replies.open(options)) });
  const error = new TypeError("no key");
  const remote = call(requests, counted, {
    clock,
    key() {
      throw error;
    },
  });
  await expect(run(remote, "a").text()).rejects.toBe(error);
  expect([clock.pending, opened, requests.counts.waiting]).toEqual([0, 0, 0]);
});

describe("options", () => {
  test("of batches are refused: each call is answered by itself", () => {
    const { requests, replies } = queues();
    const options = { batch: { count: 2 }, maxInFlight: 4 };
    expect(() => answerCalls(requests, shout, [replies], options)).toThrow(expect.objectContaining({ code: "missing_config", message: expect.stringContaining("batch") }));
  });

  test("that are undefined are as those that are not given", async () => {
    const { requests, replies } = queues();
    const none = <const K extends string>(...keys: readonly K[]): Record<K, never> => Object.fromEntries(keys.map((key) => [key, undefined])) as Record<K, never>; // as a caller without types may
    const answering = none("signal", "concurrency", "maxInFlight", "ordering", "deadLetter", "maxDeliveries", "errorBudget", "outageMs", "batch", "deliveryTimeoutMs", "journal", "version", "baseMs", "maxMs", "ackOn", "onEvent", "observe", "clock", "random", "cancellations");
    const calling: CallOptions = none("message", "concurrency", "match", "timeoutMs", "maxHeld", "cancellations", "key", "clock");
    await using worker = answerCalls(requests, shout, [replies], answering);
    expect(await run(call(requests, replies, calling), ["a", "b"]).text()).toBe("AB");
    await requests.send([text("bad")], { headers: requestHeaders({ id: "1", replyTo: "nobody", timeoutMs: 1_000 }) });
    await until(() => worker.counters.deadLettered === 1);
    expect([wordOf(undefined), worker.counters.acked]).toEqual(["nothing", 1]);
  });
});
