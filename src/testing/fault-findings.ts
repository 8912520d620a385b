/**
 * What is wrong with what a client showed of a case of `wireFaults`.
 *
 * @module
 */
import { type ErrorCode, isMillraceError } from "../core/errors.ts";
import type { FaultExpectation, WireFaultCase } from "./wire-faults.ts";

/** What may be wrong with a client. */
export type FaultFinding =
  | "ends as if whole"
  | "hangs"
  | "socket stays open"
  | "key leaves"
  | "prompt leaves"
  | "shows the key"
  | "loses content"
  | "raw error"
  | "another reason"
  | "throws after break"
  | `asks ${number} times`
  | `says ${string}`;

/** How a client ended. */
export type FaultEnd = { readonly how: "ended" } | { readonly how: "hangs" } | { readonly how: "threw"; readonly error: unknown };

/** Tells the code of an error that is none of ours, where that can be told. */
export type CodeOf = (error: unknown) => ErrorCode | undefined;

/** What is wrong with how it ended. */
export function findingsOfEnd(fault: WireFaultCase, end: FaultEnd, reason: unknown, codeOf: CodeOf): FaultFinding[] {
  const { expects } = fault;
  if (end.how === "hangs") return ["hangs"];
  if (expects.shows === "nothing") return end.how === "threw" ? ["throws after break"] : [];
  if (end.how === "ended") return fault.passes === true ? [] : ["ends as if whole"]; // that it asked again is a finding of its own
  if (expects.shows === "reason") return end.error === reason ? [] : ["another reason"];
  return findingsOfError(end.error, expects, codeOf);
}

function findingsOfError(error: unknown, expects: Extract<FaultExpectation, { readonly shows: "error" }>, codeOf: CodeOf): FaultFinding[] {
  if (!isMillraceError(error)) {
    const code = codeOf(error);
    if (code === undefined) return ["raw error"];
    return code === (expects.cause ?? expects.code) ? [] : [`says ${code}`];
  }
  const told = expects.cause === undefined ? error : error.cause;
  if (!isMillraceError(told)) return [`says ${error.code}`];
  if (error.code !== expects.code || (told !== error && told.code !== expects.cause)) return [`says ${told === error ? error.code : `${error.code} of ${told.code}`}`];
  return [
    ...(told.retryable === expects.retryable ? [] : [`says retryable: ${told.retryable}` as const]),
    ...(expects.status === undefined || told.status === expects.status ? [] : [`says status ${told.status}` as const]),
    ...(expects.retryAfterMs === undefined || told.retryAfterMs === expects.retryAfterMs ? [] : [`says retryAfterMs: ${told.retryAfterMs}` as const]),
  ];
}
