/**
 * One flow read by several, none of which runs far ahead of the slowest.
 *
 * @module
 */
import { DONE, type Flow, isPart, type Pulled } from "./flow.ts";
import type { Part } from "./part.ts";

/** A bounded window over a flow, with a cursor for each reader. */
export class Broadcast {
  private readonly upstream: Flow;
  private readonly lag: number;
  /** What the slowest open reader has yet to take; the first of it has the number `first`. */
  private readonly window: Part[] = [];
  private first = 0;
  private readonly readers = new Set<BroadcastReader>();
  private pulling = false;
  private end: { readonly error?: unknown; readonly failed: boolean } | undefined = undefined;
  private closing: Promise<void> | undefined = undefined;

  constructor(upstream: Flow, lag: number) {
    this.upstream = upstream;
    this.lag = lag;
  }

  /** Another reader, from the part that the slowest has yet to take. */
  reader(moved?: () => void): BroadcastReader {
    const reader = new BroadcastReader(this, this.first, moved);
    this.readers.add(reader);
    return reader;
  }

  /** A part for all, besides those of the flow. */
  push(part: Part): void {
    this.window.push(part);
  }

  /** Reads no further; readers get what was read already, then this error. */
  fail(error: unknown): Promise<void> | undefined {
    if (this.end === undefined) {
      this.end = { error, failed: true };
      this.closing = this.upstream.close(error);
      this.wake();
    }
    return this.closing;
  }

  /** The part at a cursor; the end; or nothing, when the reader has to wait. */
  at(cursor: number): { readonly part: Part } | { readonly failed: boolean; readonly error?: unknown } | undefined {
    for (;;) {
      const part = this.window[cursor - this.first];
      if (part !== undefined) return { part };
      if (this.end !== undefined) return this.end;
      if (this.pulling || this.window.length >= this.lag) return undefined;
      const pulled = this.upstream.pull();
      if (isPart(pulled)) this.window.push(pulled);
      else if (pulled === DONE) this.end = { failed: false };
      else {
        this.pulling = true;
        pulled.then(this.onPulled, this.onFailed);
        return undefined;
      }
    }
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pulling = false;
    if (this.end !== undefined) return;
    if (pulled === DONE) this.end = { failed: false };
    else this.window.push(pulled);
    this.wake();
  };

  private readonly onFailed = (error: unknown): void => {
    this.pulling = false;
    this.end ??= { error, failed: true };
    this.wake();
  };

  /** A reader has moved on or gone: what all have taken is let go. */
  release(): void {
    let slowest = Infinity;
    for (const reader of this.readers) slowest = Math.min(slowest, reader.cursor);
    const taken = Math.min(slowest - this.first, this.window.length);
    if (taken <= 0) return;
    const full = this.window.length >= this.lag;
    this.window.splice(0, taken);
    this.first += taken;
    if (full) this.wake();
  }

  leave(reader: BroadcastReader, why: unknown): Promise<void> | undefined {
    this.readers.delete(reader);
    if (this.readers.size === 0) {
      this.end ??= { failed: false };
      this.window.length = 0;
      return (this.closing ??= this.upstream.close(why));
    }
    this.release();
    return undefined;
  }

  /** Has a cursor passed all that will ever be read? */
  isPast(cursor: number): boolean {
    return this.end !== undefined && cursor >= this.first + this.window.length;
  }

  close(why: unknown): Promise<void> | undefined {
    return (this.closing ??= this.upstream.close(why));
  }

  private wake(): void {
    for (const reader of this.readers) reader.wake();
  }
}

/** One reader of a broadcast. */
export class BroadcastReader implements Flow {
  cursor: number;
  private readonly broadcast: Broadcast;
  private readonly moved: (() => void) | undefined;
  private over = false;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(broadcast: Broadcast, cursor: number, moved?: () => void) {
    this.broadcast = broadcast;
    this.cursor = cursor;
    this.moved = moved;
  }

  /** There is nothing more to take. */
  get exhausted(): boolean {
    return this.over || this.broadcast.isPast(this.cursor);
  }

  pull(): Pulled {
    if (this.over) return DONE;
    const next = this.broadcast.at(this.cursor);
    if (next !== undefined && "part" in next) return this.take(next.part);
    if (next !== undefined && !next.failed) return DONE;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.wake();
    });
  }

  /** Looks again, if somebody waits. */
  wake(): void {
    const { resolve, reject } = this;
    if (resolve === undefined || reject === undefined) return;
    const next = this.broadcast.at(this.cursor);
    if (next === undefined) return;
    this.resolve = this.reject = undefined;
    if ("part" in next) resolve(this.take(next.part));
    else if (next.failed) reject(next.error);
    else resolve(DONE);
  }

  private take(part: Part): Part {
    this.cursor += 1;
    this.broadcast.release();
    this.moved?.();
    return part;
  }

  close(why: unknown): Promise<void> | undefined {
    if (this.over) return undefined;
    this.over = true;
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    return this.broadcast.leave(this, why);
  }
}
