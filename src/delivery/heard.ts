/**
 * A wait that hears a signal, whatever it waits for.
 *
 * @module
 */
import { ignore } from "../core/flow.ts";

/** What the work gives, or the signal's reason, whichever is first. The work may go on; nobody hears of it then. */
export function heard<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    work.catch(ignore);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
