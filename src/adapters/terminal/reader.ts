/**
 * A stream of the runtime's, chunk by chunk, as it is asked.
 *
 * It flows only while somebody waits. Its own iterator would destroy it when it is left, and could not be left while it waits.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";

const service = "terminal";

/** What is called of a readable stream. */
export interface TerminalReadable {
  readonly isTTY?: boolean | undefined;
  readonly destroyed?: boolean;
  readonly readableEnded?: boolean;
  on(event: "data" | "end" | "error" | "close", listener: (value: unknown) => void): unknown;
  off(event: "data" | "end" | "error" | "close", listener: (value: unknown) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  unshift(chunk: Uint8Array): unknown;
  ref?(): unknown;
  unref?(): unknown;
}

/** One reading of a stream. */
export interface Reader {
  /** The next chunk; undefined at the end, and when it is closed meanwhile. One call at a time. */
  more(): Promise<Uint8Array | undefined>;
  /** Lets go of the stream, with the bytes that are to be read again. */
  close(unread: Uint8Array): void;
}

/** Begins to read. Throws `closed` for a stream that was destroyed. */
export function openReader(stream: TerminalReadable): Reader {
  const early: Uint8Array[] = []; // what some runtimes still hand over after a pause
  let waiting: { resolve(chunk: Uint8Array | undefined): void; reject(why: unknown): void } | undefined;
  let failure: { readonly why: unknown } | undefined;
  let over = stream.readableEnded === true;
  if (stream.destroyed === true && !over) throw new MillraceError("closed", `${service}: the input was closed before`, { service });
  const standard = stream === process.stdin;

  const listeners = {
    data(chunk: unknown): void {
      stream.pause();
      const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
      if (!(bytes instanceof Uint8Array)) {
        return fail(new MillraceError("invalid_input", `${service}: the input must give bytes or text, got ${received(chunk)}`, { service }));
      }
      early.push(bytes);
      const waiter = waiting;
      waiting = undefined;
      waiter?.resolve(early.shift());
    },
    end(): void {
      over = true;
      waiting?.resolve(undefined);
      waiting = undefined;
    },
    error(why: unknown): void {
      const said = why instanceof Error ? why.message : String(why);
      fail(new MillraceError("unavailable", `${service}: the input cannot be read: ${said}`, { service, cause: why }));
    },
    close(): void {
      if (!over) fail(new MillraceError("truncated", `${service}: the input was closed before its end`, { service, retryable: false }));
    },
  };
  const fail = (why: unknown): void => {
    failure ??= { why };
    waiting?.reject(failure.why);
    waiting = undefined;
  };

  if (!over) {
    if (standard) stream.ref?.();
    for (const event of ["end", "error", "close"] as const) stream.on(event, listeners[event]);
    stream.on("data", listeners.data);
    stream.pause(); // until somebody waits
  }
  return {
    async more() {
      const ready = early.shift();
      if (ready !== undefined) return ready;
      if (failure !== undefined) throw failure.why;
      if (over) return undefined;
      return await new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        stream.resume();
      });
    },
    close(unread) {
      for (const event of ["data", "end", "error", "close"] as const) stream.off(event, listeners[event]);
      if (!over && failure === undefined) {
        stream.pause();
        for (const chunk of [unread, ...early].reverse()) {
          if (chunk.length > 0) stream.unshift(chunk); // a stream that decodes takes bytes back all the same
        }
        // a runtime may read on in the background after a pause, which would keep the process alive
        if (standard) stream.unref?.();
      }
      over = true;
      waiting?.resolve(undefined);
      waiting = undefined;
    },
  };
}
