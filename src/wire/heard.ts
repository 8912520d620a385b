/**
 * Waits that hear the signal.
 *
 * @module
 */

/** The promise, or the signal's reason if that comes first; then what the promise does later is nobody's concern. */
export function heard<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal?.reason);
    const unlisten = (): void => signal?.removeEventListener("abort", abort);
    // Handled in any case: a promise that was given up must not reject unheard.
    promise.then(
      (value) => {
        unlisten();
        resolve(value);
      },
      (error: unknown) => {
        unlisten();
        reject(signal?.aborted === true ? signal.reason : error);
      },
    );
    if (signal?.aborted === true) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
