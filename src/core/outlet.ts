/**
 * The side of a flow that is read: by `pull()`, where the reader is a stage of ours, or by `next()`, where it is an opaque
 * stage, whose pending read can be released, or the consumer.
 *
 * @module
 */
import { DONE, type Flow, isPart, type Pulled, type WAIT } from "./flow.ts";
import type { Part } from "./part.ts";
import { Left, type Why } from "./scope.ts";

/** The loop ran dry: ask the source, and wait. */
export const NEED: unique symbol = Symbol("millrace.need");

/** What a step of the loop gives. */
export type Step = Part | typeof DONE | typeof NEED | typeof WAIT | Failed | PromiseLike<unknown>;

/** What a reader gets: a result by `next()`, the bare part by `pull()`. */
export type Answer = IteratorResult<Part, undefined> | Part | typeof DONE;

/** A step that threw. */
export class Failed {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/** Answers one reader, one read at a time. */
export abstract class Outlet implements Flow, AsyncIterableIterator<Part> {
  /** Nothing is read any more: ended, failed or left. */
  protected over = false;
  // The reader that waits, if one does.
  protected resolve: ((value: Answer) => void) | null = null;
  protected reject: ((why: unknown) => void) | null = null;
  private asResult = false;
  private rejected = false;
  private released: { readonly why: unknown } | null = null;
  /** Reads that wait for their turn. */
  private readonly queue: ((answer: Promise<IteratorResult<Part, undefined>>) => void)[] = [];

  /** Takes one step, opening what is to be opened before the first. */
  protected abstract begin(): Step;
  /** Waits for what a step gave, then settles the reader. */
  protected abstract wait(step: Step): void;
  /** Closes everything behind, once. */
  protected abstract shut(why: Why): Promise<void> | undefined;

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Does the reader wait for a part, or is it just being told of a failure? Then it is on its way out, or soon will be. */
  get unwinds(): boolean {
    return this.resolve !== null || this.rejected;
  }

  pull(): Pulled {
    if (this.over) return DONE;
    const step = this.begin();
    if (isPart(step)) return step;
    this.asResult = false;
    const answer = new Promise<Answer>(this.capture) as Promise<Part | typeof DONE>; // `asResult` is off
    this.wait(step);
    return answer;
  }

  next(): Promise<IteratorResult<Part, undefined>> {
    // One read at a time reaches the source; later ones take their turn, in order.
    return this.resolve === null ? this.advance() : new Promise((resolve) => this.queue.push(resolve));
  }

  return(): Promise<IteratorResult<Part, undefined>> {
    const closing = this.shut(new Left());
    this.settle(DONE);
    return closing === undefined ? ended() : closing.then(ended);
  }

  close(why: unknown): Promise<void> | undefined {
    if (!this.over) this.released = { why };
    const closing = this.shut({ reason: why });
    this.settleWithError(why);
    return closing;
  }

  /** Answers one `next()`, nobody else waiting. */
  protected advance(): Promise<IteratorResult<Part, undefined>> {
    if (this.over) return this.released === null ? ended() : Promise.reject(this.released.why);
    const step = this.begin();
    if (isPart(step)) return Promise.resolve({ value: step, done: false });
    const answer = this.expect();
    this.wait(step);
    return answer;
  }

  /** A promise for one result, settled by whatever comes first: a part, the end, a failure, leaving. */
  protected expect(): Promise<IteratorResult<Part, undefined>> {
    this.asResult = true;
    return new Promise<Answer>(this.capture) as Promise<IteratorResult<Part, undefined>>; // `asResult` is on
  }

  private readonly capture = (resolve: (value: Answer) => void, reject: (why: unknown) => void): void => {
    this.resolve = resolve;
    this.reject = reject;
  };

  /** Hands a part, or the end, to the reader. */
  protected settle(part: Part | typeof DONE): void {
    const { resolve } = this;
    if (resolve === null) return;
    this.resolve = null;
    this.reject = null;
    if (!this.asResult) resolve(part);
    else resolve(part === DONE ? { value: undefined, done: true } : { value: part, done: false });
    if (this.queue.length > 0) this.nextTurn();
  }

  protected settleWithError(error: unknown): void {
    const { reject } = this;
    this.resolve = null;
    this.reject = null;
    if (reject === null) return;
    this.rejected = true;
    reject(error);
    if (this.queue.length > 0) this.nextTurn();
  }

  /** The reader has its answer: the next one in the queue is the reader now. */
  private nextTurn(): void {
    while (this.resolve === null && this.queue.length > 0) this.queue.shift()?.(this.advance());
  }
}

/** What `next()` gives after the end. */
export function ended(): Promise<IteratorResult<Part, undefined>> {
  return Promise.resolve({ value: undefined, done: true });
}
