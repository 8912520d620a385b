/**
 * @module
 */
import { type Input, readContent } from "./content.ts";
import { MillraceError, received } from "./errors.ts";
import { PartStream } from "./part-stream.ts";
import { planFor } from "./pipeline.ts";
import type { Processor } from "./processor.ts";
import { Run } from "./runner.ts";
import type { RunOptions } from "./scope.ts";

/**
 * Runs a processor over an input.
 *
 * Reads:  anything content-like: a string (one part), a part, bytes, an iterable or async iterable of these, a `ReadableStream`, a `Blob`.
 * Yields: what the processor makes, plus `status` and `debug` parts as they arise.
 * Throws: `invalid_input` for an input of another type; then whatever a stage or the source throws, the very object; `signal.reason` on abort.
 * Closes: every stage and the source, once, however the run ends. Nothing runs before the first pull.
 *
 * @example
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * console.log(await run(shout, "hello").text()); // HELLO
 */
export function run(processor: Processor, input: Input, options: RunOptions = {}): PartStream {
  if (typeof processor !== "function") {
    throw new MillraceError("invalid_input", `run: needs a processor, got ${received(processor)}`);
  }
  const source = readContent(input);
  const plan = planFor(processor);
  return new PartStream(() => new Run(plan, source, options));
}
