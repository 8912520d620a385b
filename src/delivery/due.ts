/**
 * One timer for many that all have the same time.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";

/** Calls for each item when its time is over. They are due in the order in which their times began, so that only the first needs a timer. */
export class Due<T> {
  private readonly clock: Clock;
  private readonly ms: number;
  private readonly over: (item: T) => void;
  /** When each is due; the next first. */
  private readonly atMs = new Map<T, number>();
  private cancel: (() => void) | undefined;
  private closed = false;

  constructor(clock: Clock, ms: number, over: (item: T) => void) {
    this.clock = clock;
    this.ms = ms;
    this.over = over;
  }

  /** The time of an item begins, or begins anew. */
  begin(item: T): void {
    if (this.closed) return;
    this.atMs.delete(item);
    this.atMs.set(item, this.clock.now() + this.ms); // last
    this.cancel ??= this.clock.timeout(this.ms, this.ring); // else one is set that rings earlier
  }

  drop(item: T): void {
    if (this.atMs.delete(item) && this.atMs.size === 0) this.quiet();
  }

  /** Nothing is due any more. */
  close(): void {
    this.closed = true;
    this.atMs.clear();
    this.quiet();
  }

  private quiet(): void {
    this.cancel?.();
    this.cancel = undefined;
  }

  private readonly ring = (): void => {
    const nowMs = this.clock.now();
    for (const [item, atMs] of this.atMs) {
      if (atMs > nowMs) break;
      this.atMs.delete(item);
      this.over(item);
    }
    this.quiet();
    // only now: what began meanwhile is behind the others
    const [nextMs] = this.atMs.values();
    if (nextMs !== undefined) this.cancel = this.clock.timeout(nextMs - nowMs, this.ring);
  };
}
