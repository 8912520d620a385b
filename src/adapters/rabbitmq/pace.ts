/**
 * How soon a connection that was lost is tried again.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** The first new connection is tried within so many milliseconds, each further one within twice the time. */
const baseMs = 400;
/** A broker that is back is found within this. */
const maxMs = 5_000;

/** How soon another connection may be tried. */
export class Pace {
  private readonly clock: Clock;
  private failures = 0;
  private openedMs = Infinity;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  opened(): void {
    this.openedMs = this.clock.now();
  }

  /** There is no connection, or no more. Gives the milliseconds to wait: half of them random, so that not all who lost one come together. */
  failed(): number {
    // one that held only for a moment is no sign that all is well
    if (this.clock.now() - this.openedMs >= maxMs) this.failures = 0;
    this.openedMs = Infinity;
    const delayMs = Math.min(maxMs, baseMs * 2 ** Math.min(this.failures, 10));
    this.failures += 1;
    return delayMs * (1 + Math.random()) * 0.5;
  }
}
