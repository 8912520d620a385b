/**
 * Gathers single texts into calls of an embedder.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { type Embedder, vectorsOf } from "./embedder.ts";

/** How texts are gathered. */
export interface BatchLimits {
  /** Texts of a call at most. */
  readonly batch: number;
  /** Calls in progress at most. */
  readonly concurrency: number;
  /** Milliseconds that a text waits for others. */
  readonly maxWaitMs: number;
  readonly clock: Clock;
}

interface Waiting {
  readonly text: string;
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
}

/** Gives the vector of a text; the call it goes with is full, or has waited long enough, or is next after one that ended. */
export type EmbedOne = (text: string) => Promise<Float32Array>;

/** A batcher for one stage of one run. When the signal aborts, waiting texts reject with its reason and no timer is left. */
export function embedBatcher(who: string, embedder: Embedder, limits: BatchLimits, signal: AbortSignal): EmbedOne {
  const { batch, concurrency, maxWaitMs, clock } = limits;
  let waiting: Waiting[] = [];
  let calls = 0;
  /** Have those who wait now waited long enough? */
  let due = false;
  let cancel: (() => void) | undefined;

  const start = (): void => {
    while (calls < concurrency && (waiting.length >= batch || (due && waiting.length > 0))) void call(waiting.splice(0, batch));
    if (waiting.length > 0) {
      if (!due) arm();
      return;
    }
    due = false;
    disarm();
  };
  const arm = (): void => {
    cancel ??= clock.timeout(maxWaitMs, () => {
      cancel = undefined;
      due = true;
      start();
    });
  };
  const disarm = (): void => {
    cancel?.();
    cancel = undefined;
  };
  const call = async (group: readonly Waiting[]): Promise<void> => {
    calls += 1;
    try {
      const vectors = await vectorsOf(who, embedder, group.map(({ text }) => text), { signal });
      for (const [index, vector] of vectors.entries()) group[index]?.resolve(vector);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    calls -= 1;
    start();
  };
  signal.addEventListener(
    "abort",
    () => {
      disarm();
      for (const { reject } of waiting) reject(signal.reason);
      waiting = [];
    },
    { once: true },
  );
  return (text) => {
    if (signal.aborted) return Promise.reject(signal.reason as unknown);
    return new Promise((resolve, reject) => {
      waiting.push({ text, resolve, reject });
      start();
    });
  };
}
