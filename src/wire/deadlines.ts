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
  fromMs: number;
}

/**
 * Makes deadlines that call `expired` with the name of the first one missed, once.
 *
 * Restarting costs a subtraction: the timer is left as it is, and looks again when it fires.
 */
export function deadlines(clock: Clock, expired: (name: string) => void): Deadlines {
  const running = new Map<string, Deadline>();
  let cancel: (() => void) | undefined;
  let armedForMs = Infinity;
  let pausedAtMs: number | undefined;

  const arm = (): void => {
    if (pausedAtMs !== undefined) return;
    let firstMs = Infinity;
    for (const { fromMs, ms } of running.values()) firstMs = Math.min(firstMs, fromMs + ms);
    if (firstMs >= armedForMs) return; // the timer comes no later than needed
    cancel?.();
    cancel = undefined;
    armedForMs = firstMs;
    if (firstMs !== Infinity) cancel = clock.timeout(firstMs - clock.now(), fire);
  };
  const fire = (): void => {
    cancel = undefined;
    armedForMs = Infinity;
    if (pausedAtMs !== undefined) return; // armed again by `resume`
    const nowMs = clock.now();
    for (const [name, { fromMs, ms }] of running) {
      if (fromMs + ms > nowMs) continue;
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
  };
  return {
    set(name, ms) {
      running.set(name, { ms, fromMs: pausedAtMs ?? clock.now() });
      arm();
    },
    restart(name) {
      const deadline = running.get(name);
      if (deadline !== undefined) deadline.fromMs = pausedAtMs ?? clock.now();
    },
    clear(name) {
      running.delete(name);
    },
    pause() {
      pausedAtMs ??= clock.now();
    },
    resume() {
      if (pausedAtMs === undefined) return;
      const passedMs = clock.now() - pausedAtMs;
      pausedAtMs = undefined;
      for (const deadline of running.values()) deadline.fromMs += passedMs;
      arm();
    },
    stop,
  };
}
