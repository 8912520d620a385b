/**
 * A server that is away for a while: all who miss it wait together, and one of them looks whether it is back.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { heard } from "../../wire/heard.ts";

/** How often somebody looks: at most five times a second, then once. */
const firstWaitMs = 200;
const maxWaitMs = 1_000;

/** What is needed to wait for a server. */
export interface AwayOptions {
  readonly who: string;
  /** Is it there? Must end by itself. */
  readonly probe: (signal: AbortSignal) => Promise<boolean>;
  /** Milliseconds after which it counts as gone. */
  readonly awayMs: number;
  readonly clock: Clock;
}

/** Waits until the server is back; throws `unavailable` when it has been away for `awayMs`, and the signal's reason. */
export type AwaitReturn = (signal: AbortSignal) => Promise<void>;

/** Opens the waiting room. */
export function awaitReturn({ who, probe, awayMs, clock }: AwayOptions): AwaitReturn {
  let looking: { readonly back: Promise<void>; readonly stop: AbortController; waiting: number } | undefined;
  const look = async (signal: AbortSignal): Promise<void> => {
    const since = clock.now();
    for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMs * 2, maxWaitMs)) {
      await clock.sleep(waitMs, signal);
      if (await probe(signal)) return;
      signal.throwIfAborted();
      if (clock.now() - since >= awayMs) throw new MillraceError("unavailable", `${who}: the server could not be reached for ${awayMs} ms`, { service: who });
    }
  };
  return async (signal) => {
    if (looking === undefined) {
      const stop = new AbortController();
      const own = { stop, waiting: 0, back: look(stop.signal).finally(() => (looking === own ? (looking = undefined) : undefined)) };
      looking = own;
      own.back.catch(() => {}); // heard by those who wait
    }
    const joined = looking;
    joined.waiting += 1;
    try {
      await heard(joined.back, signal);
    } finally {
      joined.waiting -= 1;
      if (joined.waiting === 0) joined.stop.abort(); // nobody misses it any more
      if (joined.waiting === 0 && looking === joined) looking = undefined;
    }
  };
}
