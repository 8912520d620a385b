import { describe, expect, test } from "vitest";
import { debug, each, finish, interleave, isMillraceError, json, MillraceError, type Part, pipe, type Processor, run, status, take, text, toolCall } from "../../src/index.ts";
import { processorOf } from "../../src/core/pipeline.ts";
import { received } from "../../src/core/errors.ts";
import type { Scope } from "../../src/core/scope.ts";
import { resumable } from "../../src/core/resumable.ts";
import { Attempt } from "../../src/resilience/attempts/attempt.ts";
import type { Backoff } from "../../src/resilience/attempts/backoff.ts";
import { retry, type RetryEvent, type RetryOptions } from "../../src/resilience/retry.ts";
import { retryBudget } from "../../src/resilience/retry-budget.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";
import { down, ending, scripted, settled, texts } from "./support.ts";

/** Waits take no time. */
const quick: RetryOptions = { baseMs: 0 };

describe("the commit point", () => {
  test("R2: while open, failed attempts are not seen; the input comes once more, its source is opened once", async () => {
    const model = scripted([[{ throws: down() }], [{ throws: down() }], ["x", "y"]]);
    const source = watchedSource(["a", "b"]);
    expect((await ending(retry(model, quick), source)).texts).toEqual(["x", "y"]);
    expect(model.read).toEqual([["a", "b"], ["a", "b"], ["a", "b"]]);
    expect([source.opened, source.closed, source.pulls]).toEqual([1, 0, 3]);
  });

  test("R2: after content, a failure is `interrupted` with what was delivered and the real error as its cause", async () => {
    const cause = down();
    const model = scripted([["x", "y", finish({ reason: "stop", usage: { outputTokens: 2 } }), { throws: cause }]]);
    const { texts: seen, error } = await ending(retry(model, quick));
    expect(seen).toEqual(["x", "y", "finish"]);
    expect(error).toMatchObject({ code: "interrupted", partial: { parts: 3, text: "xy", usage: { outputTokens: 2 } }, attempts: 1 });
    expect((error as Error).cause).toBe(cause);
    expect(model.calls).toBe(1);
  });

  test("R2: it says how much came, of which service", async () => {
    const model = scripted([[json(1), "x", { throws: new MillraceError("unavailable", "gone", { service: "s" }) }]]);
    const { error } = await ending(retry(model, quick));
    expect(error).toMatchObject({ message: "retry: broke off after 2 parts: gone", service: "s", partial: { parts: 2 } });
    expect(Object.keys((await ending(retry(scripted([["x", { throws: down() }]]), quick))).error as Error)).not.toContain("service");
  });

  test.each([undefined, null, "text"])("R2: so is %s that is thrown after content", async (thrown) => {
    const { error } = await ending(retry(scripted([["x", { throws: thrown }]]), quick));
    expect(error).toMatchObject({ code: "interrupted", message: `retry: broke off after 1 parts: ${String(thrown)}`, cause: thrown });
  });

  test("R2: an error that is `interrupted` already is kept", async () => {
    const error = new MillraceError("interrupted", "broke off", { cause: down() });
    expect((await ending(retry(scripted([["x", { throws: error }]]), quick))).error).toBe(error);
  });

  test.each<[string, Part]>([
    ["a tool call", toolCall({ id: "1", name: "n", arguments: {} })],
    ["a JSON value", json(1)],
    ["a finish part", finish({ reason: "stop" })],
    ["content of another substream", text("x", { substream: "draft" })],
  ])("R1: %s commits", async (_, part) => {
    const model = scripted([[part, { throws: down() }], ["again"]]);
    const { parts, error } = await ending(retry(model, quick));
    expect(parts).toEqual([part]);
    expect(isMillraceError(error, "interrupted")).toBe(true);
  });

  test("R1: empty deltas, status and debug parts do not commit; of the attempt that comes through, empty deltas keep their place", async () => {
    const model = scripted([["", status("s1"), debug("d1"), { throws: down() }], ["", "x", ""]]);
    const { parts, error } = await ending(retry(model, quick));
    expect(error).toBeUndefined();
    expect(texts(parts.filter((part) => part.substream === ""))).toEqual(["", "x", ""]);
  });

  test("R1: an answer of empty deltas alone is an answer", async () => {
    expect((await ending(retry(scripted([["", ""]]), quick))).texts).toEqual(["", ""]);
    expect((await ending(retry(scripted([[]]), quick))).texts).toEqual([]);
  });

  test("R1: no more than 1,024 empty deltas are held back", async () => {
    let given = 0;
    const endless = async function* (): AsyncGenerator<Part> {
      for (;;) {
        given += 1;
        yield text("");
      }
    };
    expect((await ending(pipe(retry(endless), take(2)))).texts).toEqual(["", ""]);
    expect(given).toBe(1_024);
  });

  test("R2: status parts of attempts after the first say which one they are of", async () => {
    const model = scripted([[status("one"), { throws: down() }], [status("two"), "x", debug("three")]]);
    const { parts } = await ending(retry(model, quick));
    const reserved = parts.filter((part) => part.substream !== "");
    expect(texts(reserved)).toEqual(["one", "two", "three"]);
    expect(reserved.map((part) => part.metadata.attempt)).toEqual([undefined, 2, 2]);
  });

  test("R2: what a failed attempt says afterwards is not heard", async () => {
    let say: ((part: Part) => void) | undefined;
    const late = gate();
    const talker = each(async function* (part) {
      if (say === undefined) {
        say = () => {};
        throw down();
      }
      await late.promise;
      yield part;
    });
    const result = ending(retry(talker, quick));
    await turns();
    late.open();
    expect((await soon(result)).texts).toEqual(["in"]);
  });

  test("an interrupted stage inside, whose parts went no further, is judged by what broke it", async () => {
    const inner = scripted([["x", { throws: new MillraceError("interrupted", "cut", { cause: down() }) }], ["y"]]);
    const gather: Processor = async function* (input) {
      let all = "";
      for await (const part of input) all += texts([part])[0];
      yield text(all);
    };
    expect((await ending(retry(pipe(inner, gather), quick))).texts).toEqual(["y"]);
  });

  test("failures are looked for behind eight that say `interrupted`, and no further", async () => {
    for (const [depth, calls] of [[8, 2], [9, 1]] as const) {
      let error = down();
      for (let i = 0; i < depth; i += 1) error = new MillraceError("interrupted", "cut", { cause: error });
      const model = scripted([[{ throws: error }], ["x"]]);
      await ending(retry(model, quick));
      expect(model.calls).toBe(calls);
    }
  });

  test("a processor that works part by part is one call", async () => {
    let calls = 0;
    const flaky = each((part) => {
      calls += 1;
      if (calls === 1) throw down();
      return part;
    });
    expect((await ending(retry(flaky, quick), ["a", "b"])).texts).toEqual(["a", "b"]);
  });
});

describe("what is retried", () => {
  test.each([
    ["a bug", () => new TypeError("bug")],
    ["a bad part", () => new MillraceError("invalid_input", "bad")],
    ["a refusal", () => new MillraceError("refused", "no")],
    ["a wrong key", () => new MillraceError("unauthorized", "key")],
    ["a spent quota", () => new MillraceError("rate_limited", "quota", { retryable: false })],
    ["a total that ran out", () => new MillraceError("timeout", "late", { phase: "total", retryable: true })],
  ])("E2: %s is not; the very error comes out", async (_, make) => {
    const error = make();
    const model = scripted([[{ throws: error }], ["x"]]);
    const seen = await ending(retry(model, quick));
    expect(seen.error).toBe(error);
    expect(model.calls).toBe(1);
  });

  test("R8: `attempts` counts the first; the last error comes out with how many there were", async () => {
    const errors = [down("1"), down("2"), down("3")];
    const model = scripted(errors.map((error) => [{ throws: error }]));
    const { error } = await ending(retry(model, quick));
    expect(error).toBe(errors[2]);
    expect(error).toMatchObject({ attempts: 3 });
    expect(Object.keys(error as Error)).toContain("attempts"); // logs show it
    expect(model.calls).toBe(3);
    const frozen = Object.freeze(down());
    expect((await ending(retry(scripted([[{ throws: frozen }]]), quick))).error).toBe(frozen);
  });

  test("retryIf decides, and hears the attempt", async () => {
    const heard: unknown[] = [];
    const model = scripted([[{ throws: new TypeError("a") }], [{ throws: new TypeError("b") }], ["x"]]);
    const retryIf = (error: unknown, attempt: number): boolean => {
      heard.push([(error as Error).message, attempt]);
      return attempt < 2;
    };
    expect((await ending(retry(model, { ...quick, retryIf }))).error).toMatchObject({ message: "b" });
    expect(heard).toEqual([["a", 1], ["b", 2]]);
  });

  test("retryIf is not asked behind the last attempt", async () => {
    const heard: number[] = [];
    const retryIf = (_error: unknown, attempt: number): boolean => heard.push(attempt) > 0;
    await ending(retry(scripted([[{ throws: down() }]]), { ...quick, attempts: 2, retryIf }));
    expect(heard).toEqual([1]);
  });

  test("what retryIf throws is the failure", async () => {
    const error = new Error("rule");
    const retryIf = (): boolean => {
      throw error;
    };
    expect((await ending(retry(scripted([[{ throws: down() }]]), { ...quick, retryIf }))).error).toBe(error);
  });

  test("R13: a credential that was renewed gives one more attempt at once, once, outside `attempts`", async () => {
    const refreshed = (): MillraceError => new MillraceError("unauthorized", "expired", { retryable: true });
    const model = scripted([[{ throws: refreshed() }], ["x"]]);
    expect((await ending(retry(model, { attempts: 1 }))).error).toBeUndefined();
    const stubborn = scripted([[{ throws: refreshed() }]]);
    const { error } = await ending(retry(stubborn, { attempts: 3 }));
    expect(error).toMatchObject({ code: "unauthorized", attempts: 2 });
    expect(stubborn.calls).toBe(2);
  });

  test("R7, R13: nor is that attempt made with less than a second of the total left; onRetry hears of it where it is", async () => {
    const clock = fakeClock();
    const error = new MillraceError("unauthorized", "expired", { retryable: true });
    for (const [totalMs, calls] of [[2_499, 1], [2_500, 2]] as const) {
      const model = scripted([[{ does: () => clock.sleep(1_500) }, { throws: error }], ["x"]]);
      const heard: unknown[] = [];
      await settled(ending(retry(model, { totalMs, clock, onRetry: (event) => heard.push(event) })), clock, 500);
      expect(model.calls).toBe(calls);
      expect(heard).toEqual(calls === 1 ? [] : [{ attempt: 1, error, delayMs: 0 }]);
    }
  });

  test("onRetry hears which attempt failed, those with a renewed credential included", async () => {
    const heard: unknown[] = [];
    const errors = [down("1"), new MillraceError("unauthorized", "2", { retryable: true }), down("3")];
    const model = scripted([...errors.map((error) => [{ throws: error }]), ["x"]]);
    expect((await ending(retry(model, { ...quick, onRetry: (event) => heard.push(event) }))).texts).toEqual(["x"]);
    expect(heard).toEqual(errors.map((error, i) => ({ attempt: i + 1, error, delayMs: 0 })));
  });

  test("R3: an error of the input is not the processor's: it passes as it is, and nothing is tried again", async () => {
    const error = down("input");
    for (const reads of [0, 1]) {
      const source = watchedSource(["a", "b"], { failAt: reads, error });
      let calls = 0;
      const echo: Processor = async function* (input) {
        calls += 1;
        yield* input;
      };
      const seen = await ending(retry(echo, quick), source);
      expect([seen.error === error, calls, seen.texts.length]).toEqual([true, 1, reads]);
      expect(error.attempts).toBeUndefined(); // nothing is written on what is not the processor's
    }
  });
});

test("R2, R3: where the processor fails by itself behind an input that has failed, its failure comes out, as `interrupted` after content; nothing is tried again", async () => {
  for (const content of [true, false]) {
    const own = down("own");
    let calls = 0;
    const careless: Processor = async function* (input) {
      calls += 1;
      const iterator = input[Symbol.asyncIterator]();
      await iterator.next();
      if (content) yield text("x");
      await iterator.next().catch(() => {});
      throw own;
    };
    const { error } = await ending(retry(careless, quick), watchedSource(["a"], { failAt: 1, error: down("input") }));
    if (content) expect(error).toMatchObject({ code: "interrupted", cause: own, partial: { text: "x" }, attempts: 1 });
    else expect(error).toBe(own);
    expect(calls).toBe(1);
  }
});

describe("R3: replay", () => {
  test("a replay gives the recorded parts, then goes on with the live input", async () => {
    const more = gate();
    const source = watchedSource(["a", "b", "c"], { wait: (index) => (index === 2 ? more.promise : undefined) });
    let calls = 0;
    // the first attempt hands on nothing: it gathers
    const gather: Processor = async function* (input) {
      calls += 1;
      const all: Part[] = [];
      for await (const part of input) {
        all.push(part);
        if (calls === 1 && all.length === 2) throw down();
      }
      yield* all;
    };
    const result = ending(retry(gather, quick), source);
    await turns();
    more.open();
    expect((await soon(result)).texts).toEqual(["a", "b", "c"]);
    expect([source.opened, source.pulls, source.mostInFlight]).toEqual([1, 4, 1]);
  });

  test("a read that the failed attempt left pending is the next attempt's", async () => {
    const more = gate();
    const source = watchedSource(["a"], { wait: () => more.promise });
    let calls = 0;
    const processor: Processor = async function* (input) {
      calls += 1;
      const iterator = input[Symbol.asyncIterator]();
      const next = iterator.next();
      next.catch(() => {});
      if (calls === 1) throw down();
      const first = await next;
      if (first.done !== true) yield first.value;
    };
    const result = ending(retry(processor, quick), source);
    await turns();
    more.open();
    expect((await soon(result)).texts).toEqual(["a"]);
    expect(source.pulls).toBe(1);
  });

  test("input beyond the limit counts as committed: no further attempt, and the error says so", async () => {
    const cause = down();
    const model = scripted([[{ throws: cause }], ["x"]]);
    const { error } = await ending(retry(model, { ...quick, replayBytes: 67 }), ["ab", "cd"]);
    expect(error).toMatchObject({ code: "interrupted", message: expect.stringContaining("replayBytes (67)"), partial: { parts: 0, text: "" } });
    expect((error as Error).cause).toBe(cause);
    expect(model.calls).toBe(1);
    expect((await ending(retry(scripted([[{ throws: down() }], ["x"]]), { ...quick, replayBytes: 68 }), ["ab", "cd"])).texts).toEqual(["x"]);
  });

  test("beyond the limit, a failure that would not have been retried comes out as it is", async () => {
    const error = new MillraceError("invalid_input", "bad");
    expect((await ending(retry(scripted([[{ throws: error }]]), { ...quick, replayBytes: 0 }), "a")).error).toBe(error);
  });

  test("a credential that was renewed is no use for input beyond the limit", async () => {
    const model = scripted([[{ throws: new MillraceError("unauthorized", "expired", { retryable: true }) }], ["x"]]);
    expect((await ending(retry(model, { replayBytes: 1 }), "ab")).error).toMatchObject({ code: "interrupted", cause: { code: "unauthorized" } });
    expect(model.calls).toBe(1);
  });

  test("parts that are ready and parts that are waited for keep their order, before the commit point and after it", async () => {
    let calls = 0;
    const echo: Processor = async function* (input) {
      calls += 1;
      let read = 0;
      for await (const part of input) {
        read += 1;
        if (calls === 1 && read === 4) throw down();
        if (calls > 1) yield part;
      }
    };
    const split = each((part) => texts([part])[0]?.split("") ?? []);
    const source = watchedSource(["abc", "d", "", "efg", "h"]);
    expect((await ending(pipe(split, retry(echo, quick)), source)).texts.join("")).toBe("abcdefgh");
    expect(source.pulls).toBe(6);
  });

  test("what was recorded is let go at the commit point", async () => {
    const held: WeakRef<object>[] = [];
    const source = async function* (): AsyncGenerator<Part> {
      for (let i = 0; i < 200; i += 1) {
        const part = text(String(i));
        held.push(new WeakRef(part));
        yield part;
      }
    };
    let alive = -1;
    const look = each(async (part) => {
      if (texts([part])[0] === "199" && "gc" in globalThis) {
        await turns(1);
        (globalThis as unknown as { gc(): void }).gc();
        alive = held.filter((ref) => ref.deref() !== undefined).length;
      }
      return part;
    });
    await run(pipe(retry(opaque), look), source()).forEach(() => {});
    if ("gc" in globalThis) expect(alive).toBeLessThan(20);
  });
});

describe("R8 to R10: waits", () => {
  const waits = async (options: RetryOptions, errors: readonly MillraceError[]): Promise<number[]> => {
    const clock = fakeClock();
    const seen: number[] = [];
    const retrying = retry(scripted([...errors.map((error) => [{ throws: error }]), ["x"]]), {
      attempts: errors.length + 1,
      random: () => 1,
      ...options,
      clock,
      onRetry: (event: RetryEvent) => seen.push(event.delayMs),
    });
    await settled(ending(retrying), clock, 100_000);
    expect(clock.pending).toBe(0);
    return seen;
  };

  test("R8: the cap of the jitter doubles up to `maxMs`; base is 1,000 after `rate_limited`", async () => {
    expect(await waits({}, Array.from({ length: 7 }, () => down()))).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000]);
    expect(await waits({}, [new MillraceError("rate_limited", "busy"), new MillraceError("rate_limited", "busy")])).toEqual([1_000, 2_000]);
    expect(await waits({ random: () => 0.25 }, [down(), down()])).toEqual([125, 250]);
  });

  test.each<[Backoff, number[]]>([
    ["linear", [500, 1_000, 1_500]],
    ["constant", [500, 500, 500]],
    ["decorrelated", [500, 1_500, 4_500]],
    [({ attempt, previousMs }) => attempt * 10 + previousMs, [10, 30, 60]],
    [() => 1e9, [20_000, 20_000, 20_000]],
    [() => 0, [0, 0, 0]],
  ])("R8: %s", async (backoff, expected) => {
    expect(await waits({ backoff }, [down(), down(), down()])).toEqual(expected);
  });

  test("R8: without a wait there is no end of attempts", async () => {
    const model = scripted([...Array.from({ length: 1_100 }, () => [{ throws: down() }]), ["x"]]);
    const budget = { take: () => true, success: () => {}, level: Infinity };
    expect((await ending(retry(model, { ...quick, attempts: 2_000, totalMs: 60_000, budget, clock: fakeClock() }))).texts).toEqual(["x"]);
  });

  test("R8: jitter keeps below the cap and reaches all of it", async () => {
    let i = 0;
    const seen = await waits({ random: () => (i++ % 10) / 10, maxMs: 1_000 }, Array.from({ length: 9 }, () => down()));
    expect(Math.max(...seen)).toBeLessThanOrEqual(1_000);
    expect(new Set(seen).size).toBeGreaterThan(6);
  });

  test("R9: a hint is waited for, longer by up to a tenth", async () => {
    const busy = (retryAfterMs: number): MillraceError => new MillraceError("rate_limited", "busy", { retryAfterMs });
    expect(await waits({ random: () => 0 }, [busy(3_000)])).toEqual([3_000]);
    expect(await waits({}, [busy(3_000)])).toEqual([3_300.0000000000005]);
    expect(await waits({}, [busy(0)])).toEqual([0]);
    expect(await waits({ random: () => 0, maxHintMs: 3_000 }, [busy(3_000)])).toEqual([3_000]);
    expect(await waits({ random: () => 0 }, [busy(Number.NaN), busy(-5)])).toEqual([0, 0]);
  });

  test("R9: a hint above `maxHintMs` is not slept: the error comes out with it", async () => {
    const clock = fakeClock();
    const error = new MillraceError("rate_limited", "busy", { retryAfterMs: 60_001 });
    const model = scripted([[{ throws: error }], ["x"]]);
    const seen = await ending(retry(model, { clock }));
    expect(seen.error).toBe(error);
    expect(error).toMatchObject({ retryAfterMs: 60_001, attempts: 1 });
  });

  test("R7, R9: neither a hint nor a wait that leaves less than a second of the total is slept", async () => {
    const clock = fakeClock();
    const busy = new MillraceError("rate_limited", "busy", { retryAfterMs: 4_001 });
    expect((await ending(retry(scripted([[{ throws: busy }], ["x"]]), { clock, totalMs: 5_000, random: () => 0 }))).error).toBe(busy);
    const fits = retry(scripted([[{ throws: new MillraceError("rate_limited", "busy", { retryAfterMs: 4_000 }) }], ["x"]]), { clock, totalMs: 5_000, random: () => 0 });
    expect((await settled(ending(fits), clock, 4_000)).texts).toEqual(["x"]);
    const outer = timeout(retry(scripted([[{ throws: busy }], ["x"]]), { clock, random: () => 0 }), { totalMs: 5_000, clock });
    expect((await ending(outer)).error).toBe(busy);
    expect(clock.pending).toBe(0);
  });

  test("R8: nothing is slept after the last attempt", async () => {
    const clock = fakeClock();
    const retrying = retry(scripted([[{ throws: down() }]]), { attempts: 1, clock });
    expect((await soon(ending(retrying))).error).toMatchObject({ code: "unavailable" });
  });

  test("R10: an abort while it waits rejects at once with the reason, and leaves no timer", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const source = watchedSource(Infinity);
    const failing: Processor = async function* (input) {
      for await (const _ of input) throw down();
    };
    const result = ending(retry(failing, { clock }), source, { signal: controller.signal });
    await turns();
    expect(clock.pending).toBe(1);
    const reason = new Error("stop");
    controller.abort(reason);
    expect((await soon(result)).error).toBe(reason);
    expect([clock.pending, source.closed]).toEqual([0, 1]);
  });

  test("R10: the same where the retry is inside an opaque stage", async () => {
    const clock = fakeClock();
    const controller = new AbortController();
    const inner = retry(scripted([[{ throws: down() }]]), { clock });
    const stage: Processor = async function* (input, context) {
      yield* inner(input, context);
    };
    const result = ending(stage, "a", { signal: controller.signal });
    await turns();
    expect(clock.pending).toBe(1);
    controller.abort("stop");
    expect((await soon(result)).error).toBe("stop");
    await turns();
    expect(clock.pending).toBe(0);
  });

  test("R10: leaving while it waits", async () => {
    const clock = fakeClock();
    const source = watchedSource(Infinity);
    const failing: Processor = async function* (input) {
      for await (const _ of input) throw down();
    };
    const iterator = run(retry(failing, { clock }), source)[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns();
    await soon(Promise.resolve(iterator.return?.()));
    expect(await soon(next)).toEqual({ value: undefined, done: true });
    expect([clock.pending, source.closed]).toEqual([0, 1]);
  });

  test("what onRetry throws is dropped", async () => {
    const onRetry = (): void => {
      throw new Error("listener");
    };
    expect((await ending(retry(scripted([[{ throws: down() }], ["x"]]), { ...quick, onRetry }))).texts).toEqual(["x"]);
  });
});

describe("R11, R12: one layer, within a budget", () => {
  test("R11: without budget the failure stands", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 1, clock });
    const model = scripted([[{ throws: down() }]]);
    expect((await ending(retry(model, { ...quick, budget, clock }))).error).toMatchObject({ attempts: 2 });
    expect(model.calls).toBe(2);
    expect((await ending(retry(model, { ...quick, budget, clock }))).error).toMatchObject({ attempts: 1 });
    expect(model.calls).toBe(3);
  });

  test("R11: each success earns 0.15, each second 0.1, up to the capacity", async () => {
    const clock = fakeClock();
    const budget = retryBudget({ start: 0, capacity: 2, clock });
    expect(budget.take()).toBe(false);
    for (let call = 0; call < 6; call += 1) await ending(retry(scripted([["x"]]), { budget, clock }));
    expect(budget.level).toBeCloseTo(0.9);
    await clock.advance(1_000);
    expect(budget.take()).toBe(true);
    await clock.advance(2_000);
    expect(budget.level).toBeCloseTo(0.2);
    await clock.advance(3_600_000);
    expect(budget.level).toBe(2);
  });

  test("R12: a retry within a retry makes one attempt, also within an opaque stage", async () => {
    for (const wrap of [(p: Processor) => p, (p: Processor): Processor => async function* (input, context) { yield* p(input, context); }]) {
      const model = scripted([[{ throws: down() }]]);
      const { error } = await ending(retry(pipe(opaque, wrap(retry(model, { ...quick, attempts: 5 }))), { ...quick, attempts: 3 }));
      expect(model.calls).toBe(3);
      expect(error).toMatchObject({ code: "unavailable", attempts: 3 });
    }
    const clock = fakeClock();
    const [outer, inner] = [retryBudget({ start: 0, perSuccess: 1, perSecond: 0, clock }), retryBudget({ start: 0, perSuccess: 1, perSecond: 0, clock })];
    await ending(retry(retry(scripted([["x"]]), { budget: inner }), { budget: outer }));
    expect([outer.level, inner.level]).toEqual([1, 0]);
  });

  test.each(["capacity", "start", "perSuccess", "perSecond"])("a budget's %s is a number from 0", (name) => {
    for (const value of [-1, Number.NaN, Infinity, "1" as never]) {
      expect(() => retryBudget({ [name]: value })).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(`retryBudget: ${name} must be a number from 0`) }));
    }
    expect(() => retryBudget({ [name]: 0 })).not.toThrow();
  });

  test("R14: the attempts of one call have one key, calls have different ones", async () => {
    const keys: unknown[] = [];
    const model: Processor = async function* (_input, context) {
      keys.push((context as unknown as Scope).limits.key?.());
      if (keys.length % 2 === 1) throw down();
      yield text("x");
    };
    const retrying = retry(model, quick);
    await ending(retrying);
    await ending(retrying);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect([keys[0] === keys[1], keys[2] === keys[3], keys[0] === keys[2]]).toEqual([true, true, false]);
  });
});

describe("R4: after the commit point", () => {
  test("`buffer` hands on nothing before the end, so that every failure can be retried, also one that says `interrupted`", async () => {
    const model = scripted([["x", toolCall({ id: "1", name: "n", arguments: {} }), { throws: new MillraceError("interrupted", "cut", { cause: down() }) }], ["y", "z"]]);
    expect((await ending(retry(model, { ...quick, afterCommit: "buffer" }))).texts).toEqual(["y", "z"]);
  });

  test("`buffer` hands on what is larger than `bufferBytes`; then a failure is `interrupted`", async () => {
    const model = scripted([["abcd", "e", { throws: down() }], ["y"]]);
    const { texts: seen, error } = await ending(retry(model, { ...quick, afterCommit: "buffer", bufferBytes: 36 }));
    expect(seen).toEqual(["abcd", "e"]);
    expect(isMillraceError(error, "interrupted")).toBe(true);
    expect(model.calls).toBe(1);
  });

  test("`buffer` does not hold back parts without content for ever", async () => {
    const endless = async function* (): AsyncGenerator<Part> {
      for (;;) yield text("");
    };
    expect((await ending(pipe(retry(endless, { ...quick, afterCommit: "buffer", bufferBytes: 10_000 }), take(2)))).texts).toEqual(["", ""]);
  });

  test("`buffer` holds back as much as `bufferBytes`", async () => {
    const model = scripted([["abcd", { throws: down() }], ["y"]]);
    expect((await ending(retry(model, { ...quick, afterCommit: "buffer", bufferBytes: 36 }))).texts).toEqual(["y"]);
  });

  test("`restart` is refused at the first pull where what leaves is final", async () => {
    const into = (final: boolean): Processor => {
      const restarting = retry(scripted([["x"]]), { afterCommit: "restart" });
      return processorOf([{ kind: "flow", name: "sink", open: (upstream, scope) => new Attempt(restarting, upstream, scope, { number: 1, limits: { final } }).flow }]);
    };
    expect((await ending(into(true))).error).toMatchObject({ code: "missing_config" });
    expect((await ending(into(false))).texts).toEqual(["x"]);
  });

  test("`restart` takes back what was handed on, and begins anew", async () => {
    const model = scripted([["x", { throws: down() }], [{ throws: down() }], ["y", "z"]]);
    const restarting = retry(model, { ...quick, afterCommit: "restart" });
    const { parts } = await ending(restarting, ["a", "b"]);
    expect(parts.map((part) => (part.kind === "json" ? [part.mimeType, part.value] : texts([part])[0]))).toEqual([
      "x",
      ["application/vnd.millrace.reset+json", { epoch: 1 }],
      "y",
      "z",
    ]);
    expect(model.read).toEqual([["a", "b"], ["a", "b"], ["a", "b"]]);
  });

  test("`text()`, `json()` and `collect()` drop what was taken back", async () => {
    const make = (): Processor => retry(scripted([[status("s"), "12", { throws: down() }], ["3"]]), { ...quick, afterCommit: "restart" });
    expect(await run(make(), "a").text()).toBe("3");
    expect(await run(make(), "a").json()).toBe(3);
    expect(texts(await run(make(), "a").collect())).toEqual(["s", "3"]);
    const values = retry(scripted([[json(1), { throws: down() }], [json(2)]]), { ...quick, afterCommit: "restart" });
    expect(await run(values, "a").json()).toBe(2);
  });

  test("`restart` that fails for good is `interrupted` with what stands", async () => {
    const model = scripted([["x", { throws: down() }], ["y", { throws: down() }], [{ throws: down("last") }]]);
    const { texts: seen, error } = await ending(retry(model, { ...quick, afterCommit: "restart" }));
    expect(seen).toEqual(["x", "json", "y"]);
    expect(error).toMatchObject({ code: "interrupted", partial: { parts: 1, text: "y" }, attempts: 3 });
  });

  test("`partial` holds all of a long answer, and nothing of what was taken back", async () => {
    const long = Array.from({ length: 200 }, (_, i) => `${i} `);
    const { error } = await ending(retry(scripted([[...long, { throws: down() }]]), quick));
    expect(error).toMatchObject({ partial: { parts: 200, text: long.join("") } });
    const restarted = await ending(retry(scripted([[...long, { throws: down() }], ["x", { throws: down() }]]), { ...quick, attempts: 2, afterCommit: "restart" }));
    expect(restarted.error).toMatchObject({ partial: { parts: 1, text: "x" } });
  });

  test("`partial` says nothing of the usage of what was taken back, and holds a mebibyte of text at most", async () => {
    const counted = finish({ reason: "stop", usage: { outputTokens: 2 } });
    const { error } = await ending(retry(scripted([["x", counted, { throws: down() }], ["y", { throws: down() }]]), { ...quick, attempts: 2, afterCommit: "restart" }));
    expect((error as MillraceError).partial).toEqual({ parts: 1, text: "y" });
    const long = await ending(retry(scripted([[...Array.from({ length: 200 }, () => "x".repeat(16_384)), { throws: down() }]]), quick));
    const { partial } = long.error as MillraceError;
    expect([partial?.parts, partial?.text.length]).toEqual([200, 1_048_576]);
  });

  test("`restart` is none once a tool call was handed on", async () => {
    const model = scripted([[toolCall({ id: "1", name: "n", arguments: {} }), { throws: down() }], ["y"]]);
    expect((await ending(retry(model, { ...quick, afterCommit: "restart" }))).error).toMatchObject({ code: "interrupted" });
    expect(model.calls).toBe(1);
  });

  const numbered = (from: number, to: number): Part[] => Array.from({ length: to - from + 1 }, (_, i) => text(String(from + i), { metadata: { at: from + i } }));
  const resuming = (first: readonly Part[], rests: readonly (readonly (Part | { readonly throws: unknown })[])[]) => {
    const cursors: unknown[] = [];
    const model = scripted([[...first, { throws: down() }]]);
    const processor = resumable(model, {
      numberOf: (part) => (typeof part.metadata.at === "number" ? part.metadata.at : undefined),
      async *resume(last) {
        cursors.push(last.metadata.at);
        for (const act of rests[cursors.length - 1] ?? []) {
          if ("throws" in act) throw act.throws;
          yield act;
        }
      },
    });
    return { cursors, processor: retry(processor, { ...quick, afterCommit: "resume", attempts: 5 }) };
  };

  test("`resume` goes on behind the last part; what comes twice is dropped", async () => {
    const { cursors, processor } = resuming(numbered(1, 3), [[...numbered(2, 5), { throws: down() }], [{ throws: down() }], [...numbered(6, 7), finish({ reason: "stop" })]]);
    expect((await ending(processor)).texts).toEqual(["1", "2", "3", "4", "5", "6", "7", "finish"]);
    expect(cursors).toEqual([3, 5, 5]);
  });

  test("`resume` with a hole fails", async () => {
    const { processor } = resuming(numbered(1, 3), [numbered(5, 6)]);
    const { texts: seen, error } = await ending(processor);
    expect(seen).toEqual(["1", "2", "3"]);
    expect(error).toMatchObject({ code: "interrupted", partial: { parts: 3 }, cause: { code: "bad_response" } });
  });

  test("`resume` before the first part is a new attempt", async () => {
    const model = resumable(scripted([[{ throws: down() }], ["x"]]), { numberOf: () => undefined, resume: async function* () {} });
    expect((await ending(retry(model, { ...quick, afterCommit: "resume" }))).texts).toEqual(["x"]);
  });

  test("`resume` of a processor that cannot is refused at construction", () => {
    expect(() => retry(opaque, { afterCommit: "resume" })).toThrow(/retry: afterCommit "resume" needs a processor that can be resumed, got opaque/);
  });
});

describe("leaving", () => {
  test("nothing runs before the first pull", async () => {
    const source = watchedSource(["a"]);
    const model = scripted([["x"]]);
    run(retry(model), source);
    await turns();
    expect([source.opened, model.calls]).toEqual([0, 0]);
  });

  test("S19: break closes the attempt and the source", async () => {
    const source = watchedSource(Infinity);
    for await (const _part of run(retry(opaque), source)) break;
    expect(source.closed).toBe(1);
  });

  test("S39: a processor that stops early has its input closed, once it has committed", async () => {
    const source = watchedSource(Infinity);
    expect((await ending(retry(take(2)), source)).texts).toEqual(["0", "1"]);
    expect([source.pulls, source.closed]).toEqual([2, 1]);
  });

  test("S19: the end waits for the finally of an input that was not read to its end", async () => {
    let finished = false;
    async function* source(): AsyncGenerator<Part> {
      try {
        for (;;) yield text("a");
      } finally {
        await turns(2);
        finished = true;
      }
    }
    const first: Processor = async function* (input) {
      for await (const part of input) {
        yield part;
        return;
      }
    };
    for (const stage of [first, take(1)]) {
      finished = false;
      expect((await ending(retry(stage), source())).texts).toEqual(["a"]);
      expect(finished).toBe(true);
    }
  });

  test("S19: so does leaving while the end waits", async () => {
    let finished = false;
    async function* source(): AsyncGenerator<Part> {
      try {
        for (;;) yield text("a");
      } finally {
        await turns(2);
        finished = true;
      }
    }
    const iterator = run(retry(take(1)), source())[Symbol.asyncIterator]();
    await iterator.next();
    const end = iterator.next();
    await Promise.resolve();
    await iterator.return?.();
    expect([finished, await end]).toEqual([true, { value: undefined, done: true }]);
  });

  test("a failed attempt has run its `finally` before the next one begins, and its signal is aborted", async () => {
    const order: string[] = [];
    let calls = 0;
    const model: Processor = async function* (_input, context) {
      calls += 1;
      const call = calls;
      order.push(`begin ${call}`);
      context?.signal.addEventListener("abort", () => order.push(`abort ${call}`));
      try {
        if (call === 1) throw down();
        yield text("x");
      } finally {
        await turns(1);
        order.push(`end ${call}`);
      }
    };
    await ending(retry(model, quick));
    expect(order).toEqual(["begin 1", "end 1", "abort 1", "begin 2", "end 2"]);
  });

  test("what is still at work beside the failure hears of it, and gets 100 ms to unwind before the next attempt", async () => {
    for (const [unwindMs, nextMs] of [[80, 80], [5_000, 100]] as const) {
      const clock = fakeClock();
      const log: string[] = [];
      let calls = 0;
      const fails: Processor = async function* () {
        calls += 1;
        log.push(`begin ${calls} at ${clock.now()}`);
        await turns(1);
        if (calls === 1) throw down();
        yield text("x");
      };
      const busy: Processor = async function* (_input, context) {
        yield* [] as Part[];
        if (calls > 1) return;
        await new Promise((resolve) => context?.signal.addEventListener("abort", resolve));
        await clock.sleep(unwindMs);
        log.push(`unwound at ${clock.now()}`);
      };
      const result = ending(retry(interleave(fails, busy), { ...quick, clock }));
      for (let step = 0; step < 10; step += 1) await clock.advance(20);
      expect((await soon(result)).texts).toEqual(["x"]);
      expect(log).toEqual(["begin 1 at 0", ...(unwindMs < 100 ? ["unwound at 80"] : []), `begin 2 at ${nextMs}`]);
    }
  });

  test("S25: an abort while a part is awaited rejects with the reason, and closes", async () => {
    const source = stalledSource(["a"]);
    const controller = new AbortController();
    const result = ending(retry(opaque), source, { signal: controller.signal });
    await turns();
    controller.abort("stop");
    const seen = await soon(result);
    expect([seen.texts, seen.error, source.closed]).toEqual([["a"], "stop", 1]);
  });

  test("S27: an attempt that answers an abort with a failure is not tried again", async () => {
    const controller = new AbortController();
    const model = scripted([[{ does: (context) => new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(down()))) }], ["x"]]);
    const result = ending(retry(model, quick), "a", { signal: controller.signal });
    await turns();
    controller.abort("stop");
    expect((await soon(result)).error).toBe("stop");
    await turns();
    expect(model.calls).toBe(1);
  });
});

describe("options", () => {
  test.each<[RetryOptions, string]>([
    [{ attempts: 0 }, "attempts"],
    [{ attempts: 1.5 }, "attempts"],
    [{ baseMs: -1 }, "baseMs"],
    [{ maxMs: Number.NaN }, "maxMs"],
    [{ maxHintMs: Infinity }, "maxHintMs"],
    [{ replayBytes: -1 }, "replayBytes"],
    [{ bufferBytes: 0.5 }, "bufferBytes"],
    [{ backoff: "quadratic" as never }, "backoff"],
    [{ backoff: "toString" as never }, "backoff"],
    [{ afterCommit: "continue" as never }, "afterCommit"],
    [{ retryIf: true as never }, "retryIf"],
    [{ budget: {} as never }, "budget"],
    [{ budget: null as never }, "budget"],
    [{ budget: 10 as never }, "budget"],
    [{ budget: { take: () => true } as never }, "budget"],
    [{ budget: { take: () => true, success: true } as never }, "budget"],
    [{ budget: { take: true, success: () => {} } as never }, "budget"],
  ])("%o is refused by name", (options, name) => {
    expect(() => retry(opaque, options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(`retry: ${name} must be`) }));
  });

  test("a processor must be one", () => {
    expect(() => retry("x" as never)).toThrow(/retry: argument 1 must be a processor/);
  });

  test("a backoff function must give milliseconds", async () => {
    for (const bad of [Number.NaN, -1, "5" as never]) {
      const { error } = await ending(retry(scripted([[{ throws: down() }], ["x"]]), { backoff: () => bad }));
      expect(error).toMatchObject({ code: "invalid_input", message: `retry: the result of backoff must be a number of milliseconds, got ${received(bad)}` });
    }
  });
});
