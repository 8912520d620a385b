/**
 * @module
 */
import { Arrivals } from "../core/arrivals.ts";
import { type Input, readContent } from "../core/content.ts";
import { streamOf } from "../core/from.ts";
import { Fused } from "../core/fused.ts";
import type { Part } from "../core/part.ts";

/**
 * Sources as they come; the order within each is kept.
 *
 * Reads:  whatever `from` takes; all are opened at the first pull, at most one part ahead of what was taken. Fair: a source
 *         that is always ready does not starve another.
 * Throws: what any source throws, after what was ready before; the others are closed first.
 *
 * @example
 * console.log((await run(pipe(), merge("a", "b")).collect()).length); // 2
 */
export function merge(...streams: readonly Input[]): AsyncIterable<Part> {
  const contents = streams.map(readContent);
  return streamOf({ open: (scope) => new Arrivals(contents.map((content) => new Fused(content, [], scope))) });
}
