/**
 * Marks: moments on one clock, moved in one step, all or none.
 *
 * A mark that is ahead of now says how much of something is taken: this is the generic cell rate algorithm (ITU-T I.371) with
 * several cells, and enough for limits, pauses and for counting who is there. Stores do the same on their own clock.
 *
 * @module
 */
import { invalidOption } from "../core/errors.ts";

/** How one mark is moved. A mark that is not there, or is past, stands at now. */
export interface MarkStep {
  /** Moves it on by so many milliseconds; a negative number moves it back, but not behind now. @default 0 */
  readonly byMs?: number;
  /** Before that, brings it to at least so far ahead of now. */
  readonly atLeastMs?: number;
  /** Refuses all steps if the mark would stand further ahead of now than this. @default no limit */
  readonly withinMs?: number;
}

/** Marks to move, by name. */
export type MarkSteps = Readonly<Record<string, MarkStep>>;

/** What became of the steps. */
export interface Advanced {
  /** All marks were moved; otherwise none was. */
  readonly taken: boolean;
  /** 0 when taken; else milliseconds until the same steps would be, if nobody moves the marks meanwhile. */
  readonly waitMs: number;
  /** How far ahead of now each mark of the key is that is ahead at all, also those that no step named. */
  readonly aheadMs: Readonly<Record<string, number>>;
}

/** Sums of fractions of a millisecond are off by less than this: a microsecond, the step of the stores' clocks. */
const rounding = 0.001;

/** Moves marks, if all steps may be taken. Marks that are past are dropped. */
export function advanceMarks(marks: Map<string, number>, steps: MarkSteps, nowMs: number): Advanced {
  for (const [name, atMs] of marks) if (atMs <= nowMs) marks.delete(name);
  const moved: [name: string, atMs: number][] = [];
  let waitMs = 0;
  for (const [name, { byMs = 0, atLeastMs = 0, withinMs = Infinity }] of Object.entries(steps)) {
    const atMs = Math.max(marks.get(name) ?? nowMs, nowMs + atLeastMs) + byMs;
    waitMs = Math.max(waitMs, atMs - nowMs - withinMs);
    moved.push([name, atMs]);
  }
  const taken = waitMs <= rounding;
  if (taken) {
    for (const [name, atMs] of moved) {
      if (atMs > nowMs) marks.set(name, atMs);
      else marks.delete(name);
    }
  }
  const aheadMs = Object.fromEntries([...marks].map(([name, atMs]) => [name, atMs - nowMs]));
  return { taken, waitMs: taken ? 0 : waitMs, aheadMs };
}

/** Refuses steps that are none, and those that could never be taken. */
export function checkSteps(who: string, steps: MarkSteps): void {
  if (typeof steps !== "object" || steps === null) throw invalidOption(who, "steps", "an object of steps by name", steps);
  for (const [name, { byMs = 0, atLeastMs = 0, withinMs = Infinity }] of Object.entries(steps)) {
    if (!/^[\w.:-]{1,64}$/.test(name)) throw invalidOption(who, "name of a mark", "1 to 64 letters, digits, '.', '_', ':' and '-'", name);
    if (!Number.isFinite(byMs)) throw invalidOption(who, `steps.${name}.byMs`, "a number of milliseconds", byMs);
    if (!(Number.isFinite(atLeastMs) && atLeastMs >= 0)) throw invalidOption(who, `steps.${name}.atLeastMs`, "a number of milliseconds from 0", atLeastMs);
    if (!(withinMs >= 0)) throw invalidOption(who, `steps.${name}.withinMs`, "a number of milliseconds from 0", withinMs);
    if (atLeastMs + byMs > withinMs + rounding) throw invalidOption(who, `steps.${name}.byMs`, `at most withinMs (${withinMs}), or it would never be taken`, byMs);
  }
}
