/**
 * What all calls of one rate limit share: the limits, the queue, and what is known of the size of answers.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { requireMarkStore } from "../../kinds/key-value.ts";
import type { MarkSteps } from "../../kinds/marks.ts";
import { inputTokensOf } from "../../kinds/token-estimate.ts";
import { type LimitMarks, OwnMarks, StoreMarks } from "./limit-marks.ts";
import { Limiter } from "./limiter.ts";
import type { RateLimiter, RateLimitOptions } from "../rate-limit.ts";
import { type Rate, type RateDimension, ratesOf } from "./rates.ts";

const who = "rateLimit";

/** Tokens that come out, before anything is known. */
const firstGuess = 1_024;
/** Of what came out so far the last call counts so much at least, so that the mean follows. */
const learning = 0.1;

/** One rate limit. */
export class Limits implements RateLimiter {
  readonly rates: readonly Rate[];
  readonly queue: Limiter;
  readonly inputTokensOf: (part: Part) => number;
  private readonly marks: LimitMarks;
  private readonly fixedOutput: number | undefined;
  private meanOutput = firstGuess;
  private learned = 0;

  constructor(options: RateLimitOptions) {
    const { clock = systemClock, random = Math.random, estimate = {} } = options;
    this.rates = ratesOf(who, options);
    const { inputTokens = inputTokensOf, outputTokens } = estimate;
    if (typeof inputTokens !== "function") throw invalidOption(who, "estimate.inputTokens", "a function of a part", inputTokens);
    this.inputTokensOf = inputTokens;
    if (outputTokens !== undefined) this.fixedOutput = wholeNumber(who, "estimate.outputTokens", outputTokens, 0, this.burstOf("outputTokens"));
    this.marks = marksFor(options);
    this.queue = new Limiter(this.marks, {
      queue: wholeNumber(who, "queue", options.queue ?? 1_000, 1),
      waitMs: wholeNumber(who, "waitMs", options.waitMs ?? 30_000, 1),
      clock,
      random,
    });
  }

  get waiting(): number {
    return this.queue.waiting;
  }

  get processes(): number {
    return this.marks.processes;
  }

  limits(dimension: RateDimension): boolean {
    return this.rates.some((rate) => rate.dimension === dimension);
  }

  burstOf(dimension: RateDimension): number {
    return this.rates.find((rate) => rate.dimension === dimension)?.burst ?? Infinity;
  }

  /** Tokens that a call is thought to give; a guess never makes it too large. */
  get expectedOutput(): number {
    return this.fixedOutput ?? Math.min(this.meanOutput, this.burstOf("outputTokens"));
  }

  /** A call gave so many tokens in all. */
  learn(outputTokens: number): void {
    this.learned += 1;
    this.meanOutput += (outputTokens - this.meanOutput) * Math.max(learning, 1 / this.learned);
  }

  /** Sets right what was taken, all of it before anybody who waits is served: what one step gives back the next may forbid. */
  correct(...corrections: readonly MarkSteps[]): void {
    let changed = false;
    for (const steps of corrections) {
      const moved = Object.entries(steps).filter(([, { byMs = 0, atLeastMs = 0 }]) => byMs !== 0 || atLeastMs !== 0);
      if (moved.length === 0) continue;
      this.marks.move(Object.fromEntries(moved));
      changed ||= moved.some(([, { byMs = 0, atLeastMs = 0 }]) => byMs < 0 || atLeastMs > 0);
    }
    if (changed) this.queue.wake();
  }
}

function marksFor(options: RateLimitOptions): LimitMarks {
  const { store, key, clock = systemClock, onStoreError = "local", onStoreChange } = options;
  const processes = wholeNumber(who, "processes", options.processes ?? 1, 1);
  const storeTimeoutMs = wholeNumber(who, "storeTimeoutMs", options.storeTimeoutMs ?? 1_000, 1);
  if (onStoreError !== "local" && onStoreError !== "fail") throw invalidOption(who, "onStoreError", '"local" or "fail"', onStoreError);
  if (onStoreChange !== undefined && typeof onStoreChange !== "function") throw invalidOption(who, "onStoreChange", "a function", onStoreChange);
  if (store === undefined) return new OwnMarks(clock);
  requireMarkStore(who, store);
  const names = typeof key === "string" ? [key] : key;
  if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== "string" || name === "")) {
    throw new MillraceError("missing_config", `${who}: a store needs a key that says what is limited: service, account, model`);
  }
  return new StoreMarks({ store, key: names, clock, onStoreError, storeTimeoutMs, processes, onStoreChange });
}
