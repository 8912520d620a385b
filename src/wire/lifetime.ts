/**
 * The life of an adapter: what runs in it, and its end.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** Open until it is closed. */
export interface Lifetime {
  /** Takes a call into account, until the returned function is called; throws `closed` after the end. */
  enter(abort: (reason: unknown) => void): () => void;
  /** Ends every call with code `closed`; twice is once. */
  close(): Promise<void>;
}

/** Starts one; `closing` is what the adapter itself has to close. */
export function lifetime(service: string, closing: () => Promise<void>): Lifetime {
  const calls = new Set<(reason: unknown) => void>();
  let closed: Promise<void> | undefined;
  const error = (): MillraceError => new MillraceError("closed", `${service}: was closed`, { service });
  return {
    enter(abort) {
      if (closed !== undefined) throw error();
      calls.add(abort);
      return () => {
        calls.delete(abort);
      };
    },
    close() {
      if (closed !== undefined) return closed;
      closed = Promise.resolve().then(closing); // in place before the calls hear of it
      for (const abort of calls) abort(error());
      calls.clear();
      return closed;
    },
  };
}
