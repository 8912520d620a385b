/**
 * What wrappers further out have settled for those inside: how many more requests one logical call may make, how long it may
 * take, what is asked of a model.
 *
 * @module
 */

import type { Asked } from "./asked.ts";

/** One call as its caller sees it, however many requests it takes. */
export interface LogicalCall {
  /** Takes leave to make one more request; false when there is none left. */
  take(): boolean;
  /** What stages inside remember from one request to the next. */
  readonly memory: Map<unknown, unknown>;
}

/** What holds inside a wrapper. */
export interface Limits {
  /** Given inside something that tries again: whoever could try again too leaves it to that one. */
  readonly call?: LogicalCall;
  /** The same for all requests of one call: what a service recognises a repetition by. */
  readonly key?: () => string;
  /** Milliseconds left of the shortest total further out. */
  readonly leftMs?: () => number;
  /** What leaves cannot be taken back: it goes into a sink, not to a reader. */
  readonly final?: boolean;
  /** What turns of models inside are asked for besides their input. */
  readonly asked?: Asked;
}

/** With less than this left an attempt is not worth starting. */
const leastMs = 1_000;

/** Is there time for another attempt, `afterMs` from now? */
export function hasTime(limits: Limits, afterMs = 0): boolean {
  return limits.leftMs === undefined || limits.leftMs() - afterMs >= leastMs;
}

/** Nothing is limited. */
export const noLimits: Limits = Object.freeze({});
