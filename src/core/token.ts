/**
 * A place in the order of a concurrent segment: a part on its way, or the rest of what one part became.
 *
 * @module
 */
import type { Part } from "./part.ts";

// What a token is doing; numbers, because this is looked at per part.
/** Waits to enter its stage. */
export const waiting = 0;
/** Its call is in progress. */
export const calling = 1;
/** Its call gave several parts, which are still coming. */
export const reading = 2;
/** Its part is ready to be handed on. */
export const ready = 3;
/** It failed; what comes after it does not count. */
export const failed = 4;

/** What tokens tell their segment. */
export interface TokenOwner {
  called(token: Token, result: unknown): void;
  read(token: Token, result: IteratorResult<unknown>): void;
  threw(token: Token, error: unknown): void;
}

/** A link of the list, in the order of the output. */
export class Token {
  before: Token | null = null;
  after: Token | null = null;
  state: number = waiting;
  /** The stage it waits for, or is in. */
  stage = 0;
  /** Number of the source part it comes from. */
  ordinal = 0;
  /** The part that goes on, or whose result is being read. */
  part: Part | null = null;
  error: unknown = undefined;
  /** While reading: an array from `at` on, or an iterator. */
  items: readonly unknown[] | null = null;
  at = 0;
  sync: Iterator<unknown> | null = null;
  async: AsyncIterator<unknown> | null = null;
  /** Its `next()` is pending. */
  pending = false;
  /** Parts it gave that are not handed on yet. */
  held = 0;
  /** The reading token that gave it. */
  parent: Token | null = null;
  /** Callbacks made once a token, and tokens are used again. */
  readonly onCalled: (result: unknown) => void;
  readonly onRead: (result: IteratorResult<unknown>) => void;
  readonly onThrown: (error: unknown) => void;

  constructor(owner: TokenOwner) {
    this.onCalled = (result) => owner.called(this, result);
    this.onRead = (result) => owner.read(this, result);
    this.onThrown = (error) => owner.threw(this, error);
  }

  clear(): void {
    this.before = null;
    this.after = null;
    this.part = null;
    this.parent = null;
    this.stage = 0;
    this.state = waiting;
  }
}

/** Tokens in the order of the output. Those of one source part stand together. */
export class TokenList {
  head: Token | null = null;
  tail: Token | null = null;
  /** How many source parts have tokens here. */
  ordinals = 0;

  append(token: Token): void {
    token.before = this.tail;
    if (this.tail === null) this.head = token;
    else this.tail.after = token;
    this.tail = token;
    this.ordinals += 1;
  }

  insertBefore(token: Token, next: Token): void {
    const { before } = next;
    token.before = before;
    token.after = next;
    next.before = token;
    if (before === null) this.head = token;
    else before.after = token;
  }

  remove(token: Token): void {
    const { before, after, ordinal } = token;
    if (before === null) this.head = after;
    else before.after = after;
    if (after === null) this.tail = before;
    else after.before = before;
    if (before?.ordinal !== ordinal && after?.ordinal !== ordinal) this.ordinals -= 1;
  }
}
