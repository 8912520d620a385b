/**
 * What services say of tokens: the real usage, by which a rough count made before a call is set right, and how long to keep away.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";

/** What a service counted, where it is known. */
export interface Counted {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

/** The sum of what was counted; what neither knows stays unknown. */
export function addCounts(a: Counted, b: Counted): Counted {
  return { inputTokens: sum(a.inputTokens, b.inputTokens), outputTokens: sum(a.outputTokens, b.outputTokens) };
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : a + (b ?? 0);
}

/** What a usage, of a finish part or of what a cut stream had delivered, says. Nonsense is unknown. */
export function countsOf(usage: unknown): Counted {
  const { inputTokens, outputTokens } = (typeof usage === "object" && usage !== null ? usage : {}) as Record<keyof Counted, unknown>; // looked at next
  return { inputTokens: count(inputTokens), outputTokens: count(outputTokens) };
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** How long a service asked to keep away: an error that says `rate_limited`, unless it is a quota that no waiting fills. */
export function limitedFor(error: unknown): number | undefined {
  if (!isMillraceError(error, "rate_limited") || !error.retryable) return undefined;
  const { retryAfterMs = 0 } = error;
  return Number.isFinite(retryAfterMs) && retryAfterMs > 0 ? retryAfterMs : 0;
}
