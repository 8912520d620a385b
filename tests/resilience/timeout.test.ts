import { describe, expect, test } from "vitest";
import { each, isMillraceError, type Part, pipe, type Processor, run, status, text } from "../../src/index.ts";
import { retry } from "../../src/resilience/retry.ts";
import { timeout, type TimeoutOptions } from "../../src/resilience/timeout.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { down, ending, scripted, settled } from "./support.ts";

const never = { waits: new Promise<never>(() => {}) };

describe("R7: each clock has its phase", () => {
  test("no content in time is `firstPart`, to the millisecond; the signal inside is aborted with the error", async () => {
    const clock = fakeClock();
    const model = scripted([[status("thinking"), "", never]]);
    const result = ending(timeout(model, { firstPartMs: 100, clock }));
    await clock.advance(99);
    expect(model.signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    expect(model.signals[0]?.aborted).toBe(true);
    await clock.advance(100);
    const { error } = await soon(result);
    expect(error).toMatchObject({ code: "timeout", phase: "firstPart", retryable: true, message: "timeout: no content within 100 ms" });
    expect(model.signals[0]?.reason).toBe(error);
    expect(clock.pending).toBe(0);
  });

  test("after content, silence is `idle`, within `interrupted`", async () => {
    const clock = fakeClock();
    const result = ending(timeout(scripted([["x", never]]), { idleMs: 100, clock }));
    await clock.advance(200);
    const { error, texts } = await soon(result);
    expect(texts).toEqual(["x"]);
    expect(error).toMatchObject({ code: "interrupted", partial: { parts: 1, text: "x" }, cause: { code: "timeout", phase: "idle" } });
    expect(clock.pending).toBe(0);
  });

  test("signs of life keep it from being idle, but not for longer than `progressMs`", async () => {
    const clock = fakeClock();
    const model: Processor = async function* () {
      yield text("x");
      for (let i = 0; ; i += 1) {
        await clock.sleep(90);
        yield i % 2 === 0 ? status("alive") : text("");
      }
    };
    const result = ending(timeout(model, { idleMs: 100, clock }));
    for (let ms = 0; ms < 390; ms += 30) await clock.advance(30);
    expect(await Promise.race([result, turns(1)])).toBeUndefined();
    await clock.advance(130);
    expect((await soon(result)).error).toMatchObject({ code: "interrupted", cause: { phase: "progress", message: "timeout: no further content within 400 ms" } });
  });

  test("`total` counts from the first pull, also while nobody waits; then the next pull rejects", async () => {
    const clock = fakeClock();
    const source = watchedSource(Infinity);
    const stream = run(timeout(opaque, { totalMs: 100, clock }), source);
    await clock.advance(500);
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).done).toBe(false);
    await clock.advance(100);
    expect(source.closed).toBe(1);
    await expect(iterator.next()).rejects.toMatchObject({ code: "interrupted", cause: { code: "timeout", phase: "total", retryable: false } });
    expect((await iterator.next()).done).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("`total` that runs out before anybody has waited is told at the next pull, or to nobody", async () => {
    const clock = fakeClock();
    for (const reads of [true, false]) {
      const iterator = run(timeout(each((part) => part), { totalMs: 100, clock }), ["a", "b"])[Symbol.asyncIterator]();
      await iterator.next();
      await clock.advance(100);
      if (reads) await expect(iterator.next()).rejects.toMatchObject({ cause: { phase: "total" } });
      else await iterator.return?.();
      expect([(await iterator.next()).done, clock.pending]).toEqual([true, 0]);
    }
  });

  test("S22: the signal of what has ended in time is not aborted when the rest of the run is left", async () => {
    const model = scripted([["x"]]);
    const after: Processor = async function* (input) {
      for await (const _ of input);
      yield text("y");
      yield text("z");
    };
    for await (const _ of run(pipe(timeout(model), after), "a")) break;
    expect(model.signals.map((signal) => signal.aborted)).toEqual([false]);
  });

  test("the other clocks stand still while the consumer holds a part", async () => {
    const clock = fakeClock();
    const steps = [gate(), gate(), gate()];
    const model = scripted([steps.flatMap((step, i) => [{ waits: step.promise }, String(i)])]);
    const iterator = run(timeout(model, { firstPartMs: 100, idleMs: 100, clock }), "a")[Symbol.asyncIterator]();
    for (const step of steps) {
      const next = iterator.next();
      await clock.advance(99);
      step.open();
      expect((await soon(next)).done).toBe(false);
      await clock.advance(10_000);
    }
    expect((await iterator.next()).done).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("waits for content add up where only empty deltas come between them", async () => {
    const clock = fakeClock();
    const steps = [gate(), gate()];
    const model = scripted([[{ waits: steps[0]?.promise ?? never.waits }, "", { waits: steps[1]?.promise ?? never.waits }, "x"]]);
    const iterator = run(timeout(model, { firstPartMs: 100, clock }), "a")[Symbol.asyncIterator]();
    const first = iterator.next();
    await clock.advance(60);
    steps[0]?.open();
    await soon(first);
    const second = iterator.next();
    second.catch(() => {});
    await clock.advance(140);
    await expect(soon(second)).rejects.toMatchObject({ phase: "firstPart" });
  });

  test("what was used of the time to the first content is not missing from the time to the next", async () => {
    const clock = fakeClock();
    const pause = (ms: number) => ({ does: () => clock.sleep(ms) });
    const model = scripted([[pause(60), "", "", pause(30), "x", pause(60), "", pause(30), "y", "", pause(90), "", never]]);
    const result = ending(timeout(model, { firstPartMs: 100, progressMs: 100, clock }));
    for (let ms = 0; ms < 279; ms += 9) await clock.advance(9);
    expect(model.signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    expect(model.signals[0]?.aborted).toBe(true);
    await clock.advance(100);
    const { error, texts } = await soon(result);
    expect(texts).toEqual(["", "", "x", "", "y", "", ""]);
    expect(error).toMatchObject({ cause: { phase: "progress" } });
  });

  test("a clock that does not run yet sets no timer, one that runs sets few", async () => {
    const clock = fakeClock();
    let timers = 0;
    const counting = { ...clock, timeout: (ms: number, fire: () => void) => ((timers += 1), clock.timeout(ms, fire)) };
    const open = gate();
    const model = scripted([[{ waits: open.promise }, ...Array.from({ length: 100 }, (_, i) => [String(i), { does: () => clock.sleep(1) }]).flat()]]);
    const result = ending(timeout(model, { idleMs: 50, progressMs: 1_000, clock: counting }));
    await turns();
    expect(timers).toBe(0);
    open.open();
    expect((await settled(result, clock, 1)).error).toBeUndefined();
    expect(timers).toBeLessThan(5);
  });

  test.each(["firstPartMs", "idleMs", "progressMs"] as const)("%s may be the only one", async (name) => {
    const clock = fakeClock();
    const model = scripted([name === "firstPartMs" ? [never] : ["x", never]]);
    const result = ending(timeout(model, { [name]: 100, clock }));
    await clock.advance(99);
    expect(model.signals[0]?.aborted).toBe(false);
    await clock.advance(101);
    const { error } = await soon(result);
    expect(isMillraceError(error, "interrupted") ? error.cause : error).toMatchObject({ phase: name.slice(0, -2) });
  });

  test("a clock that is not named does not run; without any, all run", async () => {
    const clock = fakeClock();
    const only = ending(timeout(scripted([[never]]), { totalMs: 1_000_000, clock }));
    await clock.advance(999_999);
    expect(await Promise.race([only, turns(1)])).toBeUndefined();
    await clock.advance(101);
    expect((await soon(only)).error).toMatchObject({ phase: "total" });
    const all = ending(timeout(scripted([[never]]), { clock }));
    await clock.advance(60_100);
    expect((await soon(all)).error).toMatchObject({ phase: "firstPart" });
  });

  test.each(["firstPartMs", "idleMs", "progressMs", "totalMs"] as const)("0, negative, NaN and endless %s are `missing_config` at construction", (name) => {
    for (const value of [0, -1, Number.NaN, Infinity, "5" as never]) {
      expect(() => timeout(opaque, { [name]: value } as TimeoutOptions)).toThrow(
        expect.objectContaining({ code: "missing_config", message: expect.stringContaining(`timeout: ${name} must be a positive number`) }),
      );
    }
  });
});

describe("R7: giving up", () => {
  test("what unwinds within 100 ms is waited for", async () => {
    const clock = fakeClock();
    let unwound = false;
    const model: Processor = async function* (_input, context) {
      try {
        await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason)));
        yield text("never");
      } finally {
        await clock.sleep(80);
        unwound = true;
      }
    };
    const result = ending(timeout(model, { firstPartMs: 10, clock }));
    await clock.advance(10);
    expect(await Promise.race([result.then(() => unwound), turns(2).then(() => "waits")])).toBe("waits");
    await clock.advance(80);
    expect((await soon(result)).error).toMatchObject({ phase: "firstPart" });
    expect([unwound, clock.pending]).toEqual([true, 0]);
  });

  test("what does not is left to itself, and what it does later is dropped", async () => {
    const clock = fakeClock();
    const parked = gate();
    let said = 0;
    const model: Processor = async function* () {
      try {
        yield text("x");
        yield text("y");
      } finally {
        await parked.promise;
        said += 1;
        yield status("too late");
        await Promise.reject(new Error("too late"));
      }
    };
    const stream = run(timeout(model, { totalMs: 10, clock }), "a")[Symbol.asyncIterator]();
    await stream.next();
    const next = clock.advance(10).then(() => stream.next());
    next.catch(() => {});
    await clock.advance(10);
    await clock.advance(100);
    await expect(soon(next)).rejects.toMatchObject({ code: "interrupted" });
    parked.open();
    await turns();
    expect([said, clock.pending]).toEqual([1, 0]);
  });

  test("an abort meanwhile rejects at once with the reason", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const model: Processor = async function* () {
      try {
        yield text("x");
      } finally {
        await new Promise(() => {});
      }
    };
    const iterator = run(timeout(model, { totalMs: 10, clock }), "a", { signal: controller.signal })[Symbol.asyncIterator]();
    await iterator.next();
    await clock.advance(10);
    const next = iterator.next();
    next.catch(() => {});
    await turns();
    controller.abort("stop");
    await expect(soon(next)).rejects.toBe("stop");
    expect(clock.pending).toBe(0);
  });

  test("errors of the processor and of the input pass as they are", async () => {
    const clock = fakeClock();
    const error = new Error("bug");
    expect((await ending(timeout(scripted([["x", { throws: error }]]), { clock }))).error).toBe(error);
    expect((await ending(timeout(opaque, { clock }), watchedSource(["a"], { failAt: 1, error }))).error).toBe(error);
    expect(clock.pending).toBe(0);
  });

  test("leaving and ending leave no timer", async () => {
    const clock = fakeClock();
    for await (const _part of run(timeout(opaque, { clock }), watchedSource(Infinity))) break;
    await run(timeout(each(async (part) => part), { clock }), ["a", "b"]).collect();
    const source = stalledSource();
    const iterator = run(timeout(opaque, { clock }), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    expect(clock.pending).toBe(2);
    await soon(Promise.resolve(iterator.return?.()));
    expect([(await soon(next)).done, clock.pending, source.closed]).toEqual([true, 0, 1]);
  });
});

test.each(["abort", "break"])("R10: %s leaves no timer where the timeout is inside an opaque stage whose inside never answers", async (how) => {
  const clock = fakeClock();
  const controller = new AbortController();
  const inner = timeout(scripted([[never]]), { clock });
  const stage: Processor = async function* (input, context) {
    yield* inner(input, context);
  };
  const iterator = run(stage, "a", { signal: controller.signal })[Symbol.asyncIterator]();
  const next = iterator.next();
  next.catch(() => {});
  await turns();
  expect(clock.pending).toBe(2);
  if (how === "abort") controller.abort("stop");
  else void iterator.return?.();
  await turns();
  expect(clock.pending).toBe(0);
});

describe("R7, R8: with retry", () => {
  test("inside a retry each attempt has its own time; the source is read once", async () => {
    const clock = fakeClock();
    const model = scripted([[never], ["x"]]);
    const source = watchedSource(["a"]);
    const result = ending(retry(timeout(model, { firstPartMs: 100, clock }), { clock, random: () => 0 }), source);
    expect((await settled(result, clock, 50)).texts).toEqual(["x"]);
    expect([model.read, source.opened, clock.pending]).toEqual([[["a"], ["a"]], 1, 0]);
  });

  test("what is given up is waited for once, by whoever gave up most: 100 ms, however many wrappers there are", async () => {
    const clock = fakeClock();
    const begun: number[] = [];
    const model = scripted([[{ does: () => begun.push(clock.now()) }, never]]);
    const wrapped = retry(timeout(timeout(model, { firstPartMs: 10_000, clock }), { firstPartMs: 100, clock }), { attempts: 2, baseMs: 0, clock });
    const result = ending(wrapped);
    for (let step = 0; step < 50; step += 1) await clock.advance(10);
    expect((await soon(result)).error).toMatchObject({ phase: "firstPart", attempts: 2 });
    expect(begun).toEqual([0, 200]);
    let unwound = false;
    const unwinding: Processor = async function* (_input, context) {
      yield* [] as Part[];
      await new Promise((resolve) => context?.signal.addEventListener("abort", resolve));
      await clock.sleep(80);
      unwound = true;
    };
    const inner = ending(timeout(retry(unwinding, { clock }), { firstPartMs: 100, clock })).then(() => unwound);
    for (let step = 0; step < 30; step += 1) await clock.advance(10);
    expect(await soon(inner)).toBe(true);
  });

  test("an attempt is not started with less than a second of an outer total left, through any stages", async () => {
    const clock = fakeClock();
    const error = down();
    const model = scripted([[{ does: () => clock.sleep(1_500) }, { throws: error }], ["x"]]);
    const inner = retry(model, { clock, baseMs: 0 });
    const stage: Processor = async function* (input, context): AsyncGenerator<Part> {
      yield* pipe(opaque, inner)(input, context);
    };
    expect((await settled(ending(timeout(timeout(stage, { totalMs: 60_000, clock }), { totalMs: 2_499, clock })), clock, 100)).error).toBe(error);
    expect(model.calls).toBe(1);
    const fits = scripted([[{ does: () => clock.sleep(1_500) }, { throws: down() }], ["x"]]);
    expect((await settled(ending(timeout(retry(fits, { clock, baseMs: 0 }), { totalMs: 2_500, clock })), clock, 100)).texts).toEqual(["x"]);
  });

  test("a retry is not made of a total that ran out", async () => {
    const clock = fakeClock();
    const model = scripted([[never]]);
    const { error } = await settled(ending(retry(timeout(model, { totalMs: 10, clock }), { clock })), clock);
    expect(isMillraceError(error, "timeout")).toBe(true);
    expect(model.calls).toBe(1);
  });
});
