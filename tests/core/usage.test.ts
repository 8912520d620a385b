import { expect, test } from "vitest";
import { sumOfUsage } from "../../src/core/usage.ts";

test("sums what is known, share by share; what nobody knows stays unknown", () => {
  expect(sumOfUsage([])).toEqual({});
  expect(sumOfUsage([{ inputTokens: 1, outputTokens: 0 }, { inputTokens: 2, reasoningTokens: 4 }, { cacheReadTokens: 5, cacheWriteTokens: 6 }])).toEqual({ inputTokens: 3, outputTokens: 0, reasoningTokens: 4, cacheReadTokens: 5, cacheWriteTokens: 6 });
});

test("leaves out what is no count, and fields that are none", () => {
  expect(sumOfUsage([undefined, null, 5, { inputTokens: -1, outputTokens: NaN }, { inputTokens: "3", outputTokens: Infinity }, { partial: true, inputTokens: 2 }])).toEqual({ inputTokens: 2 });
});
