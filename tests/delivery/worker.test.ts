import { describe, expect, test } from "vitest";
import { memoryQueue } from "../../src/adapters/memory/index.ts";
import { type Context, debug, each, json, MillraceError, type Observer, type Part, pipe, type Processor, retry, run, status, tap, text } from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { deliveryOf } from "../../src/delivery/current.ts";
import { consume } from "../../src/delivery/worker.ts";
import { publish } from "../../src/kinds/publish.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, gate, heardEvents, like, likeDeliveries, turns, until, wordOf, written } from "./support.ts";

const shout = each((part) => (part.kind === "text" ? part.text.toUpperCase() : part));
const fails = (error: unknown, times = Infinity): Processor => {
  let left = times;
  return tap(() => {
    if (left-- > 0) throw error;
  });
};

describe("D1: a delivery is acknowledged when all is confirmed, and at nothing else", () => {
  test("runs the pipeline once for each message, and acknowledges it", async () => {
    const queue = await filled(["a", "b"]);
    const sink = written();
    await using worker = consume(queue, shout, sink);
    await until(() => worker.counters.acked === 2);
    expect(sink.all).toEqual([{ word: "A", key: "q/1@m1:0" }, { word: "B", key: "q/2@m2:0" }]);
    expect(queue.counts).toEqual({ waiting: 0, delayed: 0, inFlight: 0 });
    expect(worker.counters).toEqual({ received: 2, acked: 2, nacked: 0, deadLettered: 0, lost: 0, inFlight: 0, paused: false });
  });

  for (const place of ["write", "flush", "waitUntil", "run"] as const) {
    test(`not before ${place} has ended`, async () => {
      const queue = await filled(["a"]);
      const waiting = gate();
      let reached = false;
      const wait = (here: typeof place): Promise<void> => {
        if (here !== place) return Promise.resolve();
        reached = true;
        return waiting.promise;
      };
      const processor: Processor = async function* (input: AsyncIterable<Part>, context?: Context) {
        yield* input;
        context?.waitUntil(wait("waitUntil"));
        await wait("run");
      };
      const events = heardEvents();
      await using worker = consume(queue, processor, { guarantee: "confirmed", write: () => wait("write"), flush: () => wait("flush") }, { onEvent: events.onEvent });
      await until(() => reached);
      await turns();
      expect([queue.counts.inFlight, events.kinds()]).toEqual([1, []]);
      waiting.open();
      await until(() => worker.counters.acked === 1);
    });

    test(`not at all when ${place} fails: it comes again`, async () => {
      const clock = fakeClock();
      const queue = await filled(["a"], { clock });
      let calls = 0;
      const failing = async (here: typeof place): Promise<void> => {
        if (here === place && (calls += 1) === 1) throw new Error("once");
      };
      const processor: Processor = async function* (input: AsyncIterable<Part>, context?: Context) {
        yield* input;
        context?.waitUntil(failing("waitUntil"));
        await failing("run");
      };
      const events = heardEvents();
      const sink = { guarantee: "confirmed", write: () => failing("write"), flush: () => failing("flush") } as const;
      await using worker = consume(queue, processor, sink, { onEvent: events.onEvent, clock });
      await until(() => worker.counters.acked === 1, clock);
      expect([calls, events.kinds(), events.of("acked")[0]?.attempt]).toEqual([2, ["retried", "acked"], 2]);
    });
  }

  test("no output at all is success", async () => {
    const queue = await filled(["a"]);
    await using worker = consume(queue, each(() => undefined), written());
    await until(() => worker.counters.acked === 1);
  });

  test("outputs go to the sink one by one, the next only when the one before is confirmed", async () => {
    const queue = await filled(["a"]);
    let open = 0;
    let most = 0;
    const sink = async (): Promise<void> => {
      most = Math.max(most, (open += 1));
      await turns(2);
      open -= 1;
    };
    await using worker = consume(queue, each(() => ["1", "2", "3"]), sink);
    await until(() => worker.counters.acked === 1);
    expect(most).toBe(1);
  });

  test("an error part that nobody handled is a failure, not an output", async () => {
    const queue = await filled(["a"]);
    const dead = memoryQueue();
    const sink = written();
    await using worker = consume(queue, each(() => [text("x"), errorPart({ code: "too_large", message: "m", ordinal: 0 })]), sink, { deadLetter: dead });
    await until(() => worker.counters.deadLettered === 1);
    expect(sink.words).toEqual(["x"]);
  });

  test("status and debug parts are told, and do not reach the sink", async () => {
    const queue = await filled(["a"]);
    const sink = written();
    const events = heardEvents();
    await using worker = consume(queue, each(() => [status("half"), debug("why"), text("x")]), sink, { onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1);
    expect([sink.words, events.of("status").map(({ part }) => wordOf(part))]).toEqual([["x"], ["half", "why"]]);
  });

  test("the run has the message's correlation id, and stages can ask for the delivery", async () => {
    const queue = memoryQueue({ name: "q" });
    await queue.send([text("a")], { correlationId: "c-7", headers: { n: 1 } });
    const seen: unknown[] = [];
    await using worker = consume(queue, each((_, context) => void seen.push(context.correlationId, deliveryOf(context)?.id, deliveryOf(context)?.headers)));
    await until(() => worker.counters.acked === 1);
    expect(seen).toEqual(["c-7", "q/1", { n: 1 }]);
    await run(each((_, context) => void seen.push(deliveryOf(context))), "x").collect();
    expect(seen.at(-1)).toBeUndefined();
  });

  test("who observes hears of each attempt, and how it ended", async () => {
    const clock = fakeClock();
    const queue = memoryQueue({ name: "q", clock });
    await queue.send([text("a")], { correlationId: "c-7" });
    const heard: unknown[] = [];
    const observe: Observer = { run: ({ correlationId }) => ({ end: ({ kind }) => void heard.push([correlationId, kind]) }) };
    await using worker = consume(queue, fails(new Error("once"), 1), undefined, { clock, observe });
    await until(() => worker.counters.acked === 1, clock);
    expect(heard).toEqual([["c-7", "failed"], ["c-7", "complete"]]);
  });
});

describe("D2: a delivery is settled once", () => {
  test("what failed is given back for later and leaves its place to another, also where nothing can be sent for later", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b"], { clock });
    const queue = like(inner, { lacks: { delay: "it has no timers for what is sent" } });
    const sink = written();
    await using worker = consume(queue, fails(new Error("once"), 1), sink, { clock, random: () => 0.5, maxInFlight: 1 });
    await until(() => worker.counters.acked === 1);
    expect([sink.words, inner.counts]).toEqual([["b"], { waiting: 0, delayed: 1, inFlight: 0 }]);
    await clock.advance(500);
    await until(() => worker.counters.acked === 2);
  });

  test("where the queue takes nothing back for later, the worker waits, and then gives back without a delay", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b"], { clock });
    const nacks: unknown[] = [];
    const giveBack = (delivery: Delivery): Delivery => ({ ...delivery, nack: (options) => (nacks.push(options), delivery.nack(options)) });
    const queue = likeDeliveries(inner, giveBack, { lacks: { nackDelay: "no timers" } });
    await using worker = consume(queue, fails(new Error("once"), 1), undefined, { clock, random: () => 0.5, maxInFlight: 1 });
    await until(() => worker.counters.inFlight === 1);
    await clock.advance(499);
    expect([nacks, worker.counters.acked]).toEqual([[], 0]);
    await clock.advance(1);
    await until(() => worker.counters.acked === 2);
    expect(nacks).toEqual([{ counted: true }]);
  });

  test("a retry reads the parts as they were sent", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const read: string[] = [];
    let failing = 2;
    const processor = each((part) => {
      read.push(wordOf(part));
      if (failing-- > 0) throw new Error("again");
    });
    await using worker = consume(queue, processor, undefined, { clock });
    await until(() => worker.counters.acked === 1, clock);
    expect(read).toEqual(["a", "a", "a"]);
  });

  test("ack and nack are never both called, nor one twice, whatever fails", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b", "c"], { clock });
    const settled = new Map<string, number>();
    const queue = likeDeliveries(inner, (delivery): Delivery => {
      const note = (): void => void settled.set(`${delivery.id}#${delivery.attempt}`, (settled.get(`${delivery.id}#${delivery.attempt}`) ?? 0) + 1);
      return { ...delivery, ack: () => (note(), delivery.ack()), nack: (options) => (note(), delivery.nack(options)) };
    });
    await using worker = consume(queue, fails(new Error("again"), 4), written(), { clock, concurrency: 3 });
    await until(() => worker.counters.acked === 3, clock);
    expect(settled.size).toBe(7);
    expect([...settled.values()].filter((times) => times !== 1)).toEqual([]);
  });

  test("what the queue does not confirm is told, and comes again", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock, leaseMs: 60_000 });
    let lost = 1;
    const queue = likeDeliveries(inner, (delivery): Delivery => ({ ...delivery, ack: () => (lost-- > 0 ? Promise.reject(new MillraceError("bad_response", "what?")) : delivery.ack()) }));
    const events = heardEvents();
    await using worker = consume(queue, pipe(), written(), { clock, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1, clock, 10_000);
    expect(events.kinds()).toEqual(["unsettled", "acked"]);
  });
});

describe("D4: a delivery that cannot be given back", () => {
  const outcomes: readonly [code: "bad_response" | "unavailable" | "closed", kinds: string[]][] = [
    ["bad_response", ["retried", "unsettled"]],
    ["unavailable", ["retried", "unsettled", "paused"]], // the queue is what all messages need
    ["closed", ["retried", "lost"]],
  ];
  for (const [code, kinds] of outcomes) {
    test(`for the queue says ${code}: ${kinds.join(", ")}; it comes again by its lease`, async () => {
      const clock = fakeClock();
      const inner = await filled(["a"], { clock, leaseMs: 60_000 });
      let cut = true;
      const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, nack: (options) => (cut ? Promise.reject(new MillraceError(code, "m")) : delivery.nack(options)) }));
      const events = heardEvents();
      await using worker = consume(queue, fails(new Error("once"), 1), undefined, { clock, random: () => 0.5, onEvent: events.onEvent });
      await until(() => events.all.length >= kinds.length);
      cut = false;
      expect([events.kinds(), worker.counters.nacked, worker.counters.inFlight]).toEqual([kinds, 0, 0]);
      await until(() => worker.counters.acked === 1, clock, 10_000);
    });
  }
});

describe("D3: outputs have keys that are the same at every attempt", () => {
  test("id:n, counted anew by each attempt", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const sink = written();
    let failing = 1;
    const processor: Processor = async function* () {
      yield text("x");
      yield text("y");
      if (failing-- > 0) throw new Error("again");
      yield text("z");
    };
    await using worker = consume(queue, processor, sink, { clock });
    await until(() => worker.counters.acked === 1, clock);
    expect(sink.all.map(({ key, word }) => `${key} ${word}`)).toEqual(["q/1@m1:0 x", "q/1@m1:1 y", "q/1@m1:0 x", "q/1@m1:1 y", "q/1@m1:2 z"]);
  });

  test("of several sinks all must confirm, and the worst failure decides", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const dead = memoryQueue();
    const [good, events] = [written(), heardEvents()];
    let down = true;
    const bad = async (): Promise<void> => {
      throw new MillraceError("invalid_input", "bad part");
    };
    const gone = async (): Promise<void> => {
      if (down) throw new MillraceError("unavailable", "gone");
    };
    let hurt = true;
    const sinks = [good, async () => (hurt ? bad() : undefined), gone];
    await using worker = consume(queue, pipe(), sinks, { clock, deadLetter: dead, onEvent: events.onEvent });
    await until(() => events.kinds().includes("paused"), clock, 100);
    expect(worker.counters).toMatchObject({ acked: 0, deadLettered: 0 });
    down = false;
    hurt = false;
    await until(() => worker.counters.acked === 1, clock);
    expect(good.all.at(-1)).toEqual({ word: "a", key: "q/1@m1:0" });
  });

  test("a queue is a sink: each output is a message, under the key as its id, with the same correlation id", async () => {
    const queue = memoryQueue({ name: "q" });
    await queue.send([text("a")], { id: "m1", correlationId: "c-7" });
    const next = memoryQueue({ name: "next" });
    await using worker = consume(queue, each(() => ["1", "2"]), next);
    await until(() => worker.counters.acked === 1);
    const iterator = next.open({ signal: new AbortController().signal, maxInFlight: 2 })[Symbol.asyncIterator]();
    const came = [(await iterator.next()).value as Delivery, (await iterator.next()).value as Delivery];
    expect(came.map((it) => [it.messageId, wordOf(it.parts[0]), it.correlationId])).toEqual([["q/1@m1:0", "1", "c-7"], ["q/1@m1:1", "2", "c-7"]]);
  });

  test("publish inside the pipeline is confirmed before the acknowledgement", async () => {
    const queue = await filled(["a"]);
    const inner = memoryQueue();
    const confirming = gate();
    const next = like(inner, { send: (...given) => inner.send(...given).then(async (sent) => (await confirming.promise, sent)) });
    await using worker = consume(queue, publish(next));
    await until(() => inner.counts.waiting === 1);
    await turns();
    expect(worker.counters.acked).toBe(0);
    confirming.open();
    await until(() => worker.counters.acked === 1);
  });
});

describe("D5: what runs and what is out is limited", () => {
  test("never more than concurrency run, never more than maxInFlight are out, and both are reached", async () => {
    const queue = await filled(Array.from({ length: 30 }, (_, i) => String(i)));
    let running = 0;
    let mostRunning = 0;
    let mostOut = 0;
    const processor = each(async () => {
      mostRunning = Math.max(mostRunning, (running += 1));
      await turns(1);
      mostOut = Math.max(mostOut, queue.counts.inFlight);
      running -= 1;
    });
    await using worker = consume(queue, processor, undefined, { concurrency: 3, maxInFlight: 5 });
    await until(() => worker.counters.acked === 30);
    expect([mostRunning, mostOut]).toEqual([3, 5]);
  });

  test("with maxInFlight reached nothing is pulled, also of a queue that would give more", async () => {
    const inner = await filled(["a", "b", "c", "d"]);
    const queue = like(inner, { open: (options) => inner.open({ ...options, maxInFlight: 100 }) });
    const waiting = gate();
    await using worker = consume(queue, each(() => waiting.promise), undefined, { concurrency: 1, maxInFlight: 2 });
    await turns(10);
    expect(worker.counters.received).toBe(2);
    waiting.open();
    await until(() => worker.counters.acked === 4);
  });
});

describe("D12: an attempt that does not come to an end is given up, and counts", () => {
  test("after deliveryTimeoutMs, also with outputs and of a pipeline that hears nothing", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    let attempts = 0;
    const processor: Processor = async function* () {
      attempts += 1;
      if (attempts > 1) return;
      for (;;) {
        yield text("x");
        await clock.sleep(1_000);
      }
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, written(), { clock, deliveryTimeoutMs: 5_000, onEvent: events.onEvent });
    await clock.advance(4_999);
    expect(events.kinds()).toEqual([]);
    await clock.advance(1);
    expect(events.of("retried")[0]).toMatchObject({ counted: true, attempt: 1, error: { code: "timeout", phase: "total" } });
    await until(() => worker.counters.acked === 1, clock);
    expect(attempts).toBe(2);
  });

  test("without that option after five minutes without progress, and no sooner", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    let attempts = 0;
    const processor: Processor = async function* () {
      attempts += 1;
      if (attempts > 1) return;
      for (let i = 0; i < 3; i += 1) {
        yield i === 1 ? status("still at it") : text("x");
        await clock.sleep(299_000);
      }
      await new Promise(() => {});
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, written(), { clock, onEvent: events.onEvent });
    await clock.advance(299_000 * 2 + 299_999);
    expect(events.of("retried")).toEqual([]);
    await clock.advance(1);
    expect(events.of("retried")[0]).toMatchObject({ error: { code: "timeout", phase: "progress" } });
    await until(() => worker.counters.acked === 1, clock);
  });

  test("what it still writes then leaves no timer", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const writing = gate();
    let writes = 0;
    const sink = (): Promise<void> => ((writes += 1) === 1 ? writing.promise : Promise.resolve());
    await using worker = consume(queue, pipe(), sink, { clock });
    await until(() => writes === 1);
    await clock.advance(300_000);
    await until(() => worker.counters.acked === 1, clock);
    writing.open();
    await turns();
    expect(clock.pending).toBe(0);
  });

  test("after the lease, where that cannot be prolonged", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    const queue = like(inner, { leaseMs: 20_000, lacks: { extend: "no such call" } });
    const events = heardEvents();
    await using worker = consume(queue, each(() => new Promise<undefined>(() => {})), undefined, { clock, onEvent: events.onEvent });
    await clock.advance(19_999);
    expect(events.kinds()).toEqual([]);
    await clock.advance(1);
    expect(events.kinds()).toEqual(["retried"]);
    expect(worker.counters.nacked).toBe(1);
  });
});

test("restarting a stream that goes into a sink is refused", async () => {
  const queue = await filled(["a"]);
  const worker = consume(queue, retry(pipe(), { afterCommit: "restart" }), written());
  await expect(worker.finished).rejects.toMatchObject({ code: "missing_config" });
});

test("the parts of one message are the input of one run, in their order", async () => {
  const queue = memoryQueue({ name: "q" });
  await queue.send([json({ n: 1 }), text("b")], { id: "m1" });
  const sink = written();
  await using worker = consume(queue, pipe(), sink);
  await until(() => worker.counters.acked === 1);
  expect(sink.all).toEqual([{ word: "json", key: "q/1@m1:0" }, { word: "b", key: "q/1@m1:1" }]);
});
