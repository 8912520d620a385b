/**
 * Notices messages that hold up their partition: it is looked for them now and then, so that no message costs a look at the clock.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { Partition } from "./partition.ts";

/** Looks in the time after which a message is stuck: it is told of so much of that time too late, at most. */
const looks = 8;

/** What is looked after. */
export interface StuckWatch {
  readonly clock: Clock;
  readonly maxStuckMs: number;
  partitions(): Iterable<Partition>;
  /** Told each time that a message has been the oldest of its partition for another `maxStuckMs`. */
  tell(partition: number, offset: bigint, forMs: number): void;
}

/** Looks until the returned function is called. */
export function watchStuck({ clock, maxStuckMs, partitions, tell }: StuckWatch): () => void {
  let seen = new Map<Partition, { readonly offset: bigint; readonly sinceMs: number; readonly toldMs: number }>();
  let cancel: () => void;
  const look = (): void => {
    const nowMs = clock.now();
    const next: typeof seen = new Map();
    for (const partition of partitions()) {
      const offset = partition.oldest;
      if (offset === undefined) continue;
      const before = seen.get(partition);
      const same = before?.offset === offset ? before : { offset, sinceMs: nowMs, toldMs: nowMs };
      const due = nowMs - same.toldMs >= maxStuckMs;
      next.set(partition, due ? { ...same, toldMs: nowMs } : same);
      if (due) tell(partition.index, offset, nowMs - same.sinceMs);
    }
    seen = next;
    cancel = clock.timeout(maxStuckMs / looks, look);
  };
  cancel = clock.timeout(maxStuckMs / looks, look);
  return () => cancel();
}
