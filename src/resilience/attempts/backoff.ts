/**
 * How long to wait before the next attempt.
 *
 * Full jitter, because with a fixed delay all that failed together come back together: aws.amazon.com/blogs/architecture,
 * "Exponential backoff and jitter".
 *
 * @module
 */
import { invalidOption, isMillraceError } from "../../core/errors.ts";

/** What a function of one's own is told. */
export interface BackoffState {
  /** The attempt that failed, counted from 1. */
  readonly attempt: number;
  readonly error: unknown;
  /** The wait before it; 0 before the first. */
  readonly previousMs: number;
  readonly baseMs: number;
  readonly maxMs: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** A strategy by name, or a function that gives milliseconds. The cap holds for all of them; jitter is below it. */
export type Backoff = "exponential" | "linear" | "constant" | "decorrelated" | ((state: BackoffState) => number);

/** Where a service says that it is busy, waits start at least here. */
const busyBaseMs = 1_000;
/** "Decorrelated" grows by up to this factor. */
const growth = 3;
/** No number can be doubled more often; 0 times more than there are numbers is no number. */
const maxDoublings = 1_023;
/** Hints are lengthened by up to this share, so that those who were told the same do not come at the same time. */
const hintJitter = 0.1;

const strategies: Readonly<Record<Exclude<Backoff, (state: BackoffState) => number>, (state: BackoffState) => number>> = {
  exponential: ({ attempt, baseMs, maxMs, random }) => random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, maxDoublings)),
  linear: ({ attempt, baseMs, maxMs, random }) => random() * Math.min(maxMs, baseMs * attempt),
  constant: ({ baseMs, maxMs, random }) => random() * Math.min(maxMs, baseMs),
  decorrelated({ previousMs, baseMs, maxMs, random }) {
    const longest = Math.max(baseMs, previousMs * growth);
    return Math.min(maxMs, baseMs + random() * (longest - baseMs));
  },
};

/** Refuses what is no strategy. */
export function checkBackoff(who: string, backoff: unknown): void {
  if (typeof backoff === "function" || (typeof backoff === "string" && Object.hasOwn(strategies, backoff))) return;
  throw invalidOption(who, "backoff", `${Object.keys(strategies).join(", ")} or a function`, backoff);
}

/** Milliseconds to wait after a failure, without a hint. */
export function backoffMs(backoff: Backoff, state: BackoffState): number {
  if (typeof backoff === "string") {
    const baseMs = isMillraceError(state.error, "rate_limited") ? Math.max(state.baseMs, busyBaseMs) : state.baseMs;
    return strategies[backoff]({ ...state, baseMs });
  }
  const ms = backoff(state);
  if (typeof ms !== "number" || !(ms >= 0)) throw invalidOption("retry", "the result of backoff", "a number of milliseconds", ms);
  return Math.min(state.maxMs, ms);
}

/** What the service asked for, if it did: milliseconds, finite and not negative. */
export function hintOf(error: unknown): number | undefined {
  const hint = isMillraceError(error) ? error.retryAfterMs : undefined;
  return hint !== undefined && Number.isFinite(hint) && hint >= 0 ? hint : undefined;
}

/** Milliseconds to wait where the service named a time. */
export function hintedMs(hint: number, random: () => number): number {
  return hint * (1 + random() * hintJitter);
}
