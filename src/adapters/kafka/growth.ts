/**
 * Notices that a topic has got more partitions: the broker tells nobody, and they are nobody's until the group is divided anew.
 *
 * Source: `metadata.max.age.ms` of Kafka's own client, by which whoever divides the group looks too.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** Milliseconds between looks. */
const lookMs = 300_000;

/** What is looked after. */
export interface GrowthWatch {
  readonly clock: Clock;
  /** Partitions by which we have divided the group; undefined while it is another who divides it. */
  divided(): number | undefined;
  /** Partitions that there are. */
  count(): Promise<number>;
  grown(): void;
}

/** Looks until the returned function is called. */
export function watchGrowth({ clock, divided, count, grown }: GrowthWatch): () => void {
  let cancel: (() => void) | undefined;
  const look = async (): Promise<void> => {
    if (divided() !== undefined) {
      const found = await count().catch(() => 0); // not known now: the next look will tell
      const known = divided();
      if (cancel === undefined) return;
      if (known !== undefined && found > known) grown();
    }
    cancel = clock.timeout(lookMs, () => void look());
  };
  cancel = clock.timeout(lookMs, () => void look());
  return () => {
    cancel?.();
    cancel = undefined;
  };
}
