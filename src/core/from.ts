/**
 * @module
 */
import { type Content, CONTENT, type Input, readContent } from "./content.ts";
import type { Part } from "./part.ts";
import { Run } from "./runner.ts";

/**
 * Anything content-like as a stream of parts.
 *
 * Throws `invalid_input` for anything else, also for an item, after the items before it. Opens nothing before it is read.
 *
 * @example
 * for await (const part of from(["a", "b"])) console.log(part.kind); // text  text
 */
export function from(input: Input): AsyncIterable<Part> {
  return streamOf(readContent(input));
}

/** Content as a stream that is a run of its own, and that another run reads without a stage in between. */
export function streamOf(content: Content): AsyncIterable<Part> {
  const stream = { [Symbol.asyncIterator]: () => new Run([], content, {}), [CONTENT]: content };
  return stream;
}
