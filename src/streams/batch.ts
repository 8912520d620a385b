/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { groupsOf } from "../core/groups.ts";
import { sizeOf } from "../core/part-size.ts";
import type { Processor } from "../core/processor.ts";
import { perGroup } from "./per-group.ts";

/** When a group is full. At least one of the three limits is needed. */
export interface BatchOptions {
  /** Parts in a group at most. */
  readonly count?: number;
  /** Bytes of content in a group at most; a single larger part is a group of its own. */
  readonly bytes?: number;
  /** Milliseconds after its first part at which a group goes on as it is. */
  readonly maxWaitMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Runs a processor once a group of parts.
 *
 * Yields: what the processor makes of each group. The last group may be short; an empty one never exists.
 * Throws: `invalid_input` for bad options; an error of the input after the complete groups before it; the open group does not run.
 *
 * @example
 * const counted = batch({ count: 2 }, async function* (group) {
 *   let n = 0;
 *   for await (const _ of group) n += 1;
 *   yield text(`<${n}>`);
 * });
 * console.log(await run(counted, ["a", "b", "c"]).text()); // <2><1>
 */
export function batch(options: BatchOptions, processor: Processor): Processor {
  const { clock = systemClock } = options;
  const count = options.count === undefined ? Infinity : wholeNumber("batch", "count", options.count, 1);
  const bytes = options.bytes === undefined ? Infinity : wholeNumber("batch", "bytes", options.bytes, 1);
  const maxWaitMs = options.maxWaitMs;
  if (maxWaitMs !== undefined && !(Number.isFinite(maxWaitMs) && maxWaitMs > 0)) {
    throw invalidOption("batch", "maxWaitMs", "a positive number of milliseconds", maxWaitMs);
  }
  if (count === Infinity && bytes === Infinity && maxWaitMs === undefined) {
    throw new MillraceError("invalid_input", "batch: needs count, bytes or maxWaitMs");
  }
  requireProcessors("batch", [processor]);
  return perGroup("batch", processor, (input) => groupsOf(input, { count, bytes, sizeOf, maxWaitMs, clock }));
}
