/**
 * What every store does with the chunks it is given.
 *
 * @module
 */
import { MillraceError, received } from "../core/errors.ts";
import type { BlobChunks } from "./blob-store.ts";
import { bounded } from "./blob-store.ts";

/** For failures of a source that was given up. */
function ignore(): void {}

/**
 * The chunks as a store may write them: at most 1 MiB each, none empty, their total as announced. It hears the signal also
 * while the source is parked and within a large chunk, and closes the source whichever way it is left.
 *
 * Throws `invalid_input` for what is no `Uint8Array`, and for another total than `size`.
 */
export async function* chunksOf(
  who: string,
  chunks: BlobChunks,
  { signal, size }: { readonly signal?: AbortSignal; readonly size?: number },
): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted();
  const source = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  let fail: (reason: unknown) => void = ignore;
  const abort = (): void => fail(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  let open = true;
  let parked = false;
  let total = 0;
  try {
    for (;;) {
      parked = true;
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        fail = reject;
        if (signal?.aborted) reject(signal.reason);
        else Promise.resolve(source.next()).then(resolve, (error: unknown) => {
          open = false;
          reject(error);
        });
      });
      parked = false;
      if (next.done === true) break;
      if (!(next.value instanceof Uint8Array)) {
        throw new MillraceError("invalid_input", `${who}: a chunk must be a Uint8Array, got ${received(next.value)}`);
      }
      total += next.value.byteLength;
      if (size !== undefined && total > size) throw wrongSize(who, size, `at least ${total}`);
      for (const piece of bounded(next.value)) {
        signal?.throwIfAborted(); // one chunk may be gigabytes
        yield piece;
      }
    }
    open = false;
    if (size !== undefined && total !== size) throw wrongSize(who, size, String(total));
  } finally {
    signal?.removeEventListener("abort", abort);
    if (open) {
      const closing = Promise.resolve(source.return?.());
      if (parked) closing.catch(ignore); // it waits behind a read that may never end
      else await closing;
    }
  }
}

function wrongSize(who: string, size: number, met: string): MillraceError {
  return new MillraceError("invalid_input", `${who}: size said ${size} bytes, got ${met}`);
}
