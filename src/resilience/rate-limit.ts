/**
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { invalidOption, requireProcessors } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { KeyValueStore } from "../kinds/key-value.ts";
import { refuseBeside } from "./admission/beside.ts";
import { Admitted } from "./admission/door.ts";
import type { StoreEvent } from "./admission/limit-marks.ts";
import { Limits } from "./admission/limits.ts";
import { RatedCall } from "./admission/rated-call.ts";
import type { RateDimension } from "./admission/rates.ts";
export type { StoreEvent } from "./admission/limit-marks.ts";
export type { RateDimension } from "./admission/rates.ts";

/** How much in how long. At least one of the first three is needed. */
export interface RateLimitOptions {
  /** Calls per `perMs`. A call is one run of the stream. */
  readonly requests?: number;
  /** Tokens that go in per `perMs`. */
  readonly inputTokens?: number;
  /** Tokens that come out per `perMs`. */
  readonly outputTokens?: number;
  /** Milliseconds that the numbers above are for. */
  readonly perMs: number;
  /** How much may be taken at once after a rest: for each that is limited, or one number where only one is. @default the limits themselves */
  readonly burst?: number | Readonly<Partial<Record<RateDimension, number>>>;
  /** What a call takes before its usage is known. */
  readonly estimate?: {
    /** Tokens of a part of the input. @default a fourth of its bytes of text, 1,000 for an image or a file */
    readonly inputTokens?: (part: Part) => number;
    /** Tokens that come out at most: what the model is told. @default the mean of what came out so far, 1,024 at first */
    readonly outputTokens?: number;
  };
  /** Calls that wait at most. @default 1_000 */
  readonly queue?: number;
  /** Milliseconds that a call waits at most. @default 30_000 */
  readonly waitMs?: number;
  /** Shares the limit with other processes. @default this limiter alone */
  readonly store?: KeyValueStore;
  /** What is limited: service, account and model, never a key of the account. Hashed. Needed with a store. */
  readonly key?: string | readonly string[];
  /** A store that fails: go on with this process's share of the limit, or refuse (`unavailable`). @default "local" */
  readonly onStoreError?: "local" | "fail";
  /** Milliseconds to wait for an answer of the store. @default 1_000 */
  readonly storeTimeoutMs?: number;
  /** How many processes share the limit, until the store has told. @default 1 */
  readonly processes?: number;
  /** Hears when the store goes down and comes back; what it throws is dropped. */
  readonly onStoreChange?: (event: StoreEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** A number from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** A limit that several processors share, and its counts. */
export interface RateLimiter {
  /** Calls that wait. */
  readonly waiting: number;
  /** How many processes share the limit, as far as is known. */
  readonly processes: number;
}

/** Of `rateLimit`: a limit of its own, or one that is shared. */
export type RateLimitSettings = RateLimitOptions | { readonly limiter: RateLimiter };

/**
 * Makes no more calls, and spends no more tokens, than a service allows: calls wait for their turn in the order of coming.
 *
 * Each call takes what it is estimated to need, of all that is limited or of nothing; when it is over, what the finish part says
 * it used is put right. A `rate_limited` answer of the service empties the limit for as long as it asks.
 *
 * Reads:  with `inputTokens` limited the whole input, before the call is made.
 * Throws: `rate_limited` with `retryAfterMs` when too many wait or a wait is too long, `too_large` at once for a call above the
 *         burst, both before the processor is touched; `unavailable` where `onStoreError` says so.
 * Closes: leaving while it waits gives up the place at once.
 *
 * @example
 * const polite = rateLimit(each(async (part) => part), { requests: 500, perMs: 60_000 });
 * console.log(await run(polite, "hello").text()); // hello
 */
export function rateLimit(processor: Processor, options: RateLimitSettings): Processor {
  requireProcessors("rateLimit", [processor]);
  const limiter = "limiter" in options ? requireLimiter(options) : new Limits(options);
  return processorOf([
    {
      kind: "flow",
      name: "rateLimit",
      open: (upstream, scope) => {
        const call = new RatedCall(limiter, upstream);
        return new Admitted(call, processor, call.input, scope);
      },
    },
  ]);
}

function requireLimiter(options: { readonly limiter: unknown }): Limits {
  if (!(options.limiter instanceof Limits)) throw invalidOption("rateLimit", "limiter", "a limiter that rateLimiter made", options.limiter);
  refuseBeside("rateLimit", "limiter", options);
  return options.limiter;
}

/**
 * Makes a limit for several processors that use one account.
 *
 * Throws: `invalid_input` for options out of range; `missing_config` for a store without a key.
 *
 * @example
 * const limiter = rateLimiter({ requests: 500, outputTokens: 100_000, perMs: 60_000 });
 * const [chat, title] = [rateLimit(pipe(), { limiter }), rateLimit(pipe(), { limiter })];
 * console.log(await run(pipe(chat, title), "hello").text(), limiter.waiting); // hello 0
 */
export function rateLimiter(options: RateLimitOptions): RateLimiter {
  return new Limits(options);
}
