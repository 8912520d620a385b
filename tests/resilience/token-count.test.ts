import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/index.ts";
import { addCounts, countsOf, limitedFor } from "../../src/resilience/admission/token-count.ts";

describe("what services say of tokens", () => {
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
