/**
 * @module
 */
import { CONTENT, type Input, readContent } from "./content.ts";
import type { Part } from "./part.ts";
import { Run } from "./runner.ts";

/**
 * Anything content-like as a stream of parts.
 *
 * Throws `invalid_input` for anything else, also for an item, after the items before it. Opens nothing before it is read.
 *
 * @example
 * for await (const part of from(["a", "b"])) console.log(part.kind); // text text
 */
export function from(input: Input): AsyncIterable<Part> {
  const content = readContent(input);
  const stream = { [Symbol.asyncIterator]: () => new Run([], content, {}), [CONTENT]: content };
  return stream;
}
