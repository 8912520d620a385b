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
  /** The question under way. */
  private asking: { readonly answer: Promise<void>; readonly controller: AbortController } | undefined = undefined;
  /** The store has left the question before unanswered: it is asked all the same, but no call waits for it. */
  private hung = false;

  constructor(store: MarkStore, key: string, clock: Clock, heard: (remainingMs: number) => void) {
    this.store = store;
    this.key = key;
    this.clock = clock;
    this.heard = heard;
  }

  /** The answer to wait for, if there is one: it never rejects, and may never come. */
  ask(): Promise<void> | undefined {
    const nowMs = this.clock.now();
    if (nowMs - this.askedMs >= everyMs) {
      this.askedMs = nowMs;
      this.hung = this.asking !== undefined;
      this.asking?.controller.abort();
      const controller = new AbortController();
      this.asking = { answer: this.read(controller), controller };
    }
    return !this.hung && nowMs - this.askedMs < hintWaitMs ? this.asking?.answer : undefined;
  }

  private async read(controller: AbortController): Promise<void> {
    let openMs = 0;
    try {
      const { aheadMs } = await this.store.advance(this.key, {}, { signal: controller.signal });
      openMs = aheadMs[mark] ?? 0;
    } catch {
      // the store is down: what is known here counts
    }
    if (this.asking?.controller !== controller) return; // given up: it tells how things stood long ago
    this.asking = undefined;
    this.heard(openMs);
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
