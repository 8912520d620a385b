/**
 * The life of an adapter: what runs in it, and its end.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { LinkedList } from "../core/linked-list.ts";

/** A call in the life of an adapter. */
export interface RunningCall {
  /** Aborts with the caller's signal, with the end of the adapter, and by `abort`. One a call: signals that live long gather no listeners. */
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** The call is over: nothing listens on its behalf any more. */
  leave(): void;
}

/** Open until it is closed. */
export interface Lifetime {
  /** Begins a call, aborted already where the caller's signal is; throws `closed` after the end. */
  begin(signal: AbortSignal | undefined): RunningCall;
  /** Takes a call into account, until the returned function is called; throws `closed` after the end. */
  enter(abort: (reason: unknown) => void): () => void;
  /** Ends every call with code `closed`; twice is once. */
  close(): Promise<void>;
}

/** Starts one; `closing` is what the adapter itself has to close. */
export function lifetime(service: string, closing: () => Promise<void>): Lifetime {
  const calls = new LinkedList<(reason: unknown) => void>();
  let closed: Promise<void> | undefined;
  const error = (): MillraceError => new MillraceError("closed", `${service}: was closed`, { service });
  const enter = (abort: (reason: unknown) => void): (() => void) => {
    if (closed !== undefined) throw error();
    const node = calls.push(abort);
    return () => {
      calls.delete(node);
    };
  };
  return {
    begin(signal) {
      const stop = new AbortController();
      const abort = (reason: unknown): void => stop.abort(reason);
      const hear = (): void => abort(signal?.reason);
      const leave = enter(abort);
      if (signal?.aborted === true) hear();
      signal?.addEventListener("abort", hear, { once: true });
      return {
        signal: stop.signal,
        abort,
        leave() {
          signal?.removeEventListener("abort", hear);
          leave();
        },
      };
    },
    enter,
    close() {
      if (closed !== undefined) return closed;
      closed = Promise.resolve().then(closing); // in place before the calls hear of it
      for (const abort of calls) abort(error());
      calls.clear();
      return closed;
    },
  };
}
