/**
 * Finish reasons as errors, for whoever asked for whole answers only.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { FinishReason } from "../core/part.ts";

/** Throws `truncated` for an answer that was cut, `refused` for one that was withheld. */
export function requireWhole(service: string, reason: FinishReason, rawReason: string): void {
  if (reason === "length") throw new MillraceError("truncated", `${service}: the answer was cut (${rawReason})`, { service });
  if (reason === "content_filter" || reason === "refusal") throw new MillraceError("refused", `${service}: the answer was withheld (${rawReason})`, { service });
}
