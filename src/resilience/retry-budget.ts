/**
 * What keeps retries from becoming the load that a service cannot recover under.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption } from "../core/errors.ts";

/** Sizes of a budget. */
export interface RetryBudgetOptions {
  /** Most retries that can be saved up. @default 50 */
  readonly capacity?: number;
  /** Retries there are at the start. @default 10 */
  readonly start?: number;
  /** Earned by each call that succeeds. @default 0.15 */
  readonly perSuccess?: number;
  /** Earned as time goes by. @default 0.1 */
  readonly perSecond?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Retries and hedges that may still be made. Share one among all that call the same service. */
export interface RetryBudget {
  /** Takes one; false when there is none, and the failure stands. */
  take(): boolean;
  /** A call succeeded. */
  success(): void;
  /** How many there are. */
  readonly level: number;
}

const msPerSecond = 1_000;

/**
 * Makes a budget: over N calls at r calls a second, requests are at most 1 + 0.15 + 0.1/r + 50/N times the calls.
 *
 * Throws: `invalid_input` for a number that is negative or none.
 *
 * @example
 * const budget = retryBudget();
 * const ask = retry(each((part) => part), { budget });
 * const check = retry(each((part) => part), { budget });
 * console.log(await run(pipe(ask, check), "hello").text()); // hello
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  const { capacity = 50, start = 10, perSuccess = 0.15, perSecond = 0.1, clock = systemClock } = options;
  for (const [name, value] of Object.entries({ capacity, start, perSuccess, perSecond })) {
    if (typeof value !== "number" || !(value >= 0) || value === Infinity) throw invalidOption("retryBudget", name, "a number from 0", value);
  }
  let level = Math.min(capacity, start);
  let atMs = clock.now();
  const earn = (): void => {
    const nowMs = clock.now();
    level = Math.min(capacity, level + (Math.max(0, nowMs - atMs) / msPerSecond) * perSecond);
    atMs = nowMs;
  };
  return {
    take() {
      earn();
      if (level < 1) return false;
      level -= 1;
      return true;
    },
    success() {
      level = Math.min(capacity, level + perSuccess);
    },
    get level() {
      earn();
      return level;
    },
  };
}

/** Is it one? */
export function isRetryBudget(value: unknown): value is RetryBudget {
  if (typeof value !== "object" || value === null) return false;
  return "take" in value && typeof value.take === "function" && "success" in value && typeof value.success === "function";
}
