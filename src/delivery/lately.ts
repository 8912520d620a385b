/**
 * Ids that are remembered for a while.
 *
 * @module
 */

/** Ids that are remembered; beyond it those are forgotten that were added longest ago. */
const maxRemembered = 10_000;

/** A set of ids that does not grow. */
export class Lately {
  private readonly ids = new Set<string>();

  /** True when it was not there. */
  add(id: string): boolean {
    if (this.ids.has(id)) return false;
    this.ids.add(id);
    for (const oldest of this.ids) {
      if (this.ids.size <= maxRemembered) break;
      this.ids.delete(oldest);
    }
    return true;
  }

  delete(id: string): void {
    this.ids.delete(id);
  }
}
