/**
 * @module
 */
import { requireProcessors } from "../core/errors.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { stagesOf } from "../core/plan.ts";

/**
 * One processor after the other.
 *
 * Strict and pull-based. Nesting does not matter; `pipe()` hands everything on; arguments are never changed. Part functions
 * that stand next to each other become one loop.
 *
 * @example
 * const answer = pipe(each((part) => part), async function* (input) {
 *   for await (const part of input) yield part;
 * });
 * console.log(await run(answer, "hi").text()); // hi
 */
export function pipe(...stages: readonly Processor[]): Processor {
  requireProcessors("pipe", stages);
  const [only] = stages;
  if (only !== undefined && stages.length === 1) return only;
  return processorOf(stages.flatMap(stagesOf));
}
