/**
 * Whether failures that look like bad messages are an outage that nobody has named, and for how long that is believed.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";

/** So many different deliveries that failed, with no success between, are no chance. */
const differentDeliveries = 5;

/** Begins with failures and ends with the first success. */
export class Suspicion {
  private readonly clock: Clock;
  private readonly outageMs: number;
  /** Deliveries that failed since the last success. */
  private readonly failing = new Set<string>();
  private sinceMs: number | undefined;

  /** What lasts longer than `outageMs` is taken for what it looks like; 0: no suspicion at all. */
  constructor(clock: Clock, outageMs: number) {
    this.clock = clock;
    this.outageMs = outageMs;
  }

  failed(id: string): void {
    if (this.failing.size < differentDeliveries) this.failing.add(id);
  }

  succeeded(): void {
    if (this.failing.size > 0) this.failing.clear(); // once a message: to clear a set makes a new table
    this.sinceMs = undefined;
  }

  /** Something is out of order that has a name: what failed beside it is suspected anew. */
  named(): void {
    this.sinceMs = undefined;
  }

  /** Are the failures too many to be chance? */
  get many(): boolean {
    return this.failing.size >= differentDeliveries;
  }

  /** Has a message been spared, and none succeeded since? */
  get on(): boolean {
    return this.sinceMs !== undefined;
  }

  /** Are messages still spared that may be bad? Then those that wait to be tried stand in the way of good ones. */
  get doubts(): boolean {
    return this.on && this.leftMs > 0;
  }

  /** For how long messages are still spared. */
  get leftMs(): number {
    return this.sinceMs === undefined ? this.outageMs : Math.max(0, this.sinceMs + this.outageMs - this.clock.now());
  }

  /** Is a message that would be set aside spared? After its time none is but by the pause: only what was let in to see is decided. */
  spares(probe: boolean): boolean {
    if (this.outageMs === 0) return false;
    this.sinceMs ??= this.clock.now();
    return this.leftMs > 0 || !probe;
  }
}
