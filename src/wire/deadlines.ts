/**
 * Several deadlines on one timer, which stand still while nobody waits.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";

/** Named deadlines of one call. */
export interface Deadlines {
  /** Sets one, `ms` from now; replaces an earlier one of the name. */
  set(name: string, ms: number): void;
  /** Starts one that is set anew. */
  restart(name: string): void;
  clear(name: string): void;
  /** Nobody waits: time does not count. */
  pause(): void;
  resume(): void;
  /** Clears all, for good. */
  stop(): void;
}

interface Deadline {
  readonly ms: number;
  /** In the time that was waited. */
  dueMs: number;
}

/**
 * Makes deadlines that call `expired` with the name of the first one missed, once.
 *
 * They are kept in the time that was waited, which stands still in a pause. Restarting costs an addition: the timer is left as it
 * is, and looks again when it fires.
 */
export function deadlines(clock: Clock, expired: (name: string) => void): Deadlines {
  const running = new Map<string, Deadline>();
  let cancel: (() => void) | undefined;
  let armedForMs = Infinity;
  let firstMs = Infinity; // no deadline comes before
  let pausesMs = 0;
  let pausedAtMs: number | undefined;

  const waitedMs = (): number => pausedAtMs ?? clock.now() - pausesMs;
  const arm = (): void => {
    if (pausedAtMs !== undefined || firstMs >= armedForMs) return; // the timer comes no later than needed
    cancel?.();
    armedForMs = firstMs;
    cancel = clock.timeout(firstMs - waitedMs(), fire);
  };
  const fire = (): void => {
    cancel = undefined;
    armedForMs = Infinity;
    if (pausedAtMs !== undefined) return; // armed again by `resume`
    const nowMs = waitedMs();
    firstMs = Infinity;
    for (const [name, { dueMs }] of running) {
      firstMs = Math.min(firstMs, dueMs);
      if (dueMs > nowMs) continue;
      stop();
      return expired(name);
    }
    arm();
  };
  const stop = (): void => {
    running.clear();
    cancel?.();
    cancel = undefined;
    armedForMs = Infinity;
    firstMs = Infinity;
  };
  return {
    set(name, ms) {
      const dueMs = waitedMs() + ms;
      running.set(name, { ms, dueMs });
      firstMs = Math.min(firstMs, dueMs);
      arm();
    },
    restart(name) {
      const deadline = running.get(name);
      if (deadline !== undefined) deadline.dueMs = waitedMs() + deadline.ms;
    },
    clear(name) {
      running.delete(name);
    },
    pause() {
      pausedAtMs ??= waitedMs();
    },
    resume() {
      if (pausedAtMs === undefined) return;
      pausesMs = clock.now() - pausedAtMs;
      pausedAtMs = undefined;
      arm();
    },
    stop,
  };
}
