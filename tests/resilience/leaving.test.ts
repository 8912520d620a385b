import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, test } from "vitest";
import { buffer, debug, each, isolate, type Part, pipe, type Processor, run, status, text } from "../../src/index.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { hedge } from "../../src/resilience/hedge.ts";
import { loadBalance } from "../../src/resilience/load-balance.ts";
import { retry } from "../../src/resilience/retry.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { down, ending, texts } from "./support.ts";

const clock = fakeClock();
/** Every wrapper, alone and around the others; what holds for a stage must hold inside and around each. */
const wrappers: Readonly<Record<string, (processor: Processor) => Processor>> = {
  retry: (processor) => retry(processor, { clock, baseMs: 0 }),
  "retry that restarts": (processor) => retry(processor, { clock, baseMs: 0, afterCommit: "restart" }),
  timeout: (processor) => timeout(processor, { clock }),
  fallback: (processor) => fallback(processor, opaque, { clock }),
  hedge: (processor) => hedge(processor, { clock }),
  loadBalance: (processor) => loadBalance([{ id: "a", processor }], { clock }),
  all: (processor) => timeout(fallback(retry(hedge(loadBalance([{ id: "a", processor: timeout(processor, { clock }) }], { clock }), { clock }), { clock, baseMs: 0 }), opaque, { clock }), { totalMs: 60_000, clock }),
  "all within an opaque stage": (processor) => {
    const inner = retry(timeout(fallback(processor, opaque, { clock }), { clock }), { clock, baseMs: 0 });
    return async function* (input, context) {
      yield* inner(input, context);
    };
  },
};
const inside: Readonly<Record<string, () => Processor>> = {
  "an opaque stage": () => opaque,
  "part functions": () => pipe(each((part) => part), each(async (part) => part)),
  "concurrent part functions": () => each(async (part) => part, { concurrency: 4 }),
  "a buffer between": () => pipe(opaque, buffer(2), opaque),
};
const forms = Object.entries(wrappers).flatMap(([wrapper, wrap]) => Object.entries(inside).map(([inner, make]) => [`${wrapper} of ${inner}`, () => wrap(make())] as const));

describe.each(forms)("%s", (_, make) => {
  test("C12: nothing is opened before the first pull, no timer is set", async () => {
    const source = watchedSource(Infinity);
    run(make(), source);
    await turns();
    expect([source.opened, clock.pending]).toEqual([0, 0]);
  });

  test("the parts come out as the very objects, in order", async () => {
    const parts = Array.from({ length: 20 }, (_it, i) => text(String(i)));
    const seen = await run(make(), parts).collect();
    expect(seen.length).toBe(20);
    expect(seen.every((part, i) => part === parts[i])).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("S19: break closes the source once, after its finally has run", async () => {
    let finished = 0;
    async function* source(): AsyncGenerator<Part> {
      try {
        for (let i = 0; ; i += 1) yield text(String(i));
      } finally {
        await turns(2);
        finished += 1;
      }
    }
    for await (const _part of run(make(), source())) break;
    expect([finished, clock.pending]).toEqual([1, 0]);
  });

  test("S20: return() while the source is parked settles at once, and so does the pending next(), as done", async () => {
    const source = stalledSource();
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect(await soon(next)).toEqual({ value: undefined, done: true });
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    expect([source.closed, clock.pending]).toEqual([1, 0]);
  });

  test("C42: what a parked source throws after it was left is heard by nobody", async () => {
    const late = gate();
    const source = watchedSource(["a"], { wait: () => late.promise });
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    void iterator.next();
    await turns();
    await iterator.return?.();
    late.fail(new Error("too late"));
    await turns();
  });

  test("S25: abort rejects with the very reason, the source is closed by the abort itself", async () => {
    for (const source of [stalledSource(), stalledSource(["a", "b"])]) {
      const controller = new AbortController();
      const all = run(make(), source, { signal: controller.signal }).collect();
      all.catch(() => {});
      await turns();
      const reason = { why: "enough" };
      controller.abort(reason);
      await expect(soon(all)).rejects.toBe(reason);
      await turns();
      expect([source.closed, clock.pending]).toEqual([1, 0]);
    }
  });

  test("C48: abort between two pulls closes the source although nobody pulls; the next pull rejects", async () => {
    const source = watchedSource(Infinity);
    const controller = new AbortController();
    const iterator = run(make(), source, { signal: controller.signal })[Symbol.asyncIterator]();
    await iterator.next();
    controller.abort("stop");
    await turns();
    expect([source.closed, clock.pending]).toEqual([1, 0]);
    await expect(iterator.next()).rejects.toBe("stop");
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
  });

  test("C53: an error of the source comes out as the very object, after the parts before it", async () => {
    const error = { not: "an Error" };
    const source = watchedSource(["a", "b"], { failAt: 2, error });
    const seen = await ending(make(), source);
    expect([seen.error === error, seen.texts, source.closed, clock.pending]).toEqual([true, ["a", "b"], 0, 0]);
  });

  test("C62: reserved parts of the input pass aside, once, as the very objects", async () => {
    const aside = [status("s"), debug("d")];
    const seen = await run(make(), [aside[0] as Part, text("a"), aside[1] as Part]).collect();
    expect(texts(seen).toSorted()).toEqual(["a", "d", "s"]);
    expect(aside.every((part) => seen.includes(part))).toBe(true);
  });

  test("S17: the source is not read ahead of what the inside asks for", async () => {
    const source = watchedSource(Infinity);
    const iterator = run(make(), source)[Symbol.asyncIterator]();
    await iterator.next();
    await turns();
    expect(source.pulls).toBeLessThanOrEqual(8);
    await iterator.return?.();
  });
});

describe.each(Object.entries(wrappers))("%s", (_, wrap) => {
  test("S28: 10,000 runs on one signal, ended, left and failed, leave no listener, timer or open source", { timeout: 120_000 }, async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    let most = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      most = Math.max(most, listeners);
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    let calls = 0;
    let failures = 0;
    const flaky = wrap(async function* (input, context) {
      void context?.signal;
      calls += 1;
      if (calls % 3 === 0) throw down();
      yield* input;
      if (calls % 5 === 0) throw new Error("late");
    });
    for (let i = 0; i < 10_000; i += 1) {
      const stream = run(flaky, ["a", "b"], { signal });
      try {
        if (i % 2 === 0) await stream.collect();
        else for await (const _part of stream) break;
      } catch {
        failures += 1;
      }
    }
    expect([listeners, most, clock.pending]).toEqual([0, 1, 0]);
    expect(failures).toBeGreaterThan(500);
  });

  test("C44: calls in flight see the abort of their own signal when the run is left", async () => {
    const seen: string[] = [];
    const parked = wrap(async function* (input, context) {
      context?.signal.addEventListener("abort", () => seen.push("aborted"));
      yield* input;
      await new Promise(() => {});
    });
    const iterator = run(parked, ["a"])[Symbol.asyncIterator]();
    await iterator.next();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect([(await next).done, seen, clock.pending]).toEqual([true, ["aborted"], 0]);
  });

  test("S22: at a natural end the signal is not aborted", async () => {
    const signals: AbortSignal[] = [];
    await run(
      wrap(async function* (input, context) {
        if (context !== undefined) signals.push(context.signal);
        yield* input;
      }),
      "a",
    ).collect();
    expect(signals.map((signal) => signal.aborted)).toEqual([false]);
  });

  test("S27: nobody turns an abort into content", async () => {
    const controller = new AbortController();
    const stubborn = wrap(async function* (_input, context) {
      await new Promise<void>((resolve) => context?.signal.addEventListener("abort", () => resolve()));
      yield text("fine");
    });
    const result = ending(stubborn, "a", { signal: controller.signal });
    await turns();
    controller.abort("stop");
    expect(await soon(result)).toMatchObject({ error: "stop", texts: [] });
    await turns();
    expect(clock.pending).toBe(0);
  });

  test("C89: forty runs at once under forty stores see their own", async () => {
    const storage = new AsyncLocalStorage<number>();
    const wrong: unknown[] = [];
    const look = wrap(each(async (part) => {
      await turns(1);
      wrong.push(...(texts([part])[0] === String(storage.getStore()) ? [] : [storage.getStore()]));
      return part;
    }));
    await Promise.all(Array.from({ length: 40 }, (_it, i) => storage.run(i, () => run(look, [String(i), String(i)]).collect())));
    expect(wrong).toEqual([]);
  });

  test("S18: nothing is kept of 20,000 calls within one run", async () => {
    const collect = (globalThis as unknown as { gc?: () => void }).gc;
    let calls = 0;
    const flaky = wrap(async function* (input) {
      calls += 1;
      if (calls % 7 === 0) throw down();
      yield* input;
    });
    const source = async function* (): AsyncGenerator<Part> {
      for (let i = 0; i < 20_000; i += 1) yield text("a");
    };
    const heap: number[] = [];
    let parts = 0;
    await run(isolate(flaky, { onError: () => undefined, errorBudget: false }), source())
      .forEach(() => {
        parts += 1;
        if (collect === undefined || parts % 8_000 !== 0) return;
        collect();
        heap.push(process.memoryUsage().heapUsed);
      })
      .catch(() => {});
    expect(clock.pending).toBe(0);
    if (heap.length >= 2) expect((heap.at(-1) ?? 0) - (heap[0] ?? 0)).toBeLessThan(2_000_000);
  });
});
