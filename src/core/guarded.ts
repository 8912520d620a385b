/**
 * Calls listeners so that they can break nothing.
 *
 * @module
 */
import { ignore, isPromise } from "./flow.ts";

/** Calls a listener, which may throw, and reject if it is async. Nobody hears of that, as it is the listener that failed. */
export function guarded(call: () => unknown): void {
  try {
    const told = call();
    if (isPromise(told)) Promise.resolve(told).catch(ignore);
  } catch {
    // nobody to tell
  }
}
