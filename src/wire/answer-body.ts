/**
 * The body of an answer under watch: counted, and failing where the connection does.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { maxErrorBytes } from "./answer.ts";
import { networkError } from "./network-errors.ts";
import type { Redact } from "./redact.ts";

/** Who hears of the body. */
export interface BodyWatch {
  readonly service: string;
  readonly redact: Redact;
  /** Bytes after decoding; `"error"`: the first 64 KiB, and no more of it is read. */
  readonly limit: number | "error";
  received(): void;
  /** A clean end. */
  ended(): void;
  fail(reason: unknown): void;
  failure(): { readonly reason: unknown } | undefined;
}

/** A body that is read once. */
export interface AnswerBody {
  /** What `take` makes of the next bytes, of undefined at the end. Rejects with what the exchange failed of. One read at a time. */
  read<T>(take: (bytes: Uint8Array | undefined) => T): Promise<T>;
  /** Lets go of the connection. */
  cancel(reason: unknown): void;
}

/** Takes the body of an answer. */
export function answerBody(response: Response, stream: ReadableStream<Uint8Array>, watch: BodyWatch): AnswerBody {
  const { service, redact, limit } = watch;
  const reader = stream.getReader();
  const expectedBytes = lengthOf(response);
  let bytes = 0;
  let isCut = false;
  const ourError = (error: unknown): unknown => {
    if (error instanceof MillraceError) return error; // of a `fetch` of the caller's
    if (expectedBytes !== undefined && bytes < expectedBytes && bytes > 0) {
      return new MillraceError("truncated", `${service}: the answer ends after ${bytes} of ${expectedBytes} bytes`, { service });
    }
    return networkError(service, "the connection broke while the answer came", error, redact);
  };
  const broken = (error: unknown): never => {
    const reason = watch.failure()?.reason ?? error;
    watch.fail(reason);
    throw reason;
  };
  const received = (value: Uint8Array | undefined): Uint8Array | undefined => {
    const failed = watch.failure();
    if (failed !== undefined) throw failed.reason; // a stream that was cancelled ends
    if (value === undefined) {
      watch.ended();
      return undefined;
    }
    bytes += value.byteLength;
    watch.received();
    if (limit === "error" && bytes > maxErrorBytes) {
      isCut = true;
      return value.subarray(0, Math.max(0, value.byteLength - (bytes - maxErrorBytes)));
    }
    if (limit !== "error" && bytes > limit) return broken(new MillraceError("too_large", `${service}: the answer has more than ${limit} bytes`, { service }));
    return value;
  };
  return {
    // no async function, as it would make two promises more for each chunk
    read: (take) =>
      isCut
        ? Promise.resolve(take(undefined))
        : reader.read().then(
            ({ value }) => take(received(value)),
            (error: unknown) => broken(ourError(error)),
          ),
    cancel(reason) {
      void reader.cancel(reason).catch(() => {});
    },
  };
}

/** Bytes that were announced; of an encoded body, they say nothing about what comes out. */
function lengthOf({ headers }: Response): number | undefined {
  const length = headers.get("content-length");
  return length !== null && /^\d{1,15}$/.test(length) && !headers.has("content-encoding") ? Number(length) : undefined;
}
