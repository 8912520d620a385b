import { describe, expect, test } from "vitest";
import { each, finish, MillraceError, type Part, pipe, type Processor, run, status, text, toolCall } from "../../src/index.ts";
import { processorOf } from "../../src/core/pipeline.ts";
import { Attempt } from "../../src/resilience/attempts/attempt.ts";
import { fallback } from "../../src/resilience/fallback.ts";
import { retry } from "../../src/resilience/retry.ts";
import { timeout } from "../../src/resilience/timeout.ts";
import { fakeClock, watchedSource } from "../../src/testing/index.ts";
import { opaque, soon, turns } from "../streams/support.ts";
import { down, ending, scripted, settled, texts } from "./support.ts";

const failing = (error: unknown): ReturnType<typeof scripted> => scripted([[{ throws: error }]]);

describe("who answers", () => {
  test("R2: the next one where one fails before content; each gets the same input, read once", async () => {
    const first = failing(down());
    const second = failing(down());
    const third = scripted([["x", "y"]]);
    const source = watchedSource(["a", "b"]);
    expect((await ending(fallback(first, second, third), source)).texts).toEqual(["x", "y"]);
    expect([first.read, second.read, third.read]).toEqual([[["a", "b"]], [["a", "b"]], [["a", "b"]]]);
    expect([source.opened, source.pulls, source.closed]).toEqual([1, 3, 0]);
  });

  test("the primary alone, where it does not fail: its parts are the very objects", async () => {
    const parts = [text("x"), finish({ reason: "stop" })];
    const other = scripted([["y"]]);
    const seen = (await ending(fallback(scripted([parts]), other))).parts;
    expect(seen.length).toBe(2);
    expect(seen.every((part, i) => part === parts[i])).toBe(true);
    expect(other.calls).toBe(0);
  });

  test("what a fallback answers says so, and changes no part", async () => {
    const part = text("x", { metadata: { openai: { id: "1" } } });
    const backup = scripted([[part, finish({ reason: "stop" })]]);
    Object.defineProperty(backup, "name", { value: "backup" });
    const { parts } = await ending(fallback(failing(down()), backup));
    expect(parts.map((seen) => seen.metadata)).toEqual([{ openai: { id: "1" }, fallback: { index: 1, service: "backup" } }, { fallback: { index: 1, service: "backup" } }]);
    expect(part.metadata).toEqual({ openai: { id: "1" } });
    const named = await ending(fallback(failing(down()), failing(down()), { processor: pipe(each((it) => it), opaque), name: "local" }));
    expect(named.parts[0]?.metadata.fallback).toEqual({ index: 2, service: "local" });
    const unnamed = await ending(fallback(failing(down()), pipe(each((it) => it), opaque)));
    expect(unnamed.parts[0]?.metadata.fallback).toEqual({ index: 1, service: "each, opaque" });
  });

  test.each([
    ["retryable", () => new MillraceError("timeout", "late", { phase: "firstPart" }), true],
    ["a circuit that is open", () => new MillraceError("circuit_open", "open"), true],
    ["a wrong key", () => new MillraceError("unauthorized", "key"), true],
    ["a spent quota", () => new MillraceError("rate_limited", "quota", { retryable: false }), true],
    ["a bad part", () => new MillraceError("invalid_input", "bad"), false],
    ["a bad part that claims to be an outage", () => new MillraceError("invalid_input", "bad", { scope: "dependency" }), false],
    ["a refusal", () => new MillraceError("refused", "no"), false],
    ["a missing key", () => new MillraceError("missing_config", "no key"), false],
    ["a total that ran out", () => new MillraceError("timeout", "late", { phase: "total", retryable: false }), false],
    ["what is wrong in this process, though it claims to pass", () => new MillraceError("unavailable", "x", { scope: "process" }), false],
    ["a bug", () => new TypeError("bug"), false],
  ])("R4: falls back, or not, on %s", async (_, make, falls) => {
    const error = make();
    const { error: seen, texts: answer } = await ending(fallback(failing(error), scripted([["x"]])));
    expect(answer).toEqual(falls ? ["x"] : []);
    expect(seen).toBe(falls ? undefined : error);
  });

  test("`when` decides for all, a target's own for that target", async () => {
    const bug = new TypeError("bug");
    expect((await ending(fallback(failing(bug), scripted([["x"]]), { when: (error) => error === bug }))).texts).toEqual(["x"]);
    const error = down();
    const skipped = scripted([["skipped"]]);
    const seen: unknown[] = [];
    const never = { processor: skipped, when: (it: unknown) => (seen.push(it), false) };
    expect((await ending(fallback(failing(error), never, scripted([["x"]])))).texts).toEqual(["x"]);
    expect([skipped.calls, seen]).toEqual([0, [error]]);
  });

  test("when all fail, the last error is thrown, caused by all", async () => {
    const errors = [down("1"), new MillraceError("rate_limited", "2", { retryAfterMs: 5, service: "s" }), new MillraceError("unavailable", "3", { status: 503, retryAfterMs: 7 })];
    const { error } = await ending(fallback(...(errors.map(failing) as unknown as [Processor])));
    expect(error).toMatchObject({ code: "unavailable", message: "3", status: 503, retryAfterMs: 7 });
    expect(((error as Error).cause as AggregateError).errors).toEqual(errors);
    expect(((error as Error).cause as AggregateError).errors[2]).toBe(errors[2]);
    const alone = down();
    expect((await ending(fallback(failing(alone)))).error).toBe(alone);
    const bug = new TypeError("bug");
    expect((await ending(fallback(failing(down()), failing(bug)))).error).toBe(bug);
  });

  test("R2: after content, a failure is `interrupted`; nobody else is asked", async () => {
    const other = scripted([["y"]]);
    const { texts: seen, error } = await ending(fallback(scripted([["x", { throws: down() }]]), other));
    expect([seen, other.calls]).toEqual([["x"], 0]);
    expect(error).toMatchObject({ code: "interrupted", message: "fallback: broke off after 1 parts: down", partial: { parts: 1, text: "x" } });
  });

  test("R4: `restart` takes back half an answer and has the next one answer; not after a tool call", async () => {
    const restarting = fallback(scripted([["x", { throws: down() }]]), scripted([["y"]]), { afterCommit: "restart" });
    expect((await ending(restarting)).texts).toEqual(["x", "json", "y"]);
    expect(await run(restarting, "a").text()).toBe("y");
    const acted = fallback(scripted([[toolCall({ id: "1", name: "n", arguments: {} }), { throws: down() }]]), scripted([["y"]]), { afterCommit: "restart" });
    expect((await ending(acted)).error).toMatchObject({ code: "interrupted" });
  });

  test("R4: `restart` is refused at the first pull where what leaves is final", async () => {
    const into = (final: boolean): Processor => {
      const restarting = fallback(scripted([["x"]]), scripted([["y"]]), { afterCommit: "restart" });
      return processorOf([{ kind: "flow", name: "sink", open: (upstream, scope) => new Attempt(restarting, upstream, scope, { number: 1, limits: { final } }).flow }]);
    };
    expect((await ending(into(true))).error).toMatchObject({ code: "missing_config", message: expect.stringContaining('fallback: afterCommit "restart"') });
    expect((await ending(into(false))).texts).toEqual(["x"]);
  });

  test("R4: `buffer` hands on whole answers only", async () => {
    expect((await ending(fallback(scripted([["x", { throws: down() }]]), scripted([["y"]]), { afterCommit: "buffer" }))).texts).toEqual(["y"]);
  });

  test("R3: an error of the input is nobody's failure", async () => {
    const error = down();
    const other = scripted([["y"]]);
    expect((await ending(fallback(opaque, other), watchedSource(["a"], { failAt: 0, error }))).error).toBe(error);
    expect(other.calls).toBe(0);
  });

  test("R3: input beyond the limit leaves nobody to fall back on", async () => {
    const { error } = await ending(fallback(failing(down()), scripted([["y"]]), { replayBytes: 1 }), "ab");
    expect(error).toMatchObject({ code: "interrupted", message: expect.stringContaining("fallback: the input is larger than replayBytes (1)") });
  });

  test("status parts of a fallback say which attempt they are of", async () => {
    const { parts } = await ending(fallback(scripted([[status("one"), { throws: down() }]]), scripted([[status("two"), "x"]])));
    expect(parts.map((part) => part.metadata)).toEqual([{}, { attempt: 2 }, { fallback: { index: 1, service: expect.any(String) } }]);
  });
});

describe("with others", () => {
  test("S27: an abort is no reason to ask the next one", async () => {
    const controller = new AbortController();
    const other = scripted([["y"]]);
    const parked = scripted([[{ does: (context) => new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(down()))) }]]);
    const result = ending(fallback(parked, other), "a", { signal: controller.signal });
    await turns();
    controller.abort("stop");
    expect((await soon(result)).error).toBe("stop");
    await turns();
    expect([other.calls, parked.closed]).toEqual([0, 1]);
  });

  test("each target has a fresh timeout and its own retries; an outer total holds for all", async () => {
    const clock = fakeClock();
    const never = { waits: new Promise<never>(() => {}) };
    const slow = scripted([[never]]);
    const quick = scripted([[never], ["x"]]);
    const make = (processor: Processor): Processor => retry(timeout(processor, { firstPartMs: 1_000, clock }), { attempts: 2, clock, random: () => 0 });
    const source = watchedSource(["a", "b"]);
    expect((await settled(ending(fallback(make(slow), make(quick), { clock }), source), clock, 100)).texts).toEqual(["x"]);
    expect([slow.calls, quick.calls, source.opened, source.pulls, clock.pending]).toEqual([2, 2, 1, 3, 0]);
    const late = scripted([["y"]]);
    const { error } = await settled(ending(timeout(fallback(make(scripted([[never]])), late, { clock }), { totalMs: 2_500, clock })), clock, 100);
    expect(error).toMatchObject({ code: "timeout", phase: "firstPart" });
    expect(late.calls).toBe(0); // 300 ms were left
  });

  test("leaving closes the one that answers, and the input", async () => {
    const source = watchedSource(Infinity);
    const first = failing(down());
    const reads: Processor = async function* (input) {
      for await (const part of input) yield part;
    };
    const quickly: Processor = async function* () {
      yield* [] as Part[];
      throw down();
    };
    for await (const part of run(fallback(quickly, reads), source)) {
      expect(texts([part])).toEqual(["0"]);
      break;
    }
    expect([source.closed, first.calls]).toEqual([1, 0]);
  });
});

describe("options", () => {
  test("what is no processor is refused by its place, options by name", () => {
    expect(() => fallback("x" as never)).toThrow(/fallback: argument 1 must be a processor, or an object with one, got "x"/);
    expect(() => fallback(opaque, null as never)).toThrow(/fallback: argument 2 must be a processor, or an object with one, got null/);
    expect(() => fallback(opaque, { processor: 5 } as never)).toThrow(/fallback: argument 2 must be/);
    expect(() => fallback(opaque, {}, opaque)).toThrow(/fallback: argument 2 must be/);
    expect(() => fallback(opaque, { processor: opaque, when: 1 } as never)).toThrow(/fallback: when of argument 2 must be a function/);
    expect(() => fallback(opaque, { processor: opaque, name: 1 } as never)).toThrow(/fallback: name of argument 2 must be a string/);
    expect(() => fallback(opaque, { when: 1 } as never)).toThrow(/fallback: when must be a function/);
    expect(() => fallback(opaque, { replayBytes: -1 })).toThrow(/fallback: replayBytes must be/);
    expect(() => fallback(opaque, { afterCommit: "resume" as never })).toThrow(/fallback: afterCommit must be/);
  });
});
