/**
 * A clock that stands still until it is told.
 *
 * @module
 */
import { type Clock, sleepOn } from "../core/clock.ts";

/** A clock for tests: nothing happens by itself. */
export interface FakeClock extends Clock {
  /** Moves time on, firing what is due in order; promises get their turns in between. */
  advance(ms: number): Promise<void>;
  /** Timers that have neither fired nor been cancelled. */
  readonly pending: number;
}

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** Macrotask turns that what a timer woke gets before the next timer fires. */
const turnsBetween = 2;

/**
 * Makes a clock at 0 ms.
 *
 * @example
 * const clock = fakeClock();
 * const slept = clock.sleep(60_000);
 * await clock.advance(60_000);
 * await slept;
 * console.log(clock.now()); // 60000
 */
export function fakeClock(): FakeClock {
  let nowMs = 0;
  const timers = new Set<Timer>();
  const clock: FakeClock = {
    now: () => nowMs,
    sleep: (ms, signal) => sleepOn(clock, ms, signal),
    timeout(ms, fire) {
      const timer: Timer = { atMs: nowMs + Math.max(0, ms), fire };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await turns();
      for (let next = earliest(timers, untilMs); next !== undefined; next = earliest(timers, untilMs)) {
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.fire();
        await turns();
      }
      nowMs = untilMs;
    },
    get pending() {
      return timers.size;
    },
  };
  return clock;
}

function earliest(timers: ReadonlySet<Timer>, untilMs: number): Timer | undefined {
  let first: Timer | undefined;
  for (const timer of timers) {
    if (timer.atMs <= untilMs && (first === undefined || timer.atMs < first.atMs)) first = timer;
  }
  return first;
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < turnsBetween; turn += 1) await new Promise<void>((resolve) => setTimeout(resolve, 0));
}
