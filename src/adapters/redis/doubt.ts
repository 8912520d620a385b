/**
 * When a reader asks the server what it has without knowing, because an answer may have been lost.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** A first look at once, and one more when the server no longer works on what it had been asked before the answer was lost. */
export class Doubt {
  private readonly clock: Clock;
  private readonly laterMs: number;
  private atMs = -Infinity;
  private againMs = Infinity;

  /** `busyMs`: how long the server may be at work on a call, waiting included. */
  constructor(clock: Clock, busyMs: number) {
    this.clock = clock;
    this.laterMs = busyMs * 2;
  }

  get isDue(): boolean {
    return this.clock.now() >= this.atMs;
  }

  /** An answer was lost. */
  begin(): void {
    this.atMs = this.clock.now();
    this.againMs = this.atMs + this.laterMs;
  }

  /** It was asked just now. */
  asked(): void {
    this.atMs = this.againMs;
    this.againMs = Infinity;
  }
}
