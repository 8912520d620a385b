/**
 * Time and chance for simulations of many calls.
 *
 * @module
 */
import { type Clock, sleepOn } from "../../src/core/clock.ts";

/** A clock that plays. */
export interface Simulation extends Clock {
  play(untilMs: number): Promise<void>;
  /** Timers that have neither fired nor been cancelled. */
  readonly pending: number;
}

/** A clock that goes from timer to timer, one turn of the event loop for all that are due: a hundred thousand take seconds. */
export function simulation(): Simulation {
  let nowMs = 0;
  const due = new Map<number, Set<() => void>>(); // by millisecond
  const clock: Simulation = {
    now: () => nowMs,
    sleep: (ms, signal) => sleepOn(clock, ms, signal),
    timeout(ms, fire) {
      const atMs = nowMs + Math.max(1, Math.ceil(ms));
      const slot = due.get(atMs) ?? new Set();
      due.set(atMs, slot.add(fire));
      return () => void slot.delete(fire);
    },
    get pending() {
      let count = 0;
      for (const slot of due.values()) count += slot.size;
      return count;
    },
    async play(untilMs) {
      await new Promise((resolve) => setImmediate(resolve));
      for (; nowMs < untilMs; nowMs += 1) {
        const slot = due.get(nowMs);
        if (slot === undefined) continue;
        due.delete(nowMs);
        for (const fire of slot) fire();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
  return clock;
}

/** Numbers from 0 to 1 that are the same each time: mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
