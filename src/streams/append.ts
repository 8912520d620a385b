/**
 * @module
 */
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { input, perRun, type PerRun, Sequence } from "./sequence.ts";

/**
 * Puts content behind a stream, in every run; also behind an empty one, never behind one that failed or was left.
 *
 * Reads:  every part.
 * Yields: the input, then the content (a string, a part, an array, …, or whatever a function of the context gives for this run), which is opened
 *         when the input has ended.
 * Throws: `invalid_input` for what is no content, and for what may be readable only once, such as a generator or a `ReadableStream`:
 *         give a function that makes it anew; whatever the content throws.
 * Closes: the content if it is left half way.
 *
 * @example
 * console.log(await run(append(" Answer briefly."), "Why?").text()); // Why? Answer briefly.
 */
export function append(content: PerRun): Processor {
  const after = perRun("append", "content", content);
  return processorOf([{ kind: "flow", name: "append", open: (upstream, scope) => new Sequence([input, after], upstream, scope) }]);
}
