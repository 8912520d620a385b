/**
 * Leaving what is busy.
 *
 * @module
 */
import { ignore } from "./flow.ts";

/**
 * Microtask turns that something busy gets before leaving goes on without it: a handful are enough for a value that is on its
 * way, or for a `catch` and a `finally`, and nobody can tell what needs more from what is parked for ever.
 */
const turns = 64;

/**
 * Waits for the `return()` of something that was busy when it was left: to its end if it is free within some turns, which
 * `isFree` tells or else the end itself; otherwise not at all.
 */
export async function unwound(returned: Promise<unknown> | undefined, isFree?: () => boolean): Promise<void> {
  if (returned === undefined) return;
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  returned.then(note, note);
  for (let turn = 0; turn < turns; turn += 1) {
    if (settled || isFree?.() === true) {
      await returned;
      return;
    }
    await Promise.resolve();
  }
  returned.catch(ignore);
}
