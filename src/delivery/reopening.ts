/**
 * Reading on from a source that fails now and then.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { isMillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Tell } from "./events.ts";
import { askedMs, verdictOn } from "./verdict.ts";

/** A source that fails is opened again after a random time up to this, then up to twice this, and so on. */
const reopenBaseMs = 1_000;
const reopenMaxMs = 60_000;

/** How a source is opened again. */
export interface Reopening {
  /** Nothing more is wanted. */
  readonly signal: AbortSignal;
  /** Messages that have come so far: a source that gave some was well, and its failure is the first. */
  readonly received: () => number;
  /** Hears of each failure that is not the last. */
  readonly tell: Tell;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Reads until the source ends, or the signal aborts. Rejects with what cannot be helped by opening it again. */
export async function reopening(read: () => Promise<void>, { signal, received, tell, clock, random }: Reopening): Promise<void> {
  for (let failures = 0; !signal.aborted; failures += 1) {
    const before = received();
    try {
      return await read();
    } catch (error) {
      if (signal.aborted) return;
      if (!isMillraceError(error) || !["pause", "redeliver"].includes(verdictOn(error))) throw error;
      if (received() > before) failures = 0;
      const delayMs = askedMs(error) ?? random() * Math.min(reopenMaxMs, reopenBaseMs * 2 ** Math.min(failures, 16));
      tell({ kind: "source_failed", delayMs, error });
      await clock.sleep(delayMs, signal).catch(ignore);
    }
  }
}
