/**
 * What circuits of several processes tell each other: that one of them is open, and for how long still.
 *
 * A hint, no more: each circuit has its own state, and a store that is slow or gone changes nothing.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { MarkStore } from "../../kinds/key-value.ts";

/** How often the store is asked at most. */
const everyMs = 1_000;
/** A call waits for the store's answer so long, and then goes by what is known here. */
export const hintWaitMs = 50;

/** The mark that says so. */
const mark = "open";

/** Asks and tells one key of a store. */
export class BreakerHints {
  private readonly store: MarkStore;
  private readonly key: string;
  private readonly clock: Clock;
  private readonly heard: (remainingMs: number) => void;
  private askedMs = -Infinity;
  private asking: Promise<void> | undefined = undefined;

  constructor(store: MarkStore, key: string, clock: Clock, heard: (remainingMs: number) => void) {
    this.store = store;
    this.key = key;
    this.clock = clock;
    this.heard = heard;
  }

  /** The answer to wait for, if there is one: it never rejects, and may never come. */
  ask(): Promise<void> | undefined {
    const sinceMs = this.clock.now() - this.askedMs;
    if (this.asking === undefined && sinceMs >= everyMs) {
      this.askedMs = this.clock.now();
      this.asking = this.read();
      return this.asking;
    }
    return sinceMs < hintWaitMs ? this.asking : undefined;
  }

  private async read(): Promise<void> {
    try {
      const { aheadMs } = await this.store.advance(this.key, {});
      this.heard(aheadMs[mark] ?? 0);
    } catch {
      // the store is down: what is known here counts
    } finally {
      this.asking = undefined;
    }
  }

  /** The circuit here is open for so long. */
  tell(openMs: number): void {
    void this.write(openMs);
  }

  private async write(openMs: number): Promise<void> {
    try {
      await this.store.advance(this.key, { [mark]: { atLeastMs: openMs } });
    } catch {
      // then the others find out for themselves
    }
  }
}
