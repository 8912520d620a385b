/**
 * One write to a stream of the runtime's, and how it went.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { heard } from "../../wire/heard.ts";

const service = "terminal";

/** What is called of a writable stream. */
export interface TerminalWritable {
  readonly isTTY?: boolean | undefined;
  readonly destroyed?: boolean;
  write(text: string, done: (error?: Error | null) => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

/** What a stream says when nobody reads it any more; `EOF` on Windows. */
const gone: ReadonlySet<unknown> = new Set(["EPIPE", "EOF", "ECONNRESET", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"]);

/** Writes, and waits until it is written; an abort does not wait. Throws `closed` where nobody reads any more, else `unavailable`. */
export async function write(stream: TerminalWritable, text: string, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  if (stream.destroyed === true) throw failed(undefined);
  const written = new Promise<void>((resolve, reject) => {
    // A failed write is told twice, to its callback and as an event, which ends the process where nobody listens.
    const onError = (error: Error): void => reject(failed(error));
    stream.once("error", onError);
    stream.write(text, (error) => {
      if (error) return reject(failed(error)); // the event is still to come
      stream.off("error", onError);
      resolve();
    });
  });
  await heard(written, signal);
}

function failed(cause: Error | undefined): MillraceError {
  const code: unknown = cause === undefined ? "EPIPE" : Reflect.get(cause, "code");
  if (gone.has(code)) return new MillraceError("closed", `${service}: nobody reads the output any more (${String(code)})`, { service, cause });
  return new MillraceError("unavailable", `${service}: the output cannot be written: ${cause?.message}`, { service, cause, retryable: false });
}
