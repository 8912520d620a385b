import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { invalidOption, received } from "../../src/core/errors.ts";
import { errorCodes, isMillraceError, MillraceError } from "../../src/index.ts";

describe("E2: what a code means", () => {
  test.each([
    ["invalid_input", "part", false],
    ["too_large", "part", false],
    ["refused", "part", false],
    ["no_route", "part", false],
    ["tool_failed", "part", false],
    ["not_found", "delivery", false],
    ["conflict", "delivery", false],
    ["interrupted", "delivery", false],
    ["truncated", "delivery", true],
    ["bad_response", "delivery", true],
    ["timeout", "delivery", true],
    ["unauthorized", "dependency", false],
    ["rate_limited", "dependency", true],
    ["unavailable", "dependency", true],
    ["circuit_open", "dependency", true],
    ["missing_config", "process", false],
    ["closed", "process", false],
  ] as const)("%s has scope %s, retryable %s", (code, scope, retryable) => {
    expect(new MillraceError(code, "x")).toMatchObject({ code, scope, retryable });
  });

  test("there is no other code", () => expect(errorCodes.length).toBe(17));

  test("the thrower may say otherwise", () => {
    expect(new MillraceError("rate_limited", "quota", { retryable: false, scope: "process" })).toMatchObject({ retryable: false, scope: "process" });
  });
});

describe("E1: one class", () => {
  test("is told by its code, and by another copy of the package", async () => {
    const error = new MillraceError("timeout", "x", { phase: "idle" });
    vi.resetModules();
    const copy = await import("../../src/core/errors.ts");
    expect(copy.MillraceError).not.toBe(MillraceError);
    expect(copy.isMillraceError(error)).toBe(true);
    expect(copy.isMillraceError(error, "timeout")).toBe(true);
    expect(copy.isMillraceError(error, "closed")).toBe(false);
  });

  test("is not taken for one: anything else", () => {
    for (const other of [new Error("x"), { code: "timeout" }, null, undefined, "timeout"]) expect(isMillraceError(other)).toBe(false);
  });

  test("what was delivered, the cause and what failed in cleaning up show in no log by fields", () => {
    const error = new MillraceError("interrupted", "cut", { partial: { parts: 1, text: "an answer" }, cause: new Error("reset"), suppressed: [new Error("x")] });
    expect(error.partial?.text).toBe("an answer");
    expect(Object.keys(error)).not.toContain("partial");
    expect(Object.keys(error)).not.toContain("cause");
    expect(Object.keys(error)).not.toContain("suppressed");
    expect(JSON.stringify(error)).not.toContain("an answer");
    expect(inspect(error)).not.toContain("an answer");
  });

  test("a cause that is undefined is still a cause; without one there is none", () => {
    expect("cause" in new MillraceError("timeout", "x", { cause: undefined })).toBe(true);
    expect("cause" in new MillraceError("timeout", "x")).toBe(false);
  });

  test("fields that were not given are absent, not undefined", () => {
    expect(Object.keys(new MillraceError("timeout", "x")).sort()).toEqual(["code", "retryable", "scope"]);
    const full = { retryAfterMs: 1, status: 429, service: "s", phase: "idle" as const, attempts: 2 };
    expect(new MillraceError("timeout", "x", full)).toMatchObject(full);
  });

  test("its name says what it is", () => expect(String(new MillraceError("timeout", "x"))).toBe("MillraceError: x"));
});

describe("messages quote what was received", () => {
  test.each([
    [null, "null"],
    [undefined, "undefined"],
    ["a", '"a"'],
    [5, "number 5"],
    [true, "boolean true"],
    [1n, "bigint 1"],
    [Symbol("s"), "Symbol(s)"],
    [[1, 2], "an array of 2"],
    [new Uint8Array(3), "3 bytes"],
    [{ a: 1, b: 2 }, "an object with a, b"],
    [{}, "an object without fields"],
    [new Map(), "a Map without fields"],
    [Object.create(null), "an object without fields"],
    [function named() {}, "function named"],
    [() => {}, "function without a name"],
  ])("%s", (value, text) => expect(received(value)).toBe(text));

  test("500 characters at most", () => {
    expect(received("x".repeat(10_000)).length).toBeLessThanOrEqual(501);
    expect(received(Object.fromEntries([["k".repeat(10_000), 1]])).length).toBeLessThanOrEqual(501);
    expect(invalidOption("who", "what", "a thing", "y".repeat(10_000)).message.length).toBeLessThan(600);
  });
});
