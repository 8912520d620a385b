/**
 * Leases of one length on one timer: they end in the order in which they began.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** The leases of one reader. */
export class Leases<T> {
  private readonly ms: number;
  private readonly clock: Clock;
  private readonly over: (holder: T) => void;
  private readonly begun = new Map<T, number>();
  private cancel: (() => void) | undefined;

  constructor(ms: number, clock: Clock, over: (holder: T) => void) {
    this.ms = ms;
    this.clock = clock;
    this.over = over;
  }

  /** Begins a lease, or begins it again. */
  begin(holder: T, atMs: number = this.clock.now()): void {
    this.begun.delete(holder); // to the end of the order
    this.begun.set(holder, atMs);
    this.cancel ??= this.clock.timeout(this.ms, () => this.look());
  }

  end(holder: T): void {
    this.begun.delete(holder); // the timer stays: the next message will need it
  }

  /** Ends all, and calls nobody. */
  stop(): void {
    this.begun.clear();
    this.cancel?.();
    this.cancel = undefined;
  }

  private look(): void {
    this.cancel = undefined;
    const now = this.clock.now();
    for (const [holder, atMs] of this.begun) {
      const leftMs = atMs + this.ms - now;
      if (leftMs > 0) {
        this.cancel = this.clock.timeout(leftMs, () => this.look());
        return;
      }
      this.begun.delete(holder);
      this.over(holder);
    }
  }
}
