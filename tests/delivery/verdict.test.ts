import { describe, expect, test } from "vitest";
import { type ErrorCode, errorCodes, MillraceError } from "../../src/index.ts";
import { askedMs, verdictOn } from "../../src/delivery/verdict.ts";

/** Reliability E2, line by line. */
const verdicts: Readonly<Record<ErrorCode, string>> = {
  invalid_input: "dead-letter",
  too_large: "dead-letter",
  refused: "dead-letter",
  no_route: "dead-letter",
  tool_failed: "dead-letter",
  not_found: "dead-letter",
  conflict: "dead-letter",
  interrupted: "redeliver",
  truncated: "redeliver",
  bad_response: "redeliver",
  timeout: "redeliver",
  unauthorized: "pause",
  rate_limited: "pause",
  unavailable: "pause",
  circuit_open: "pause",
  missing_config: "stop",
  closed: "stop",
};

describe("what an error means for its delivery", () => {
  for (const code of errorCodes) test(`${code}: ${verdicts[code]}`, () => expect(verdictOn(new MillraceError(code, "m"))).toBe(verdicts[code]));

  test("the scope decides where it differs from the code's own, and a conflict that may go away is tried again", () => {
    expect(verdictOn(new MillraceError("not_found", "no such model", { scope: "dependency" }))).toBe("pause");
    expect(verdictOn(new MillraceError("timeout", "connect", { scope: "dependency" }))).toBe("pause");
    expect(verdictOn(new MillraceError("bad_response", "m", { scope: "part" }))).toBe("dead-letter");
    expect(verdictOn(new MillraceError("conflict", "40001", { retryable: true }))).toBe("redeliver");
  });

  test("what is not ours is a bug, and tried again", () => {
    for (const error of [new TypeError("x"), "text", undefined, new DOMException("x", "AbortError")]) expect(verdictOn(error)).toBe("redeliver");
  });
});

test("what a service asks for is heard up to an hour, and no nonsense", () => {
  const asked = (retryAfterMs: number): number | undefined => askedMs(new MillraceError("rate_limited", "m", { retryAfterMs }));
  expect([asked(0), asked(7.5), asked(1e12), asked(Infinity), asked(-1), asked(NaN)]).toEqual([0, 7.5, 3_600_000, 3_600_000, undefined, undefined]);
  expect([askedMs(new MillraceError("rate_limited", "m")), askedMs({ retryAfterMs: 5 })]).toEqual([undefined, undefined]);
});
