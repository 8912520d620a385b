import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { meaningOfSqlState } from "../../src/wire/sqlstate.ts";

/** As an error of ours has it, defaults filled in. */
function meant(state: string): readonly [code: string, scope: string, retryable: boolean] {
  const { code, details } = meaningOfSqlState(state);
  const error = new MillraceError(code, "x", details);
  return [error.code, error.scope, error.retryable];
}

describe("E4: a SQLSTATE", () => {
  test.each([
    // connection, resources, shutdown
    ["08000", "unavailable", "dependency", true],
    ["08003", "unavailable", "dependency", true],
    ["08006", "unavailable", "dependency", true],
    ["08P01", "unavailable", "dependency", true],
    ["53000", "unavailable", "dependency", true],
    ["53100", "unavailable", "dependency", true],
    ["53200", "unavailable", "dependency", true],
    ["53300", "unavailable", "dependency", true],
    ["57P01", "unavailable", "dependency", true],
    ["57P02", "unavailable", "dependency", true],
    ["57P03", "unavailable", "dependency", true],
    ["57P04", "unavailable", "dependency", true],
    ["57P05", "unavailable", "dependency", true],
    ["25006", "unavailable", "dependency", true],
    // data and constraints
    ["21000", "conflict", "delivery", false],
    ["22000", "invalid_input", "part", false],
    ["22001", "invalid_input", "part", false],
    ["22021", "invalid_input", "part", false],
    ["22P02", "invalid_input", "part", false],
    ["23502", "invalid_input", "part", false],
    ["23503", "invalid_input", "part", false],
    ["23514", "invalid_input", "part", false],
    ["23505", "conflict", "delivery", false],
    // the whole transaction again
    ["40001", "conflict", "delivery", true],
    ["40P01", "conflict", "delivery", true],
    ["55P03", "conflict", "delivery", true],
    // rights
    ["28000", "unauthorized", "dependency", false],
    ["28P01", "unauthorized", "dependency", false],
    ["42501", "unauthorized", "dependency", false],
    // names, which come from options
    ["3D000", "not_found", "dependency", false],
    ["42P01", "not_found", "dependency", false],
    ["42703", "not_found", "dependency", false],
    // limits and time
    ["54000", "too_large", "part", false],
    ["54001", "too_large", "part", false],
    ["54023", "too_large", "part", false],
    ["57014", "timeout", "delivery", true],
    // statements of ours
    ["42000", "invalid_input", "process", false],
    ["42601", "invalid_input", "process", false],
    ["42883", "invalid_input", "process", false],
    ["42P18", "invalid_input", "process", false],
    // the rest
    ["XX000", "bad_response", "delivery", false],
    ["XX001", "bad_response", "delivery", false],
    ["XX002", "bad_response", "delivery", false],
  ] as const)("%s is %s, scope %s, retryable %s", (state, ...meaning) => expect(meant(state)).toEqual(meaning));

  test.each(["23000", "23001", "23P01", "25000", "25001", "40000", "40002", "55000", "55006", "57000", "58030", "P0001", "0A000", "F0000", "HV000", "00000"])(
    "%s has no row, and is neither retried nor taken for an outage",
    (state) => expect(meant(state)).toEqual(["bad_response", "delivery", false]),
  );

  test.each(["", "4", "constructor", "__proto__", "toString", "40001 ", "4000", "é", "\u{1F600}"])("%j is no row by chance", (state) => {
    expect(meant(state)).toEqual(["bad_response", "delivery", false]);
  });
});
