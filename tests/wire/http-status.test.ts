import { describe, expect, test } from "vitest";
import { codeOfStatus } from "../../src/wire/http-status.ts";

/** E4, line by line; what it names by "any not named here" is filled in below. */
const named: ReadonlyMap<number, string> = new Map([
  [400, "invalid_input"],
  [415, "invalid_input"],
  [416, "invalid_input"],
  [422, "invalid_input"],
  [428, "invalid_input"],
  [401, "unauthorized"],
  [402, "unauthorized"],
  [403, "unauthorized"],
  [407, "unauthorized"],
  [404, "not_found"],
  [410, "not_found"],
  [408, "timeout"],
  [409, "conflict"],
  [412, "conflict"],
  [423, "conflict"],
  [413, "too_large"],
  [414, "too_large"],
  [431, "too_large"],
  [425, "unavailable"],
  [429, "rate_limited"],
  [451, "refused"],
  [405, "missing_config"],
  [501, "missing_config"],
  [505, "missing_config"],
]);

const ranges: readonly (readonly [from: number, to: number, code: string])[] = [
  [300, 399, "bad_response"],
  [400, 499, "invalid_input"],
  [500, 599, "unavailable"],
];

describe("E4: a status that is no success", () => {
  test.each([...named])("%i is %s", (status, code) => expect(codeOfStatus(status)).toBe(code));

  test.each(ranges)("from %i to %i it is %s, where it has no line of its own", (from, to, code) => {
    for (let status = from; status <= to; status += 1) expect([status, codeOfStatus(status)]).toEqual([status, named.get(status) ?? code]);
  });

  test.each([0, -1, 99, 100, 199, 200, 204, 299, 600, 999, Number.NaN, Infinity])("%d is no answer that was expected", (status) => {
    expect(codeOfStatus(status)).toBe("bad_response");
  });
});
