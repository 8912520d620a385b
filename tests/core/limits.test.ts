import { describe, expect, test } from "vitest";
import { hasTime, noLimits } from "../../src/core/limits.ts";
import { Scope } from "../../src/core/scope.ts";
import { text } from "../../src/index.ts";

const root = (): Scope => new Scope({}, { emit: () => {} });

describe("limits of a scope", () => {
  test("a scope has those of the scope around it, beside its own", () => {
    const leftMs = (): number => 5;
    const outer = root().child(undefined, { limits: { leftMs } });
    const inner = outer.child().child(undefined, { limits: { final: true } });
    expect(inner.child().limits).toEqual({ leftMs, final: true });
    expect(outer.limits).toEqual({ leftMs });
    expect(root().child().limits).toBe(noLimits);
  });

  test("R7: there is time for an attempt while a second is left", () => {
    expect([hasTime(noLimits, 1e9), hasTime({ leftMs: () => 1_000 }), hasTime({ leftMs: () => 999 }), hasTime({ leftMs: () => 1_500 }, 501)]).toEqual([true, true, false, false]);
  });
});

describe("what else a scope may have of its own", () => {
  test("an output, for all inside", () => {
    const heard: string[] = [];
    const output = (name: string) => ({ emit: () => void heard.push(name) });
    const outer = new Scope({}, output("run"));
    const inner = outer.child(undefined, { output: output("own") });
    outer.emit(text("a"));
    inner.child().emit(text("a"));
    expect(heard).toEqual(["run", "own"]);
  });

  test("somebody to wait for what is busy when it is left, for all inside", () => {
    const heard: unknown[] = [];
    const rest = Promise.resolve();
    root().unwinding(rest);
    root().child(undefined, { unwinding: (promise) => heard.push(promise) }).child().unwinding(rest);
    expect(heard).toEqual([rest]);
  });
});
