/**
 * Time as something that is handed in, so that no test sleeps.
 *
 * @module
 */

/** A source of time. Everything that waits takes one. */
export interface Clock {
  /** Milliseconds, monotonic; only differences mean something. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason at once when it aborts, leaving no timer and no listener. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fire` once after `ms` unless the returned function is called before. */
  timeout(ms: number, fire: () => void): () => void;
}

/** The longest delay a timer takes; above it, timers fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep(ms, signal) {
    return sleepOn(systemClock, ms, signal);
  },
  timeout(ms, fire) {
    const timer = setTimeout(fire, Math.min(Math.max(0, ms), maxTimerMs));
    return () => clearTimeout(timer);
  },
};

/** `sleep` in terms of `timeout`: for clocks of one's own. */
export function sleepOn(clock: Pick<Clock, "timeout">, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const done = (): void => {
      signal?.removeEventListener("abort", abort);
      resolve();
    };
    const cancel = clock.timeout(ms, done);
    const abort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}
