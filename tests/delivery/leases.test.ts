import { describe, expect, test } from "vitest";
import { each, MillraceError, pipe, type Processor } from "../../src/index.ts";
import { consume } from "../../src/delivery/worker.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, gate, heardEvents, likeDeliveries, turns, until, written } from "./support.ts";

const leaseMs = 30_000;

describe("D8: a lease is prolonged while the worker has the delivery", () => {
  test("at each third, as long as the run lives, and no longer", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock, leaseMs });
    const extensions: number[] = [];
    const queue = likeDeliveries(inner, (delivery) => ({
      ...delivery,
      extend: (ms) => (extensions.push(clock.now(), ms), delivery.extend?.(ms) ?? Promise.resolve()),
    }));
    const working = gate();
    await using worker = consume(queue, each(() => working.promise), undefined, { clock });
    await clock.advance(95_000);
    expect(extensions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((third) => [third * 10_000, leaseMs]));
    expect(inner.counts.inFlight).toBe(1);
    working.open();
    await until(() => worker.counters.acked === 1);
    await clock.advance(100_000);
    expect(extensions.length).toBe(18);
  });

  test("also while it waits for its turn", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock, leaseMs });
    const working = gate();
    const events = heardEvents();
    await using worker = consume(queue, each(() => working.promise), undefined, { clock, onEvent: events.onEvent });
    await clock.advance(200_000);
    expect([worker.counters.inFlight, events.kinds()]).toEqual([2, []]);
    working.open();
    await until(() => worker.counters.acked === 2);
  });

  test("one that cannot be prolonged in time is given up: its signal aborts, nothing is acknowledged, and it is told", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock, leaseMs });
    let acks = 0;
    let calls = 0;
    const queue = likeDeliveries(inner, (delivery) => ({
      ...delivery,
      ack: () => ((acks += 1), delivery.ack()),
      extend: () => ((calls += 1), Promise.reject(new MillraceError("unavailable", "down"))),
    }));
    let aborted = 0;
    let attempts = 0;
    const processor: Processor = async function* (input, context) {
      yield* input;
      attempts += 1;
      if (attempts > 1) return;
      context?.signal.addEventListener("abort", () => (aborted += 1));
      await new Promise(() => {});
    };
    const events = heardEvents();
    await using worker = consume(queue, processor, written(), { clock, onEvent: events.onEvent });
    await clock.advance(leaseMs);
    await turns();
    expect([aborted, calls >= 2, events.kinds()[0]]).toEqual([1, true, "lost"]);
    await until(() => worker.counters.acked === 1, clock);
    expect([acks, worker.counters.lost]).toEqual([1, 1]); // the second delivery of it
  });

  test("one that the queue says is gone is given up at once", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    const revoked = new AbortController();
    let aborted = 0;
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, signal: revoked.signal }));
    const processor: Processor = async function* (input, context) {
      yield* input;
      context?.signal.addEventListener("abort", () => (aborted += 1));
      await new Promise(() => {});
    };
    const sink = written();
    const events = heardEvents();
    await using worker = consume(queue, processor, sink, { clock, onEvent: events.onEvent });
    await until(() => sink.words.length === 1);
    revoked.abort(new MillraceError("closed", "revoked"));
    await until(() => worker.counters.lost === 1);
    expect([aborted, events.of("lost")[0]?.error, worker.counters.acked, worker.counters.inFlight]).toEqual([1, revoked.signal.reason, 0, 0]);
  });

  test("what is lost between the end of the run and the acknowledgement is lost, not acknowledged", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    const revoked = new AbortController();
    let acks = 0;
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, signal: revoked.signal, ack: () => ((acks += 1), delivery.ack()) }));
    const sink = { guarantee: "confirmed", write: async () => {}, flush: async () => revoked.abort(new MillraceError("closed", "revoked")) } as const;
    await using worker = consume(queue, pipe(), sink, { clock });
    await until(() => worker.counters.lost === 1);
    expect([acks, worker.counters.acked]).toEqual([0, 0]);
  });

  test("no timer and no listener is left of what was given up", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock, leaseMs });
    const own = new AbortController();
    const listeners = new Set<unknown>();
    const add = own.signal.addEventListener.bind(own.signal);
    const remove = own.signal.removeEventListener.bind(own.signal);
    own.signal.addEventListener = (...given: Parameters<typeof add>): void => (listeners.add(given[1]), add(...given));
    own.signal.removeEventListener = (...given: Parameters<typeof remove>): void => (listeners.delete(given[1]), remove(...given));
    const queue = likeDeliveries(inner, (delivery) => ({ ...delivery, signal: own.signal, extend: () => Promise.reject(new MillraceError("closed", "gone")) }));
    const worker = consume(queue, each(() => new Promise<undefined>(() => {})), undefined, { clock });
    await clock.advance(leaseMs / 3);
    expect([worker.counters.lost, listeners.size]).toEqual([1, 0]);
    const stopping = worker.stop({ deadlineMs: 0 });
    await clock.advance(1_000);
    await stopping;
    expect(clock.pending).toBe(0);
  });

  test("no timer is left of what is settled", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock, leaseMs });
    const worker = consume(queue, pipe(), written(), { clock });
    await until(() => worker.counters.acked === 2);
    await worker.stop();
    expect(clock.pending).toBe(0);
  });
});
