import { describe, expect, test } from "vitest";
import { each, MillraceError, pipe } from "../../src/index.ts";
import { stopOnSignals } from "../../src/delivery/stop-on-signals.ts";
import { consume } from "../../src/delivery/worker.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { filled, firstWord, gate, heardEvents, like, likeDeliveries, turns, until, wordOf, written } from "./support.ts";

const letters = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

describe("D11: stop", () => {
  test("D-stop: of 200 that are being worked on 20 hang: 180 are acknowledged, 20 given back, by the deadline", async () => {
    const clock = fakeClock();
    const queue = await filled(letters(300), { clock });
    const working = gate();
    const processor = each(async (part) => {
      if (Number(wordOf(part)) % 10 === 0) await new Promise(() => {});
      await working.promise;
    });
    const worker = consume(queue, processor, undefined, { clock, concurrency: 200, maxInFlight: 200 });
    await until(() => worker.counters.inFlight === 200);
    const stopping = worker.stop({ deadlineMs: 10_000 });
    await turns();
    working.open();
    await clock.advance(10_250);
    expect(await stopping).toEqual({ acked: 180, nacked: 20, deadLettered: 0, abandoned: 0 });
    await worker.finished;
    expect([queue.counts, worker.counters.received, clock.pending]).toEqual([{ waiting: 120, delayed: 0, inFlight: 0 }, 200, 0]);
  });

  test("a pause that begins while it stops leaves no timer", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const working = gate();
    const worker = consume(queue, each(async () => {
      await working.promise;
      throw new MillraceError("rate_limited", "later", { scope: "dependency", retryAfterMs: 3_600_000 });
    }), undefined, { clock });
    await until(() => worker.counters.inFlight === 1);
    const stopping = worker.stop();
    await turns();
    working.open();
    await stopping;
    expect([clock.pending, queue.counts.inFlight]).toEqual([0, 0]);
  });

  test("an abort while it stops ends it at once", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const worker = consume(await filled(["a"]), each(() => new Promise(() => {})), undefined, { clock, signal: controller.signal });
    await until(() => worker.counters.inFlight === 1);
    const stopping = worker.stop({ deadlineMs: 20_000 });
    await turns();
    const reason = new Error("now");
    controller.abort(reason);
    await clock.advance(200);
    await expect(worker.finished).rejects.toBe(reason);
    expect(await stopping).toMatchObject({ nacked: 1 });
    expect(clock.pending).toBe(0);
  });

  test("fetches nothing more, gives back at once and uncounted what has not begun, and waits for what has", async () => {
    const queue = await filled(["a", "b", "c"]);
    const working = gate();
    const worker = consume(queue, each(() => working.promise), undefined, { concurrency: 1, maxInFlight: 2 });
    await until(() => worker.counters.inFlight === 2);
    const stopping = worker.stop();
    await until(() => queue.counts.waiting === 2);
    expect([worker.counters.received, queue.counts.inFlight]).toEqual([2, 1]);
    working.open();
    expect(await stopping).toEqual({ acked: 1, nacked: 1, deadLettered: 0, abandoned: 0 });
    for await (const delivery of queue.open({ signal: new AbortController().signal, maxInFlight: 1 })) {
      expect([wordOf(delivery.parts[0]), delivery.attempt]).toEqual(["b", 1]);
      break;
    }
  });

  test("what hangs is aborted after three quarters of the time, not before", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    let aborted = false;
    let reason: unknown;
    const processor = each((_, { signal }) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reason = signal.reason;
      });
      return new Promise<undefined>(() => {});
    });
    const worker = consume(queue, processor, undefined, { clock });
    await until(() => worker.counters.inFlight === 1);
    await turns();
    const stopping = worker.stop({ deadlineMs: 1_000 });
    await clock.advance(749);
    expect(aborted).toBe(false);
    await clock.advance(1);
    expect(aborted).toBe(true);
    expect(reason).toMatchObject({ name: "AbortError" });
    expect(await stopping).toMatchObject({ nacked: 1 });
  });

  test("returns by the deadline, and 250 ms, also when the queue confirms nothing any more", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    const never = new Promise<never>(() => {});
    const queue = like(inner, {
      open: (options) => {
        const iterator = inner.open(options)[Symbol.asyncIterator]();
        return {
          [Symbol.asyncIterator]: () => ({
            next: async () => {
              const result = await iterator.next();
              return result.done === true ? result : { done: false, value: { ...result.value, ack: () => never, nack: () => never } };
            },
            return: () => never,
          }),
        };
      },
    });
    const worker = consume(queue, each(() => never), undefined, { clock });
    await until(() => worker.counters.inFlight === 1);
    const stopping = worker.stop({ deadlineMs: 1_000 });
    await clock.advance(1_250);
    expect(await stopping).toEqual({ acked: 0, nacked: 0, deadLettered: 0, abandoned: 1 });
    await worker.finished;
  });

  test("tells what became of what was out, not of what was done before; a slow queue has a quarter of the time and a little more to take back", async () => {
    const clock = fakeClock();
    const inner = await filled(["a", "b", "hang1", "hang2"], { clock });
    const slowly = (delivery: Delivery, ms: number): Delivery => ({ ...delivery, nack: async (options) => (await clock.sleep(ms), delivery.nack(options)) });
    const queue = likeDeliveries(inner, (delivery) => (firstWord(delivery) === "hang1" ? slowly(delivery, 390) : firstWord(delivery) === "hang2" ? slowly(delivery, 410) : delivery));
    const processor = each((part) => (wordOf(part).startsWith("hang") ? new Promise<undefined>(() => {}) : undefined));
    const worker = consume(queue, processor, undefined, { clock, concurrency: 4 });
    await until(() => worker.counters.acked === 2 && worker.counters.inFlight === 2);
    const stopping = worker.stop({ deadlineMs: 1_000 });
    await clock.advance(1_250);
    expect(await stopping).toEqual({ acked: 0, nacked: 1, deadLettered: 0, abandoned: 1 });
  });

  test("while it pauses leaves no timer", async () => {
    const clock = fakeClock();
    const queue = await filled(["a", "b"], { clock });
    const worker = consume(queue, each(() => Promise.reject(new MillraceError("unavailable", "down"))), undefined, { clock });
    await until(() => worker.counters.paused);
    await worker.stop();
    expect([clock.pending, worker.counters.inFlight]).toEqual([0, 0]);
  });

  test("twice is one stop, and a delivery that comes too late is given back", async () => {
    const inner = await filled(["a"]);
    const coming = gate();
    const queue = like(inner, {
      async *open(options) {
        for await (const delivery of inner.open(options)) {
          await coming.promise;
          yield delivery;
        }
      },
    });
    const worker = consume(queue, pipe(), written());
    await until(() => inner.counts.inFlight === 1);
    const [one, two] = [worker.stop({ deadlineMs: 0 }), worker.stop()];
    expect(one).toBe(two);
    coming.open();
    await one;
    await until(() => inner.counts.waiting === 1);
    expect(worker.counters.acked).toBe(0);
  });

  test("leaves the source, once, also one that hears no signal", async () => {
    const inner = await filled(["a"]);
    let left = 0;
    const queue = like(inner, {
      open: (options) => {
        const iterator = inner.open({ ...options, signal: new AbortController().signal })[Symbol.asyncIterator]();
        const leave = async (): Promise<IteratorResult<Delivery>> => ((left += 1), { done: true, value: undefined });
        return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next(), return: leave }) };
      },
    });
    const worker = consume(queue, pipe(), undefined);
    await until(() => worker.counters.acked === 1);
    expect(left).toBe(0);
    await worker.stop();
    expect(left).toBe(1);
  });

  test("ends a wait between two attempts", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const events = heardEvents();
    const worker = consume(queue, each(() => Promise.reject(new Error("again"))), undefined, { clock, ordering: "strict", random: () => 1, onEvent: events.onEvent });
    await until(() => events.of("retried").length === 1);
    await worker.stop();
    expect([worker.counters.nacked, clock.pending]).toEqual([1, 0]);
  });

  test("an abort of the worker's signal ends it at once, and finished rejects with the very reason", async () => {
    const clock = fakeClock();
    const queue = await filled(["a"], { clock });
    const controller = new AbortController();
    let told: unknown;
    const processor = each((_, { signal }) => {
      signal.addEventListener("abort", () => (told = signal.reason));
      return new Promise<undefined>(() => {});
    });
    const worker = consume(queue, processor, undefined, { clock, signal: controller.signal });
    await until(() => worker.counters.inFlight === 1);
    await turns();
    const reason = new Error("enough");
    controller.abort(reason);
    await clock.advance(0);
    await expect(worker.finished).rejects.toBe(reason);
    expect(told).toBe(reason);
    expect(queue.counts).toEqual({ waiting: 1, delayed: 0, inFlight: 0 });
  });

  test("a signal that has aborted before opens nothing", async () => {
    let opened = 0;
    const queue = like(await filled(["a"]), { open: () => ((opened += 1), { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }) });
    const reason = new Error("enough");
    const worker = consume(queue, pipe(), undefined, { signal: AbortSignal.abort(reason) });
    await expect(worker.finished).rejects.toBe(reason);
    expect(opened).toBe(0);
  });

  test("leaves no listener on the worker's signal", async () => {
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...given: Parameters<typeof add>): void => ((listeners += 1), add(...given));
    signal.removeEventListener = (...given: Parameters<typeof remove>): void => ((listeners -= 1), remove(...given));
    const worker = consume(await filled(["a"]), pipe(), undefined, { signal });
    await until(() => worker.counters.acked === 1);
    expect(listeners).toBe(1);
    await worker.stop();
    expect(listeners).toBe(0);
  });
});

describe("the source", () => {
  test("that ends by itself ends the worker, once all is settled", async () => {
    const inner = await filled(["a", "b"]);
    const queue = like(inner, {
      async *open(options) {
        let left = 2;
        for await (const delivery of inner.open(options)) {
          yield delivery;
          if ((left -= 1) === 0) {
            await until(() => inner.counts.inFlight === 0);
            return;
          }
        }
      },
    });
    const worker = consume(queue, pipe(), written(), { concurrency: 2 });
    await worker.finished;
    expect(worker.counters).toMatchObject({ acked: 2, inFlight: 0 });
  });

  test("that fails is opened again, ever more rarely; what cannot be helped so ends the worker", async () => {
    const clock = fakeClock();
    const inner = await filled(["a"], { clock });
    const failures: unknown[] = [new MillraceError("unavailable", "gone"), new MillraceError("unavailable", "gone"), undefined, new MillraceError("unauthorized", "no", { scope: "process" })];
    let opened = 0;
    const queue = like(inner, {
      async *open(options) {
        const failure = failures[opened];
        opened += 1;
        if (failure !== undefined) throw failure;
        for await (const delivery of inner.open(options)) {
          yield delivery;
          await until(() => inner.counts.inFlight === 0);
          throw new MillraceError("unavailable", "cut");
        }
      },
    });
    const events = heardEvents();
    const worker = consume(queue, pipe(), written(), { clock, random: () => 0.5, onEvent: events.onEvent });
    await until(() => opened === 4, clock);
    await expect(worker.finished).rejects.toBe(failures[3]);
    expect(events.of("source_failed").map(({ delayMs }) => delayMs)).toEqual([500, 1_000, 500]);
    expect(worker.counters.acked).toBe(1);
  });

  test("D10: what it says of messages that were lost is told, and that it is back", async () => {
    const inner = await filled(["a"]);
    const said = [{ kind: "gap", queue: "q", count: 3, reason: "trimmed" }, { kind: "reconnected", queue: "q", awayMs: 7 }] as const;
    const queue = like(inner, { open: (options) => (said.forEach((event) => options.tell?.(event)), inner.open(options)) });
    const events = heardEvents();
    await using worker = consume(queue, pipe(), written(), { onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1);
    expect(events.all.slice(0, 2)).toEqual(said);
  });

  test("D10: that delivers at most once gets its failures told as lost, never silently", async () => {
    const inner = await filled(["a", "b"]);
    const queue = like(inner, { guarantee: "at-most-once", redelivery: "none" });
    const events = heardEvents();
    const processor = each((part) => (wordOf(part) === "a" ? Promise.reject(new TypeError("bug")) : part));
    await using worker = consume(queue, processor, written(), { onEvent: events.onEvent });
    await until(() => worker.counters.acked === 1);
    expect([events.kinds(), events.of("lost")[0]?.id]).toEqual([["lost", "acked"], "q/1"]);
    expect([worker.counters.inFlight, inner.counts.inFlight]).toEqual([0, 0]); // they make room
  });

  test("a listener that throws or rejects breaks nothing", async () => {
    for (const onEvent of [() => {
      throw new Error("the listener's own");
    }, () => Promise.reject(new Error("the listener's own"))]) {
      await using worker = consume(await filled(["a"]), pipe(), written(), { onEvent });
      await until(() => worker.counters.acked === 1);
      await turns();
    }
  });
});

describe("signals of the operating system", () => {
  test("the first stops the worker, and takes the listeners off", async () => {
    const before = process.listenerCount("SIGHUP");
    const worker = consume(await filled(["a"]), pipe(), written());
    using _ = stopOnSignals(worker, { signals: ["SIGHUP"], deadlineMs: 1_000 });
    expect(process.listenerCount("SIGHUP")).toBe(before + 1);
    process.emit("SIGHUP", "SIGHUP"); // a real one ends a test process of Bun, listened for or not
    await worker.finished;
    expect(process.listenerCount("SIGHUP")).toBe(before);
  });

  test("a worker that has finished, or was disposed of, is listened for no more; unknown signals are refused", async () => {
    const before = process.listenerCount("SIGHUP");
    const worker = consume(await filled([]), pipe(), written());
    stopOnSignals(worker, { signals: ["SIGHUP"] });
    await worker.stop();
    await turns();
    expect(process.listenerCount("SIGHUP")).toBe(before);
    expect(() => stopOnSignals(worker, { signals: ["SIGKILL" as "SIGTERM"] })).toThrow(/stopOnSignals: signals must be some of/);
    expect(() => stopOnSignals(worker, { signals: [] })).toThrow(/stopOnSignals: signals must be some of/);
    expect(() => stopOnSignals(worker, { deadlineMs: -1 })).toThrow(/stopOnSignals: deadlineMs/);
  });
});
