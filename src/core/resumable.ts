/**
 * Processors that can go on where an answer broke off, because the service keeps it.
 *
 * @module
 */
import type { Part } from "./part.ts";
import type { Context, Processor } from "./processor.ts";

/** How to go on. */
export interface Resumption {
  /** The place of a part in the answer: whole numbers without a gap. Nothing for parts that have none. */
  numberOf(part: Part): number | undefined;
  /** The rest of the answer behind a part that was handed on. It may begin earlier; what is known already is dropped. */
  resume(last: Part, context?: Context): AsyncIterable<Part>;
}

const RESUMPTION: unique symbol = Symbol.for("millrace.resumption");

/** A processor that can be resumed. */
export type ResumableProcessor = Processor & { readonly [RESUMPTION]: Resumption };

/** Declares that a processor can be resumed; it is the same function otherwise. */
export function resumable<P extends Processor>(processor: P, resumption: Resumption): P & ResumableProcessor {
  return Object.assign(processor, { [RESUMPTION]: resumption } as const);
}

/** How to go on with a processor, if it can. */
export function resumptionOf(processor: Processor): Resumption | undefined {
  return (processor as Partial<ResumableProcessor>)[RESUMPTION];
}
