/**
 * How often a delivery has been tried, as far as this worker knows: where the queue does not count, or attempts are made in place.
 *
 * @module
 */
import type { Delivery } from "../kinds/queue.ts";

/** Deliveries that are remembered; beyond it those are forgotten that failed longest ago. */
const maxRemembered = 10_000;

/** Counts attempts that failed. */
export class AttemptCount {
  private readonly failed = new Map<string, number>();

  /** The number of the attempt that is being made. */
  number({ id, attempt }: Delivery): number {
    return this.failed.size === 0 ? attempt : Math.max(attempt, (this.failed.get(id) ?? 0) + 1); // to hash an id takes longer than all else here
  }

  /** The attempt that was being made has failed, and counts. Gives its number. */
  count(delivery: Delivery): number {
    const attempts = this.number(delivery);
    this.failed.delete(delivery.id);
    this.failed.set(delivery.id, attempts); // last
    for (const oldest of this.failed.keys()) {
      if (this.failed.size <= maxRemembered) break;
      this.failed.delete(oldest);
    }
    return attempts;
  }

  /** It will not come again. */
  forget({ id }: Delivery): void {
    if (this.failed.size > 0) this.failed.delete(id);
  }
}
