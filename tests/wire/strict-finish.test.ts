import { expect, test } from "vitest";
import type { FinishReason } from "../../src/core/part.ts";
import { requireWhole } from "../../src/wire/strict-finish.ts";

test.each<readonly [FinishReason, string | undefined]>([
  ["length", "truncated"],
  ["content_filter", "refused"],
  ["refusal", "refused"],
  ["stop", undefined],
  ["tool_calls", undefined],
  ["pause", undefined],
  ["other", undefined],
])("an answer that ended with %s is %s where whole answers are wanted", (reason, code) => {
  const check = (): void => requireWhole("service", reason, "ITS_WORD");
  if (code === undefined) expect(check).not.toThrow();
  else expect(check).toThrow(expect.objectContaining({ code, service: "service", message: expect.stringContaining("ITS_WORD") as string }) as Error);
});
