import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { each, MillraceError, type Part, type Processor, run, status, text } from "../../src/index.ts";
import { hedge } from "../../src/resilience/hedge.ts";
import type { Scope } from "../../src/core/scope.ts";
import { retry } from "../../src/resilience/retry.ts";
import { retryBudget } from "../../src/resilience/retry-budget.ts";
import { fakeClock, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { simulation } from "./simulation.ts";
import { down, ending, scripted, settled, texts } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 10_000);
const parked = { waits: new Promise<never>(() => {}) };

describe("R15: the second call", () => {
  test("is made after `afterMs` without content, gets the same input, and wins if it has content first; the first is aborted at once", async () => {
    const clock = fakeClock();
    const open = gate();
    const model = scripted([[status("one"), "", parked], [{ waits: open.promise }, status("two"), "x", "y"]]);
    const source = watchedSource(["a", "b"]);
    const result = ending(hedge(model, { afterMs: 100, clock }), source);
    await clock.advance(99);
    expect(model.calls).toBe(1);
    await clock.advance(1);
    expect(model.calls).toBe(2);
    open.open();
    const { parts } = await soon(result);
    expect(texts(parts)).toEqual(["one", "two", "x", "y"]);
    expect(parts.map((part) => part.metadata.attempt)).toEqual([undefined, 2, undefined, undefined]);
    expect([model.read, source.opened, source.pulls]).toEqual([[["a", "b"], ["a", "b"]], 1, 3]);
    expect([model.signals.map((signal) => signal.aborted), clock.pending]).toEqual([[true, false], 0]);
  });

  test("loses if the first has content after all; what it made is not seen", async () => {
    const clock = fakeClock();
    const open = gate();
    const model = scripted([[{ waits: open.promise }, "x"], ["", parked]]);
    const result = ending(hedge(model, { afterMs: 100, clock }));
    await clock.advance(100);
    open.open();
    expect((await soon(result)).texts).toEqual(["x"]);
    expect(model.signals.map((signal) => signal.aborted)).toEqual([false, true]);
  });

  test("is not made when there is content in time, and none after the first content", async () => {
    const clock = fakeClock();
    const model = scripted([["x", { does: () => clock.sleep(10_000) }, "y"]]);
    expect((await settled(ending(hedge(model, { afterMs: 100, clock })), clock)).texts).toEqual(["x", "y"]);
    expect([model.calls, clock.pending]).toEqual([1, 0]);
  });

  test("is no retry: a first call that fails before it is the failure; one that fails beside it is waited out", async () => {
    const clock = fakeClock();
    const error = down();
    const model = scripted([[{ throws: error }], ["x"]]);
    expect((await ending(hedge(model, { afterMs: 100, clock }))).error).toBe(error);
    expect([model.calls, clock.pending]).toEqual([1, 0]);
    const fail = gate();
    const open = gate();
    const both = scripted([[{ waits: fail.promise }, "never"], [{ waits: open.promise }, "x"]]);
    const result = ending(hedge(both, { afterMs: 100, clock }));
    await clock.advance(100);
    fail.fail(error);
    await turns();
    open.open();
    expect((await soon(result)).texts).toEqual(["x"]);
  });

  test("when both fail, the first call's error comes out", async () => {
    const clock = fakeClock();
    const fail = [gate(), gate()];
    const model = scripted(fail.map(({ promise }) => [{ waits: promise }]));
    const result = ending(hedge(model, { afterMs: 100, clock }));
    await clock.advance(100);
    const errors = [down("1"), down("2")];
    fail[1]?.fail(errors[1]);
    await turns();
    fail[0]?.fail(errors[0]);
    expect((await soon(result)).error).toBe(errors[0]);
    const inTurn = ending(hedge(scripted(errors.map((error, i) => [{ does: () => clock.sleep(i === 0 ? 200 : 300) }, { throws: error }])), { afterMs: 100, clock }));
    expect((await settled(inTurn, clock, 100)).error).toBe(errors[0]);
  });

  test("when both have content at the same moment, one of them comes out, whole", async () => {
    const clock = fakeClock();
    const open = gate();
    let calls = 0;
    const closed: number[] = [];
    const model: Processor = async function* () {
      calls += 1;
      const call = calls;
      try {
        await open.promise;
        yield text(`${call}.1`);
        await turns(1);
        yield text(`${call}.2`);
      } finally {
        closed.push(call);
      }
    };
    const result = ending(hedge(model, { afterMs: 100, clock }));
    await clock.advance(100);
    expect(calls).toBe(2);
    open.open();
    expect(await soon(result)).toMatchObject({ texts: ["1.1", "1.2"], error: undefined });
    expect(closed).toEqual([2, 1]);
  });

  test("S19: the end waits for the `finally` of the other call, where that can unwind", async () => {
    const clock = fakeClock();
    const log: string[] = [];
    let calls = 0;
    const model: Processor = async function* (input) {
      calls += 1;
      if (calls === 2) return yield text("x");
      try {
        for await (const _ of input);
      } finally {
        await turns(2);
        log.push("unwound");
      }
    };
    const result = ending(hedge(model, { afterMs: 100, clock }), watchedSource([], { stallAt: 0 })).then(() => log.push("end"));
    await clock.advance(100);
    await soon(result);
    expect(log).toEqual(["unwound", "end"]);
  });

  test("R14: both calls have one key", async () => {
    const clock = fakeClock();
    const keys: unknown[] = [];
    const model = scripted([[{ does: (context) => keys.push((context as Scope).limits.key?.()) }, { does: () => clock.sleep(200) }, "x"]]);
    await settled(ending(hedge(model, { afterMs: 100, clock })), clock, 100);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys).toEqual([keys[0], keys[0]]);
  });

  test("`afterMs` may be 0: two calls at once", async () => {
    const clock = fakeClock();
    const model = scripted([[{ does: () => clock.sleep(1) }, "x"]]);
    expect((await settled(ending(hedge(model, { afterMs: 0, clock })), clock, 1)).texts).toEqual(["x"]);
    expect(model.calls).toBe(2);
  });

  test("without `afterMs` the slowest twentieth of the last hundred calls decides, in whatever order they came", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 0, perSecond: 0, perSuccess: 0, clock });
    let takesMs = 0;
    const model: Processor = async function* () {
      await clock.sleep(takesMs);
      yield text("x");
    };
    const hedged = hedge(model, { clock, budget });
    const call = async (ms: number): Promise<unknown> => {
      takesMs = ms;
      const result = ending(hedged);
      await clock.advance(ms);
      return soon(result);
    };
    /** When the timer of the second call is due. */
    const afterMs = async (): Promise<number> => {
      takesMs = 1_000_000;
      const controller = new AbortController();
      const result = ending(hedged, "in", { signal: controller.signal });
      await turns();
      let ms = 0;
      for (; clock.pending === 2 && ms < 100_000; ms += 1_000) await clock.advance(1_000);
      controller.abort();
      await result;
      await clock.advance(1_000_000);
      return ms;
    };
    for (let i = 40; i >= 1; i -= 1) await call(i * 1_000);
    expect(await afterMs()).toBe(39_000);
    for (let i = 0; i < 95; i += 1) await call(2_000);
    expect(await afterMs()).toBe(2_000); // of the slow ones the 5 quickest are left
  });

  test("without `afterMs` it is made after the time that 95 % of the last calls took, a second at least", async () => {
    const clock = fakeClock();
    let takesMs = 100;
    let calls = 0;
    const model: Processor = async function* () {
      calls += 1;
      await clock.sleep(takesMs);
      yield text("x");
    };
    const hedged = hedge(model, { clock });
    const first = ending(hedged);
    await clock.advance(100);
    await first;
    takesMs = 5_000;
    const slow = ending(hedged);
    await clock.advance(999);
    expect(calls).toBe(2);
    await clock.advance(1);
    expect(calls).toBe(3);
    await clock.advance(4_000);
    await slow;
    takesMs = 3_000;
    const budget = retryBudget({ start: 0, perSecond: 0, perSuccess: 0, clock });
    const learning = hedge(model, { clock, budget });
    for (let i = 0; i < 20; i += 1) {
      const next = ending(learning);
      await clock.advance(3_000);
      await next;
    }
    calls = 0;
    takesMs = 10_000;
    const free = ending(learning);
    await clock.advance(2_999);
    expect(clock.pending).toBe(2); // the call's own, and the one for the second
    await clock.advance(1);
    expect([calls, clock.pending]).toEqual([1, 1]); // no budget
    await clock.advance(7_000);
    await free;
  });

  test("R12: within a retry the requests of one call never exceed its attempts", async () => {
    const clock = fakeClock();
    const model = scripted([[{ does: () => clock.sleep(150) }, { throws: down() }]]);
    const { error } = await settled(ending(retry(hedge(model, { afterMs: 100, clock }), { attempts: 3, baseMs: 0, clock })), clock, 50);
    expect(model.calls).toBe(3);
    expect(error).toMatchObject({ attempts: 3 });
  });

  test("R11: it is taken from the budget, where there is no retry around it", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 1, clock });
    const model = scripted([[{ does: () => clock.sleep(500) }, "x"]]);
    for (let i = 0; i < 2; i += 1) await settled(ending(hedge(model, { afterMs: 100, clock, budget })), clock, 100);
    expect(model.calls).toBe(3);
  });

  test("R11: a call that comes to its end earns for the budget, one that fails or is left does not; within a retry the retry does", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 0, perSuccess: 1, perSecond: 0, clock });
    await ending(hedge(scripted([["x"]]), { clock, budget }));
    expect(budget.level).toBe(1);
    await ending(hedge(scripted([[{ throws: down() }]]), { clock, budget }));
    for await (const _ of run(hedge(scripted([["x", "y"]]), { clock, budget }), "a")) break;
    expect(budget.level).toBe(1);
    await ending(retry(hedge(scripted([["x"]]), { clock, budget }), { clock, budget }));
    expect(budget.level).toBe(2);
  });

  test("R12: within a retry of one attempt it is not made", async () => {
    const clock = fakeClock();
    const model = scripted([[{ does: () => clock.sleep(500) }, "x"]]);
    expect((await settled(ending(retry(hedge(model, { afterMs: 100, clock }), { attempts: 1, clock })), clock, 100)).texts).toEqual(["x"]);
    expect(model.calls).toBe(1);
  });

  test("R3: input that grows beyond the limit while both calls read it comes to both, whole, whichever is quicker", async () => {
    const clock = fakeClock();
    const more = gate();
    const input = Array.from({ length: 40 }, (_, i) => String(i));
    const source = watchedSource(input, { wait: (index) => (index === 1 ? more.promise : undefined) });
    const read: string[][] = [];
    const model: Processor = async function* (parts) {
      const mine: string[] = [];
      read.push(mine);
      const call = read.length;
      for await (const part of parts) {
        mine.push(...texts([part]));
        if (call === 2 && mine.length % 7 === 0) await turns(1);
      }
      await clock.sleep(call === 1 ? 1_000 : 500);
      yield text(String(call));
    };
    const result = ending(hedge(model, { afterMs: 100, clock, replayBytes: 100 }), source);
    await clock.advance(100);
    more.open();
    expect((await settled(result, clock, 100)).texts).toEqual(["2"]);
    expect([read, source.pulls]).toEqual([[input, input], 41]);
  });

  test("R3: input beyond the limit is not read twice", async () => {
    const clock = fakeClock();
    const model = scripted([[{ does: () => clock.sleep(500) }, "x"]]);
    expect((await settled(ending(hedge(model, { afterMs: 100, clock, replayBytes: 1 }), "ab"), clock, 100)).texts).toEqual(["x"]);
    expect(model.calls).toBe(1);
  });
});

describe("leaving", () => {
  test.each(["abort", "break"])("%s closes both calls and the input, and leaves no timer", async (how) => {
    const clock = fakeClock();
    const controller = new AbortController();
    const source = watchedSource(Infinity);
    const model = scripted([[parked]], { reads: false });
    const iterator = run(hedge(model, { afterMs: 100, clock }), source, { signal: controller.signal })[Symbol.asyncIterator]();
    const next = iterator.next();
    next.catch(() => {});
    await clock.advance(100);
    expect(model.calls).toBe(2);
    if (how === "abort") {
      controller.abort("stop");
      await expect(soon(next)).rejects.toBe("stop");
    } else {
      await soon(Promise.resolve(iterator.return?.()));
      expect((await soon(next)).done).toBe(true);
    }
    expect([model.signals.map((signal) => signal.aborted), clock.pending]).toEqual([[true, true], 0]);
  });

  test("before the second call, too", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const result = ending(hedge(opaque, { clock }), watchedSource(["a"], { stallAt: 0 }), { signal: controller.signal });
    await turns();
    expect(clock.pending).toBe(1);
    controller.abort("stop");
    expect([(await soon(result)).error, clock.pending]).toEqual(["stop", 0]);
  });
});

/** Milliseconds to the first content, all even or all odd, and what follows. */
const callPlan = (offsetMs: number) =>
  fc.record({ firstMs: fc.nat(150).map((n) => 2 * n + offsetMs), parts: fc.nat(4), fails: fc.boolean(), echo: fc.boolean() });

test("R15: whichever wins, its parts come out once, in order, and none of the other's", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(callPlan(2), callPlan(1)), // never at the same moment
      fc.nat(4),
      async (plans, length) => {
        const clock = simulation();
        let calls = 0;
        const model: Processor = async function* (input, context) {
          const call = calls;
          calls += 1;
          const plan = plans[call];
          if (plan === undefined) throw new Error("a third call");
          const read: string[] = [];
          if (!plan.echo) for await (const part of input) read.push(...texts([part]));
          await clock.sleep(plan.firstMs, context?.signal);
          if (plan.echo) for await (const part of input) yield text(`${call}:${texts([part])[0]}`);
          else for (let i = 0; i < plan.parts; i += 1) yield text(`${call}.${i}:${read.join("")}`);
          if (plan.fails) throw down(String(call));
        };
        const input = Array.from({ length }, (_, i) => String(i));
        const source = watchedSource(input);
        const result = ending(hedge(model, { afterMs: 100, clock }), source);
        await clock.play(1_000);
        const seen = await result;
        const outputOf = (call: number): string[] => {
          const plan = plans[call];
          if (plan?.echo === true) return input.map((name) => `${call}:${name}`);
          return Array.from({ length: plan?.parts ?? 0 }, (_, i) => `${call}.${i}:${input.join("")}`);
        };
        const [first, second] = plans;
        const bare = (call: number): boolean => outputOf(call).length === 0 && plans[call]?.fails === true;
        const firstAtMs = first.firstMs;
        const secondAtMs = 100 + second.firstMs;
        const expectedCalls = firstAtMs < 100 ? 1 : firstAtMs > 100 ? 2 : calls;
        expect(calls).toBe(expectedCalls);
        const winner = calls === 1 ? 0 : bare(0) ? 1 : bare(1) ? 0 : firstAtMs < secondAtMs ? 0 : 1;
        const error = bare(0) && (calls === 1 || bare(1)) ? "0" : plans[winner]?.fails === true ? String(winner) : undefined;
        expect(seen.texts).toEqual(error !== undefined && bare(winner) ? [] : outputOf(winner));
        const root = seen.error instanceof MillraceError && seen.error.code === "interrupted" ? seen.error.cause : seen.error;
        expect((root as Error | undefined)?.message).toBe(error);
        expect([source.opened <= 1, source.pulls <= length + 1, clock.pending]).toEqual([true, true, 0]);
      },
    ),
    { numRuns: runs },
  );
});

describe("options", () => {
  test("bad ones are refused by name", () => {
    expect(() => hedge(5 as never)).toThrow(/hedge: argument 1 must be a processor/);
    for (const afterMs of [-1, Number.NaN, Infinity, "1" as never]) expect(() => hedge(opaque, { afterMs })).toThrow(/hedge: afterMs must be/);
    expect(() => hedge(opaque, { budget: {} as never })).toThrow(/hedge: budget must be/);
    expect(() => hedge(opaque, { replayBytes: -1 })).toThrow(/hedge: replayBytes must be/);
  });

  test("nothing is done before the first pull", async () => {
    const clock = fakeClock();
    const source = watchedSource(["a"]);
    run(hedge(each((part): Part => part), { clock }), source);
    await turns();
    expect([source.opened, clock.pending]).toEqual([0, 0]);
  });
});
