/**
 * @module
 */
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { input, perRun, type PerRun, Sequence } from "./sequence.ts";

/**
 * Puts content before a stream, in every run; also before an empty one.
 *
 * Reads:  every part; the input is opened when the content is through.
 * Yields: the content (a string, a part, an array, …, or whatever a function of the context gives for this run), then the input.
 * Throws: `invalid_input` for what is no content, and for what may be readable only once, such as a generator or a `ReadableStream`:
 *         give a function that makes it anew; whatever the content throws.
 * Closes: the content if it is left half way.
 *
 * @example
 * const polite = prepend(text("Answer in one sentence. ", { role: "system" }));
 * const dated = prepend(() => `Today is ${new Date().toDateString()}. `);
 * for await (const part of run(pipe(polite, dated), "What day is it?")) console.log(part.role); // user  system  user
 */
export function prepend(content: PerRun): Processor {
  const before = perRun("prepend", "content", content);
  return processorOf([{ kind: "flow", name: "prepend", open: (upstream, scope) => new Sequence([before, input], upstream, scope) }]);
}
