/**
 * @module
 */
import { Broadcast, type BroadcastReader } from "../core/broadcast.ts";
import { type Input, readContent } from "../core/content.ts";
import { wholeNumber } from "../core/errors.ts";
import { DONE } from "../core/flow.ts";
import { streamOf } from "../core/from.ts";
import { Fused } from "../core/fused.ts";
import type { Part } from "../core/part.ts";
import { left, Scope } from "../core/scope.ts";

/** How far copies may drift apart. */
export interface SplitOptions {
  /** Parts that a copy may be ahead of the slowest open one. @default 16 */
  readonly lag?: number;
}

/**
 * A stream as `count` equal copies, bounded: a copy waits when it is `lag` parts ahead of the slowest open one.
 *
 * Reads:  nothing before some copy is pulled. A copy that is not yet pulled counts as open; one that is left does not.
 * Throws: to each copy the parts before an error, then the error.
 * Closes: the stream, once, when all copies are left.
 *
 * @example
 * const copies = split(from(["a", "b"]), 2);
 * console.log(await Promise.all(copies.map((copy) => run(pipe(), copy).text()))); // [ 'ab', 'ab' ]
 */
export function split(stream: Input, count: number, options: SplitOptions = {}): AsyncIterable<Part>[] {
  wholeNumber("split", "count", count, 1);
  const { lag = 16 } = options;
  wholeNumber("split", "lag", lag, 1);
  // Each copy has all parts, reserved ones too: each copy's own run takes them out.
  const scope = new Scope({}, { emit: (part) => broadcast.push(part) });
  const broadcast: Broadcast = new Broadcast(new Fused(readContent(stream), [], scope), lag);
  return Array.from({ length: count }, () => {
    const reader = broadcast.reader();
    return streamOf({ async: { [Symbol.asyncIterator]: () => copyOf(reader) }, unread: () => reader.close(left()) });
  });
}

function copyOf(reader: BroadcastReader): AsyncIterator<Part, undefined> {
  return {
    async next() {
      const part = await reader.pull();
      return part === DONE ? { value: undefined, done: true } : { value: part, done: false };
    },
    async return() {
      await reader.close(left());
      return { value: undefined, done: true };
    },
  };
}
