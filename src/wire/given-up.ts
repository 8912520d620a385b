/**
 * Calls of a client that knows no deadline of ours, each of which may be given up: by its signal, by the clock, by the end of the adapter.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { heard } from "./heard.ts";
import { lifetime } from "./lifetime.ts";

/** A call in progress. */
export interface Call {
  /** Aborts when the call is given up, for what can be interrupted. */
  readonly signal: AbortSignal;
  /** One request of the call, which has its own time. A promise that was given up is heard by nobody. */
  request<T>(send: () => Promise<T>): Promise<T>;
}

/** The calls of an adapter. */
export interface Calls {
  /** Throws: what `work` throws, or why the call was given up: the signal's reason, `timeout`, `closed`. */
  run<T>(what: string, work: (call: Call) => Promise<T>, signal: AbortSignal | undefined): Promise<T>;
  /** Ends every call with code `closed`, then closes what the adapter itself has to close; twice is once. */
  close(): Promise<void>;
}

/** How calls are kept. */
export interface CallsOptions {
  readonly service: string;
  /** Milliseconds for a request. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly closing: () => Promise<void>;
}

/** Keeps the calls of one adapter. */
export function givenUpCalls({ service, timeoutMs, clock, closing }: CallsOptions): Calls {
  const life = lifetime(service, closing);
  return {
    async run(what, work, signal) {
      const running = life.begin(signal);
      const late = (): void => running.abort(new MillraceError("timeout", `${service}: ${what}: no answer in ${timeoutMs} ms`, { service, phase: "idle" }));
      const call: Call = {
        signal: running.signal,
        async request(send) {
          running.signal.throwIfAborted();
          const cancel = clock.timeout(timeoutMs, late);
          try {
            return await heard(send(), running.signal);
          } finally {
            cancel();
          }
        },
      };
      try {
        running.signal.throwIfAborted();
        return await heard(work(call), running.signal);
      } finally {
        running.leave();
      }
    },
    close: life.close,
  };
}
