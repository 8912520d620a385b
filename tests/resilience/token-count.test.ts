import { describe, expect, test } from "vitest";
import { image, json, MillraceError, text, toolCall, toolResult, uri } from "../../src/index.ts";
import { addCounts, countsOf, inputTokensOf, limitedFor, outputTokensOf } from "../../src/resilience/admission/token-count.ts";

describe("tokens of parts, roughly", () => {
  test("of text by its bytes and some for the part, of media a lump", () => {
    expect([text(""), text("x".repeat(400)), text("ä".repeat(200)), json({ a: "b" }), image(new Uint8Array(2_000_000)), uri("https://x/y.png", "image/png")].map(inputTokensOf)).toEqual([4, 104, 104, 4 + 9 / 4, 1_000, 1_000]);
  });

  test("of what came out by the letters, a token each for CJK", () => {
    expect([text(""), text("x".repeat(8)), text("東京都"), toolCall({ id: "1", name: "f", arguments: {} }), json({ a: "b" }), image(new Uint8Array(9))].map(outputTokensOf)).toEqual([0, 2, 3, 0.5, 9 / 4, 0]);
  });

  test("what a tool gave was not made by the model, however long it is", () => {
    expect(outputTokensOf(toolResult({ id: "1", name: "f", result: "x".repeat(4_000) }))).toBe(0);
  });

  test("what a service counted: sums, and nonsense is unknown", () => {
    expect(countsOf({ inputTokens: 3, outputTokens: NaN })).toEqual({ inputTokens: 3, outputTokens: undefined });
    expect(countsOf({ inputTokens: 0, outputTokens: 0 })).toEqual({ inputTokens: 0, outputTokens: 0 }); // nothing is a number too
    for (const usage of [undefined, null, 5, { inputTokens: "3", outputTokens: -1 }, { inputTokens: Infinity }]) expect(countsOf(usage)).toEqual({ inputTokens: undefined, outputTokens: undefined });
    expect(addCounts({ inputTokens: 1, outputTokens: undefined }, { inputTokens: 2, outputTokens: 5 })).toEqual({ inputTokens: 3, outputTokens: 5 });
    expect(addCounts({ inputTokens: 1, outputTokens: undefined }, { inputTokens: undefined, outputTokens: undefined })).toEqual({ inputTokens: 1, outputTokens: undefined });
  });

  test("how long to keep away: what rate_limited says, if it is a time; nothing for a quota or another error", () => {
    const limited = (retryAfterMs: number, retryable = true): MillraceError => new MillraceError("rate_limited", "429", { retryAfterMs, retryable });
    expect([limited(500), limited(-1), limited(NaN), limited(Infinity), limited(500, false), new MillraceError("unavailable", "503", { retryAfterMs: 500 }), "E"].map(limitedFor)).toEqual([500, 0, 0, 0, undefined, undefined, undefined]);
  });
});
