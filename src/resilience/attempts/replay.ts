/**
 * An input that can be read again: what was pulled is kept, by reference, until nobody will ask for it once more.
 *
 * @module
 */
import { DONE, type Flow, ignore, isPart, type Pulled } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import { left } from "../../core/scope.ts";
import { weightOf } from "../part-weight.ts";

/** Opens its flow once, ever; each reader gets all of it from the start. */
export class ReplayedInput {
  private readonly upstream: Flow;
  private readonly maxBytes: number;
  /** What may be read again, or is yet to be read by one of the readers; the first of it has the number `first`. */
  private readonly parts: Part[] = [];
  private first = 0;
  private bytes = 0;
  /** It may be read again, as far as it is within the limit. */
  private keeping: boolean;
  private readonly readers = new Set<InputReader>();
  private pulling = false;
  private end: { readonly failed: boolean; readonly error?: unknown } | undefined = undefined;
  private closing: Promise<void> | undefined = undefined;
  private closed = false;

  /** Without `maxBytes` nothing is kept: it is read once. */
  constructor(upstream: Flow, maxBytes?: number) {
    this.upstream = upstream;
    this.maxBytes = maxBytes ?? 0;
    this.keeping = maxBytes !== undefined;
  }

  /** What the input itself failed with. */
  get failure(): { readonly error?: unknown } | undefined {
    return this.end?.failed === true ? this.end : undefined;
  }

  /** Can it be read from the start? */
  get replayable(): boolean {
    return this.keeping;
  }

  reader(): Flow {
    const reader = new InputReader(this);
    this.readers.add(reader);
    return reader;
  }

  /** It will not be read again: what its readers are past is let go, and when they leave the flow is closed. */
  release(): void {
    if (!this.keeping) return;
    this.keeping = false;
    this.trim();
    if (this.readers.size === 0) void this.shut(left()); // told at the end
  }

  /** Closes the flow, unless it is over already. */
  close(why: unknown): Promise<void> | undefined {
    for (const reader of this.readers) void reader.close(why)?.catch(ignore); // told by `closing`
    return this.shut(why);
  }

  // --- for readers ---

  /** What is at a cursor: a part, the end, or nothing yet. */
  at(cursor: number): Part | typeof DONE | { readonly error?: unknown } | undefined {
    const part = this.parts[cursor - this.first];
    if (part !== undefined) return part;
    if (this.end !== undefined) return this.end.failed ? this.end : DONE;
    if (this.pulling) return undefined;
    const pulled = this.upstream.pull();
    if (isPart(pulled)) {
      if (!this.keeping && this.readers.size === 1) this.first += 1; // nobody else will ask for it
      else this.keep(pulled);
      return pulled;
    }
    if (pulled === DONE) {
      this.end = { failed: false };
      return DONE;
    }
    this.pulling = true;
    pulled.then(this.onPulled, this.onFailed);
    return undefined;
  }

  /** A reader has moved on. */
  moved(): void {
    if (!this.keeping && this.parts.length > 0) this.trim();
  }

  leave(reader: InputReader, why: unknown): Promise<void> | undefined {
    this.readers.delete(reader);
    if (this.keeping) return undefined; // it may be read again
    this.trim();
    return this.readers.size === 0 ? this.shut(why) : undefined;
  }

  private readonly onPulled = (pulled: Part | typeof DONE): void => {
    this.pulling = false;
    if (this.closed) return;
    if (pulled === DONE) this.end = { failed: false };
    else this.keep(pulled);
    this.wake();
  };

  private readonly onFailed = (error: unknown): void => {
    if (this.closed) return;
    this.end = { failed: true, error };
    this.wake();
  };

  private keep(part: Part): void {
    this.parts.push(part);
    if (!this.keeping) return;
    this.bytes += weightOf(part);
    if (this.bytes > this.maxBytes) this.keeping = false; // readers let go of it as they move on
  }

  private trim(): void {
    let slowest = Infinity;
    for (const reader of this.readers) slowest = Math.min(slowest, reader.cursor);
    const past = Math.min(slowest - this.first, this.parts.length);
    if (past * 2 < this.parts.length || past <= 0) return; // moving the rest up for each part would be quadratic
    if (past === this.parts.length) this.parts.length = 0;
    else this.parts.splice(0, past);
    this.first += past;
  }

  private wake(): void {
    for (const reader of this.readers) reader.wake();
  }

  private shut(why: unknown): Promise<void> | undefined {
    if (this.closed) return this.closing;
    this.closed = true;
    this.parts.length = 0;
    this.closing = this.end === undefined ? this.upstream.close(why) : undefined;
    this.closing?.catch(ignore); // told to whoever waits for it
    return this.closing;
  }
}

/** One reading of the input, which may be given up alone. */
class InputReader implements Flow {
  cursor = 0;
  private readonly input: ReplayedInput;
  private over = false;
  private waiting: { resolve(part: Part | typeof DONE): void; reject(why: unknown): void } | undefined = undefined;

  constructor(input: ReplayedInput) {
    this.input = input;
  }

  pull(): Pulled {
    if (this.over) return DONE;
    const next = this.input.at(this.cursor);
    if (next === DONE) return DONE;
    if (next === undefined) {
      return new Promise((resolve, reject) => {
        this.waiting = { resolve, reject };
      });
    }
    return isPart(next) ? this.take(next) : Promise.reject(next.error);
  }

  /** Looks again, if somebody waits. */
  wake(): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    const next = this.input.at(this.cursor);
    if (next === undefined) return;
    this.waiting = undefined;
    if (next === DONE) waiting.resolve(DONE);
    else if (isPart(next)) waiting.resolve(this.take(next));
    else waiting.reject(next.error);
  }

  private take(part: Part): Part {
    this.cursor += 1;
    this.input.moved();
    return part;
  }

  close(why: unknown): Promise<void> | undefined {
    if (this.over) return undefined;
    this.over = true;
    this.waiting?.reject(why);
    return this.input.leave(this, why);
  }
}
