import { describe, expect, test } from "vitest";
import { type MemoryQueue, memoryQueue } from "../../src/adapters/memory/index.ts";
import { bytes, type Delivery, each, foreign, isolate, MillraceError, pipe, type Processor, type Queue, tap, text } from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { letterIn } from "../../src/delivery/dead-letter.ts";
import { consume } from "../../src/delivery/worker.ts";
import { envelope } from "../../src/kinds/envelope.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { drained, filled, firstWord, gate, heardEvents, lettersIn, like, likeDeliveries, turns, until, wordOf, written } from "./support.ts";

/** Fails on the words that begin so. */
const failsOn = (start: string, error: () => unknown): Processor =>
  tap((part) => {
    if (wordOf(part).startsWith(start)) throw error();
  });
const poison = (): MillraceError => new MillraceError("invalid_input", "secret of the message");
const half = (): number => 0.5;

describe("D4: what cannot be worked on is set aside, confirmed, and only then acknowledged", () => {
  test("a bad message at its first attempt, with reason, attempt and what was emitted; the others are worked on", async () => {
    const queue = await filled(["a", "bad", "c"]);
    const dead = memoryQueue({ name: "dead" });
    const sink = written();
    const cause = new TypeError("sk-secret", { cause: new MillraceError("bad_response", "m") });
    const processor: Processor = async function* (input) {
      for await (const part of input) {
        yield part;
        if (wordOf(part) === "bad") throw new MillraceError("invalid_input", "sk-secret", { cause });
      }
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, sink, { deadLetter: dead, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 2);
    const sentAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string;
    const [message] = await drained(dead);
    expect(message?.headers["deadLetter"]).toEqual({ v: 1, id: "q/2", attempt: 1, code: "invalid_input", stage: "run", causeCodes: ["unknown:TypeError", "bad_response"], emitted: 1, firstSeen: sentAt });
    expect(message?.parts.map(wordOf)).toEqual(["bad"]);
    expect(JSON.stringify(message)).not.toContain("sk-secret");
    expect([sink.words, queue.counts]).toEqual([["a", "bad", "c"], { waiting: 0, delayed: 0, inFlight: 0 }]);
    expect(events.of("dead_letter")).toMatchObject([{ id: "q/2", attempt: 1, reference: false, error: { code: "invalid_input" } }]);
  });

  test("not acknowledged before the dead letter is confirmed", async () => {
    const queue = await filled(["bad"]);
    const confirming = gate();
    const inner = memoryQueue();
    const dead = like(inner, { send: (...given) => inner.send(...given).then(async (sent) => (await confirming.promise, sent)) });
    await using worker = consume(queue, failsOn("bad", poison), undefined, { deadLetter: dead });
    await until(() => inner.counts.waiting === 1);
    await turns();
    expect(queue.counts.inFlight).toBe(1);
    confirming.open();
    await until(() => worker.counters.deadLettered === 1);
    expect(queue.counts).toEqual({ waiting: 0, delayed: 0, inFlight: 0 });
  });

  describe("is set aside also where it has what the dead letters refuse", () => {
    const asideOf = async (queue: Queue, dead: MemoryQueue): Promise<Delivery | undefined> => {
      const clock = fakeClock();
      await using worker = consume(queue, tap(() => {
        throw poison();
      }), undefined, { clock, deadLetter: dead });
      await until(() => worker.counters.deadLettered === 1, clock);
      return (await drained(dead))[0];
    };
    const changedFrom = async (changes: Partial<Delivery>): Promise<Queue> => {
      const queue = await filled(["bad"]);
      return likeDeliveries(queue, (delivery) => ({ ...delivery, ...changes }));
    };

    test.each<[string, Partial<Delivery>]>([
      ["a key with a zero, as Kafka's LongSerializer makes", { key: "\0\0\0*" }],
      ["an empty key", { key: "" }],
      ["a long one", { key: "k".repeat(257) }],
      ["an id of two lines", { messageId: "a\nb" }],
      ["a time that is none", { sentAtMs: 1.7e18 }],
    ])("%s", async (_, changes) => {
      const letter = await asideOf(await changedFrom(changes), memoryQueue());
      expect([letter?.parts.map(wordOf), letter?.key, letter && letterIn(letter)?.code]).toEqual([["bad"], undefined, "invalid_input"]);
      if (changes.messageId === undefined) expect(letter?.messageId).toBe("m1"); // all else stays
    });

    test("as many headers as there may be: it goes without them", async () => {
      const headers = Object.fromEntries(Array.from({ length: 1_024 }, (_, n) => [`h${n}`, n]));
      const letter = await asideOf(await changedFrom({ headers }), memoryQueue());
      expect([letter?.parts.map(wordOf), Object.keys(letter?.headers ?? {})]).toEqual([["bad"], ["deadLetter"]]);
    });

    test("but a target that can take no message at all keeps it waiting, and nothing is lost", async () => {
      const clock = fakeClock();
      const queue = await filled(["bad"], { clock });
      const dead = memoryQueue({ format: foreign({ read: () => [] }) });
      await using worker = consume(queue, failsOn("bad", poison), undefined, { clock, deadLetter: dead });
      await until(() => worker.counters.paused, clock);
      expect([worker.counters.deadLettered, queue.counts.waiting + queue.counts.inFlight + queue.counts.delayed]).toEqual([0, 1]);
    });
  });

  test("one that nobody confirms is given up after the time of an attempt, and the others are worked on", async () => {
    const clock = fakeClock();
    const queue = await filled(["bad", "good"], { clock, leaseMs: 30_000 });
    const aborted: unknown[] = [];
    const events = heardEvents();
    const sink = written();
    const worker = consume(queue, failsOn("bad", poison), sink, {
      clock,
      deliveryTimeoutMs: 60_000,
      onEvent: events.onEvent,
      deadLetter: ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(aborted.push(signal.reason)))),
    });
    await until(() => sink.words.length === 1, clock);
    expect(aborted[0]).toMatchObject({ code: "timeout" });
    expect(events.of("paused")[0]?.error).toBe(aborted[0]);
    const stopping = worker.stop({ deadlineMs: 0 });
    await clock.advance(250);
    await stopping;
  });

  test("one whose delivery is lost meanwhile is told as lost, once", async () => {
    const controller = new AbortController();
    const queue = likeDeliveries(await filled(["bad"]), (delivery) => ({ ...delivery, signal: controller.signal }));
    const events = heardEvents();
    await using worker = consume(queue, failsOn("bad", poison), undefined, { onEvent: events.onEvent, deadLetter: () => new Promise(() => controller.abort(new Error("gone"))) });
    await until(() => worker.counters.lost === 1);
    expect(events.kinds()).toEqual(["lost"]);
  });

  test("one that cannot be set aside for a while counts once for the error budget", async () => {
    const clock = fakeClock();
    const queue = await filled(["bad"], { clock });
    let down = true;
    const inner = memoryQueue();
    const dead = like(inner, { send: (...given) => (down ? Promise.reject(new MillraceError("unavailable", "down")) : inner.send(...given)) });
    await using worker = consume(queue, failsOn("bad", poison), undefined, { clock, deadLetter: dead, errorBudget: { inARow: 3 }, random: half });
    await clock.advance(300_000);
    down = false;
    await until(() => worker.counters.deadLettered === 1, clock, 10_000);
    expect(clock.now()).toBeLessThan(450_000); // not after `outageMs`
  });

  test("a failure that may have been chance is tried again with growing delays, and set aside after maxDeliveries", async () => {
    const clock = fakeClock();
    const queue = await filled(["bad", "good"], { clock });
    const dead = memoryQueue();
    const events = heardEvents();
    const processor = failsOn("bad", () => new TypeError("bug"));
    await using worker = consume(queue, processor, undefined, { clock, deadLetter: dead, maxDeliveries: 4, random: half, onEvent: events.onEvent });
    await until(() => worker.counters.deadLettered === 1, clock, 100);
    expect(events.of("retried").map(({ attempt, delayMs }) => [attempt, delayMs])).toEqual([[1, 500], [2, 1_000], [3, 2_000]]);
    expect((await lettersIn(dead)).map(({ word, letter }) => [word, letter?.attempt, letter?.code])).toEqual([["bad", 4, "unknown:TypeError"]]);
  });

  test("retryAfterMs of the error is the delay", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const events = heardEvents();
    const processor = failsOn("a", () => new MillraceError("timeout", "m", { retryAfterMs: 7_000 }));
    await using _ = consume(queue, processor, undefined, { clock, onEvent: events.onEvent });
    await until(() => events.of("retried").length === 1);
    expect([events.of("retried")[0]?.delayMs, queue.counts.delayed]).toEqual([7_000, 1]);
  });

  test("where the queue does not count, the worker does", async () => {
    const clock = fakeClock();
    const inner = await filled(["bad"], { clock });
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, attempt: 1 }), { lacks: { attempts: "no counter" } });
    const dead = memoryQueue();
    await using worker = consume(queue, failsOn("bad", () => new TypeError("bug")), undefined, { clock, deadLetter: dead, maxDeliveries: 3 });
    await until(() => worker.counters.deadLettered === 1, clock);
    expect((await lettersIn(dead)).map(({ letter }) => letter?.attempt)).toEqual([3]);
  });

  test("without dead letters a bad message comes again for ever, ever more rarely, and is not lost", async () => {
    const clock = fakeClock();
    const queue = await filled(["bad"], { clock });
    const events = heardEvents();
    await using _ = consume(queue, failsOn("bad", poison), undefined, { clock, random: half, onEvent: events.onEvent });
    await until(() => events.of("retried").length === 9, clock, 1_000);
    expect(events.of("retried").map(({ delayMs }) => delayMs)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test("a message that cannot be read is set aside with its bytes, and the next is worked on", async () => {
    const queue = memoryQueue({ name: "q" });
    queue.put(new TextEncoder().encode("no JSON"));
    await queue.send([text("fine")]);
    const dead = memoryQueue();
    const sink = written();
    await using worker = consume(queue, pipe(), sink, { deadLetter: dead });
    await until(() => worker.counters.acked === 1);
    const [message] = await drained(dead);
    const part = message?.parts[0];
    expect(message === undefined ? undefined : letterIn(message)).toMatchObject({ code: "invalid_input", stage: "read", emitted: 0 });
    expect(part?.kind === "bytes" && new TextDecoder().decode(part.bytes)).toBe("no JSON");
    expect(sink.words).toEqual(["fine"]);
  });

  test("a message too large for the dead letters is there by reference", async () => {
    const queue = memoryQueue({ name: "q", format: envelope({ maxBytes: 10_000 }) });
    await queue.send([bytes(new Uint8Array(5_000), "image/png")]);
    const dead = memoryQueue({ format: envelope({ maxBytes: 2_000 }) });
    const events = heardEvents();
    await using worker = consume(queue, tap(() => { throw poison(); }), undefined, { deadLetter: dead, onEvent: events.onEvent });
    await until(() => worker.counters.deadLettered === 1);
    const [message] = await drained(dead);
    expect([message?.parts, message === undefined ? undefined : letterIn(message)]).toMatchObject([[], { id: "q/1", reference: true }]);
    expect(events.of("dead_letter")).toMatchObject([{ reference: true }]);
  });

  test("a function takes dead letters too, and is waited for", async () => {
    const queue = await filled(["bad"]);
    const taken: unknown[] = [];
    await using worker = consume(queue, failsOn("bad", poison), undefined, { deadLetter: async ({ letter, parts }) => void taken.push(letter.code, parts.map(wordOf)) });
    await until(() => worker.counters.deadLettered === 1);
    expect(taken).toEqual(["invalid_input", ["bad"]]);
  });

  test("a message that is set aside, but whose acknowledgement is not confirmed, comes again, and is not counted", async () => {
    const clock = fakeClock();
    const inner = await filled(["bad"], { clock, leaseMs: 60_000 });
    let cut = true;
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, ack: () => (cut ? Promise.reject(new MillraceError("bad_response", "what?")) : delivery.ack()) }));
    const dead = memoryQueue();
    const events = heardEvents();
    await using worker = consume(queue, failsOn("bad", poison), undefined, { clock, deadLetter: dead, onEvent: events.onEvent });
    await until(() => events.kinds().includes("unsettled"));
    expect([worker.counters.deadLettered, dead.counts.waiting]).toEqual([0, 1]);
    cut = false;
    await until(() => worker.counters.deadLettered === 1, clock, 10_000);
    expect([dead.counts.waiting, inner.counts]).toEqual([2, { waiting: 0, delayed: 0, inFlight: 0 }]);
  });

  test("an error part that nobody handled is known by its code, a foreign error by its name, eight causes at most", async () => {
    const queue = await filled(["part", "unknown", "deep", "named"]);
    const codes: unknown[] = [];
    const deep = Array.from({ length: 12 }, (_, i) => i).reduce<Error>((cause) => new Error("m", { cause }), new Error("first"));
    const named = new MillraceError("invalid_input", "m", { cause: Object.assign(new Error("m"), { name: "key=sk-123" }) });
    const processor: Processor = async function* (input) {
      for await (const part of input) {
        const word = wordOf(part);
        if (word === "deep") throw new MillraceError("invalid_input", "m", { cause: deep });
        if (word === "named") throw named;
        yield errorPart({ code: word === "part" ? "too_large" : "unheard_of", message: "m", ordinal: 0 });
      }
    };
    await using worker = consume(queue, processor, undefined, { deadLetter: async ({ letter }) => void codes.push([letter.code, letter.causeCodes.length, letter.causeCodes[0]]) });
    await until(() => worker.counters.deadLettered === 4);
    expect(codes).toEqual([["too_large", 0, undefined], ["invalid_input", 0, undefined], ["invalid_input", 8, "unknown:Error"], ["invalid_input", 1, "unknown"]]);
  });

  test("key, correlation id, message id and headers go with it", async () => {
    const queue = memoryQueue({ name: "q" });
    await queue.send([text("bad")], { key: "k", id: "m-1", correlationId: "c-1", headers: { n: 1 } });
    const dead = memoryQueue();
    await using worker = consume(queue, failsOn("bad", poison), undefined, { deadLetter: dead });
    await until(() => worker.counters.deadLettered === 1);
    expect(await drained(dead)).toMatchObject([{ key: "k", messageId: "m-1", correlationId: "c-1", headers: { n: 1 } }]);
  });
});

describe("D4, D17: what all messages need is out of order", () => {
  test("the worker pauses and fetches nothing, probes with one, and goes on when it succeeds; nothing counts", async () => {
    const clock = fakeClock();
    const queue = await filled([..."abcdefgh"], { clock });
    const dead = memoryQueue();
    const events = heardEvents();
    let down = true;
    let calls = 0;
    const processor = tap(async () => {
      calls += 1;
      await turns(1);
      if (down) throw new MillraceError("unavailable", "down");
    });
    await using worker = consume(queue, processor, undefined, { clock, concurrency: 3, deadLetter: dead, maxDeliveries: 1, random: half, onEvent: events.onEvent });
    await until(() => worker.counters.paused);
    await turns(5);
    expect([calls, worker.counters.inFlight]).toEqual([3, 3]); // what was fetched ahead waits
    await clock.advance(499);
    expect(calls).toBe(3);
    await clock.advance(1);
    expect(calls).toBe(4);
    await clock.advance(10_000); // 1 s, 2 s, 4 s
    expect([calls, worker.counters.paused]).toEqual([7, true]);
    down = false;
    await until(() => worker.counters.acked === 8, clock);
    expect(events.of("paused").map(({ delayMs }) => delayMs)).toEqual([500, 1_000, 2_000, 4_000, 8_000]);
    expect(events.of("acked").map(({ attempt }) => attempt)).toEqual(Array.from({ length: 8 }, () => 1));
    expect([worker.counters.deadLettered, worker.counters.paused, events.of("resumed").length]).toEqual([0, false, 1]);
  });

  test("the pause is as long as the service asked for, and a little longer", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock });
    const events = heardEvents();
    const processor = failsOn("a", () => new MillraceError("rate_limited", "slow down", { retryAfterMs: 20_000 }));
    await using _ = consume(queue, processor, undefined, { clock, random: half, onEvent: events.onEvent });
    await until(() => events.of("paused").length === 1);
    expect(events.of("paused")[0]?.delayMs).toBe(21_000);
  });

  test("where the queue would count it, the delivery stays out and is tried again in place", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    let nacks = 0;
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, nack: (options) => ((nacks += 1), delivery.nack(options)) }), { lacks: { uncounted: "the broker counts deliveries" } });
    let down = 3;
    const processor = tap(() => {
      if (down-- > 0) throw new MillraceError("unavailable", "down");
    });
    const events = heardEvents();
    await using worker = consume(queue, processor, undefined, { clock, onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1, clock);
    expect([nacks, worker.counters.received, events.of("acked")[0]?.attempt]).toEqual([0, 1, 1]);
  });

  test("a probe whose acknowledgement is not confirmed does not end the pause", async () => {
    const clock = fakeClock();
    const inner = await filled([..."abcd"], { clock, leaseMs: 100_000_000 });
    let [calls, down, cut] = [0, true, true];
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, ack: () => (cut ? Promise.reject(new MillraceError("unavailable", "cut")) : delivery.ack()) }));
    const processor = tap(() => {
      calls += 1;
      if (down) throw new MillraceError("unavailable", "down");
    });
    await using worker = consume(queue, processor, undefined, { clock, random: half });
    await until(() => worker.counters.paused);
    down = false;
    await clock.advance(500); // the first probe
    expect([calls, worker.counters.paused]).toEqual([2, true]);
    await clock.advance(999); // the pause after it is twice as long
    expect(calls).toBe(2);
    cut = false;
    await clock.advance(1);
    expect(worker.counters.paused).toBe(false);
  });

  test("D-dlq: dead letters out of reach: the worker pauses, nothing is acknowledged and nothing lost", async () => {
    const clock = fakeClock();
    const queue = await filled(["bad1", "bad2", "good"], { clock });
    const inner = memoryQueue();
    let down = true;
    const dead = like(inner, { send: (...given) => (down ? Promise.reject(new MillraceError("unavailable", "down")) : inner.send(...given)) });
    await using worker = consume(queue, failsOn("bad", poison), undefined, { clock, deadLetter: dead });
    await clock.advance(30_000);
    expect([worker.counters.acked, worker.counters.deadLettered, queue.counts.waiting + queue.counts.delayed + queue.counts.inFlight]).toEqual([0, 0, 3]);
    down = false;
    await until(() => worker.counters.acked === 1 && worker.counters.deadLettered === 2, clock);
    expect((await drained(inner)).map(firstWord).sort()).toEqual(["bad1", "bad2"]);
  });

  test("five different messages that are spent with no success between are no chance: a pause, no dead letters", async () => {
    const clock = fakeClock();
    const queue = await filled([..."abcdefgh"], { clock });
    const dead = memoryQueue();
    let broken = true;
    const processor = tap(() => {
      if (broken) throw new TypeError("a bug, or a service that answers nonsense");
    });
    await using worker = consume(queue, processor, undefined, { clock, deadLetter: dead, maxDeliveries: 2, concurrency: 2 });
    await until(() => worker.counters.paused, clock);
    await clock.advance(300_000);
    expect([worker.counters.deadLettered, worker.counters.acked]).toEqual([0, 0]);
    broken = false;
    await until(() => worker.counters.acked === 8, clock);
    expect(dead.counts.waiting).toBe(0);
  });

  test("so many bad messages in a row that it is no message's fault: a pause instead of dead letters", async () => {
    const clock = fakeClock();
    const queue = await filled(Array.from({ length: 40 }, (_, i) => `bad${i}`), { clock });
    const dead = memoryQueue();
    await using worker = consume(queue, failsOn("bad", poison), undefined, { clock, deadLetter: dead, errorBudget: { inARow: 6 } });
    await until(() => worker.counters.paused);
    await clock.advance(100_000);
    expect(dead.counts.waiting).toBe(5);
    expect(queue.counts.waiting + queue.counts.delayed + queue.counts.inFlight).toBe(35);
    for (let i = 0; i < 40; i += 1) await queue.send([text(`good${i}`)]);
    await until(() => worker.counters.acked === 40, clock, 10_000); // a good one comes to be the probe, and ends it
  });

  test("D-poison: of 10,000 messages, 1 % bad, with an outage of 60 s in the middle, exactly the bad ones are set aside", async () => {
    const clock = fakeClock();
    const count = 10_000;
    const queue = memoryQueue({ name: "q", clock, maxMessages: count });
    for (let i = 0; i < count; i += 1) await queue.send([text(`${i % 100 === 50 ? "bad" : "good"}${i}`)]);
    const dead = memoryQueue();
    const sink = written();
    let worked = 0;
    let downUntilMs = Infinity;
    const processor = each((part) => {
      if (worked >= count / 2 && downUntilMs === Infinity) downUntilMs = clock.now() + 60_000;
      if (worked >= count / 2 && clock.now() < downUntilMs) throw new MillraceError("unavailable", "down");
      if (wordOf(part).startsWith("bad")) throw poison();
      worked += 1;
      return part;
    });
    await using worker = consume(queue, processor, sink, { clock, deadLetter: dead, concurrency: 8 });
    await until(() => worker.counters.acked + worker.counters.deadLettered === count, clock, 5_000);
    const aside = (await drained(dead)).map(firstWord);
    expect([aside.length, aside.filter((word) => !word.startsWith("bad"))]).toEqual([100, []]);
    expect(new Set(sink.words).size).toBe(9_900);
    expect(clock.now()).toBeGreaterThanOrEqual(60_000);
  });

  test("an outage inside isolate passes through to the worker, it is not skipped", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    let down = 1;
    const flaky = each((part) => {
      if (down-- > 0) throw new MillraceError("unavailable", "down");
      return part;
    });
    const sink = written();
    await using worker = consume(queue, isolate(flaky, { onError: "skip" }), sink, { clock });
    await until(() => worker.counters.acked === 1, clock);
    expect(sink.words).toEqual(["a"]);
  });
});

describe("the program is to blame", () => {
  test("the delivery stays unsettled, the worker stops, and finished rejects with the very error", async () => {
    const queue = await filled(["a", "b"]);
    const error = new MillraceError("missing_config", "no key");
    const events = heardEvents();
    const worker = consume(queue, failsOn("a", () => error), undefined, { onEvent: events.onEvent, concurrency: 2 });
    await expect(worker.finished).rejects.toBe(error);
    expect([worker.counters.acked, worker.counters.nacked]).toEqual([1, 0]);
    expect(events.of("stopped")).toEqual([{ kind: "stopped", error }]);
    expect(queue.counts).toEqual({ waiting: 1, delayed: 0, inFlight: 0 });
  });

  test("nobody who does not ask for finished hears of an unhandled rejection", async () => {
    const queue = await filled(["a"]);
    const worker = consume(queue, failsOn("a", () => new MillraceError("closed", "used after close")), undefined);
    await worker.stop();
    await turns();
  });
});
