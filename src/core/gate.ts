/**
 * A door that parts pass in their order.
 *
 * @module
 */

/** Lets a part in when fewer than `limit` earlier ones have yet to leave. Parts are numbered from 0, without a gap. */
export class Gate {
  private readonly limit: number;
  /** Every part below has left. */
  private low = 0;
  private readonly gone = new Set<number>();
  private readonly waiting = new Map<number, () => void>();

  constructor(limit: number) {
    this.limit = limit;
  }

  enter(ordinal: number): Promise<void> | undefined {
    if (this.isOpen(ordinal)) return undefined;
    return new Promise((resolve) => this.waiting.set(ordinal, resolve));
  }

  leave(ordinal: number): void {
    if (ordinal < this.low || this.gone.has(ordinal)) return;
    this.gone.add(ordinal);
    while (this.gone.delete(this.low)) this.low += 1;
    for (const [waiter, resolve] of this.waiting) {
      if (!this.isOpen(waiter)) continue;
      this.waiting.delete(waiter);
      resolve();
    }
  }

  private isOpen(ordinal: number): boolean {
    let earlier = ordinal - this.low;
    for (const gone of this.gone) if (gone < ordinal) earlier -= 1;
    return earlier < this.limit;
  }
}
