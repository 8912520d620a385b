/**
 * The stage that works part by part.
 *
 * @module
 */
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { PartFunction, Processor } from "../core/processor.ts";
import type { Operation } from "../core/stage.ts";

/** How a part function is called. */
export interface EachOptions {
  /** Parts for which it gives false pass by, unchanged and in their place, at no call. @default every part */
  readonly match?: (part: Part) => boolean;
  /** Calls in progress at most. @default 1 */
  readonly concurrency?: number;
  /** Outputs in the order of the input; with `false` as they come. @default true */
  readonly ordered?: boolean;
  /** What observers call the stage. @default the function's name */
  readonly name?: string;
}

/**
 * Makes a processor of a part function.
 *
 * Reads:  parts that `match` accepts; the others pass by.
 * Yields: what the function returns: a part, a string (a text part with role and substream of its source), nothing for
 *         `undefined`, or all of an iterable of these. With `concurrency` 1 results are taken one by one, as they are asked for.
 * Throws: `invalid_input` for bad options, and for a result that is none of these; whatever the function throws.
 * Closes: an iterable result that is left half way.
 *
 * @example
 * const upper = each((part) => (isText(part) ? part.text.toUpperCase() : part), { concurrency: 4 });
 * for await (const part of run(upper, ["a", "b"])) console.log(isText(part) && part.text); // A  B
 */
export function each(fn: PartFunction, options: EachOptions = {}): Processor {
  if (typeof fn !== "function") throw invalidOption("each", "fn", "a function", fn);
  const { match, ordered = true, concurrency = 1 } = options;
  if (match !== undefined && typeof match !== "function") throw invalidOption("each", "match", "a function", match);
  if (typeof ordered !== "boolean") throw invalidOption("each", "ordered", "a boolean", ordered);
  wholeNumber("each", "concurrency", concurrency, 1);
  const operation: Operation = match === undefined ? fn : (part, context) => (match(part) ? fn(part, context) : PASS);
  return processorOf([{ kind: "operation", name: options.name ?? (fn.name || "each"), concurrency, ordered, open: () => operation }]);
}
