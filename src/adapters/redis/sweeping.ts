/**
 * When a reader keeps house in its stream.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { ignore } from "../../core/flow.ts";

/** Settled messages, and milliseconds, after which it does. */
const sweepCount = 2_000;
const sweepMs = 5_000;

/** Counts what was settled. */
export class Sweeping {
  private readonly clock: Clock;
  private readonly sweep: () => Promise<void>;
  private sweptMs: number;
  private count = 0;

  constructor(clock: Clock, sweep: () => Promise<void>) {
    this.clock = clock;
    this.sweep = sweep;
    this.sweptMs = clock.now();
  }

  settled(): void {
    this.count += 1;
    if (this.count < sweepCount && this.clock.now() - this.sweptMs < sweepMs) return;
    this.count = 0;
    this.sweptMs = this.clock.now();
    this.sweep().catch(ignore); // the next one does what this one could not
  }
}
