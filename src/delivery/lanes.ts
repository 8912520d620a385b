/**
 * What must wait for what, so that messages are worked on in order.
 *
 * @module
 */

/** In which order messages are worked on: any, those of one key one after the other, or all of them. */
export type Ordering = "none" | "key" | "strict";

/** A place in one or more lanes. */
export interface Place {
  /** Resolves when all that came before in these lanes has left them. */
  readonly turn: Promise<unknown> | undefined;
  leave(): void;
}

/** The place of who waits for nobody. */
export const anywhere: Place = { turn: undefined, leave: () => {} };

/** Lanes by key. One that nobody is in takes no memory. */
export class Lanes {
  private readonly ordering: Ordering;
  /** Who came last into each lane, as a promise that resolves when it leaves. */
  private readonly last = new Map<string, Promise<void>>();

  constructor(ordering: Ordering) {
    this.ordering = ordering;
  }

  get size(): number {
    return this.last.size;
  }

  /** Takes a place behind all that are in the lanes of these keys. All places at once, so that no two wait for each other. */
  enter(keys: readonly (string | undefined)[]): Place {
    const lanes = new Set(this.ordering === "none" ? [] : this.ordering === "strict" ? [""] : keys.filter((key) => key !== undefined));
    if (lanes.size === 0) return anywhere;
    let left = (): void => {};
    const here = new Promise<void>((resolve) => (left = resolve));
    const before: Promise<void>[] = [];
    for (const lane of lanes) {
      const last = this.last.get(lane);
      if (last !== undefined) before.push(last);
      this.last.set(lane, here);
    }
    return {
      turn: before.length === 0 ? undefined : Promise.all(before),
      leave: () => {
        left();
        for (const lane of lanes) if (this.last.get(lane) === here) this.last.delete(lane);
      },
    };
  }
}
