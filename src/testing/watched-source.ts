/**
 * A source that writes down what is done to it.
 *
 * @module
 */
import { text } from "../core/constructors.ts";
import type { Item } from "../core/content.ts";
import type { Part } from "../core/part.ts";

/** What a watched source gives, and when. */
export interface WatchedOptions {
  /** Waits before an item is given: a promise that the test controls, by the item's number. @default at once */
  readonly wait?: (index: number) => Promise<unknown> | undefined;
  /** Throws instead of giving this item (its number), and is over then. */
  readonly failAt?: number;
  /** What it throws. @default an `Error` */
  readonly error?: unknown;
  /** Parks for ever instead of giving this item (its number). */
  readonly stallAt?: number;
}

/** A source and its record. */
export interface WatchedSource extends AsyncIterable<Part> {
  /** Times it was opened. */
  readonly opened: number;
  /** Calls of `next()`. */
  readonly pulls: number;
  /** Calls of `next()` that have not settled. */
  readonly inFlight: number;
  /** The most there have been at a time. */
  readonly mostInFlight: number;
  /** Calls of `return()`. */
  readonly closed: number;
  /** It has given its last item, or thrown. */
  readonly ended: boolean;
}

/**
 * Makes a source of items, or of an endless count (`Infinity`), whose parts are the texts `0`, `1`, `2`, …
 *
 * @example
 * const source = watchedSource(["a", "b", "c"]);
 * for await (const _ of run(pipe(), source)) break;
 * console.log(source.pulls, source.closed); // 1 1
 */
export function watchedSource(items: readonly Item[] | number, options: WatchedOptions = {}): WatchedSource {
  const record = { opened: 0, pulls: 0, inFlight: 0, mostInFlight: 0, closed: 0, ended: false };
  const length = typeof items === "number" ? items : items.length;
  const at = (index: number): Part => {
    const item = typeof items === "number" ? String(index) : items[index];
    return typeof item === "string" ? text(item) : (item as Part);
  };
  const give = async (index: number): Promise<IteratorResult<Part, undefined>> => {
    const waiting = options.wait?.(index);
    if (waiting !== undefined) await waiting;
    if (index === options.stallAt) await new Promise<never>(() => {});
    if (index === options.failAt) {
      record.ended = true;
      throw "error" in options ? options.error : new Error(`watched source: item ${index}`);
    }
    if (record.ended || index >= length) {
      record.ended = true;
      return { value: undefined, done: true };
    }
    return { value: at(index), done: false };
  };
  return {
    get opened() {
      return record.opened;
    },
    get pulls() {
      return record.pulls;
    },
    get inFlight() {
      return record.inFlight;
    },
    get mostInFlight() {
      return record.mostInFlight;
    },
    get closed() {
      return record.closed;
    },
    get ended() {
      return record.ended;
    },
    [Symbol.asyncIterator]() {
      record.opened += 1;
      let index = 0;
      return {
        async next() {
          record.pulls += 1;
          record.inFlight += 1;
          record.mostInFlight = Math.max(record.mostInFlight, record.inFlight);
          try {
            index += 1;
            return await give(index - 1);
          } finally {
            record.inFlight -= 1;
          }
        },
        async return() {
          record.closed += 1;
          record.ended = true;
          return { value: undefined, done: true };
        },
      };
    },
  };
}

/** A source that gives some items, then parks for ever. */
export function stalledSource(items: readonly Item[] = []): WatchedSource {
  return watchedSource(items, { stallAt: items.length });
}
