/**
 * The body of an answer as a service's client gets to see it: counted, and failing where the connection does.
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
  /** Gives what the client is to see; may throw to fail the body. */
  received(bytes: Uint8Array): readonly Uint8Array[];
  /** A clean end; may throw. */
  atEnd(): void;
  fail(reason: unknown): void;
  failure(): { readonly reason: unknown } | undefined;
}

/** The same answer with its body under watch. A client that cancels it has seen enough: the exchange decides what becomes of the rest. */
export function guardedBody(response: Response, reader: ReadableStreamDefaultReader<Uint8Array>, watch: BodyWatch): Response {
  const { service, redact, limit } = watch;
  const expectedBytes = lengthOf(response);
  let bytes = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (let seen = false; !seen; ) {
            const { done, value } = await reader.read();
            const failed = watch.failure();
            if (failed !== undefined) throw failed.reason;
            if (done) {
              watch.atEnd();
              return controller.close();
            }
            bytes += value.byteLength;
            if (limit === "error" && bytes > maxErrorBytes) {
              controller.enqueue(value.subarray(0, Math.max(0, value.byteLength - (bytes - maxErrorBytes))));
              return controller.close();
            }
            if (limit !== "error" && bytes > limit) throw new MillraceError("too_large", `${service}: the answer has more than ${limit} bytes`, { service });
            // a pull that brings nothing is not repeated by the stream
            for (const piece of watch.received(value)) {
              controller.enqueue(piece);
              seen = true;
            }
          }
        } catch (error) {
          const reason = watch.failure()?.reason ?? ourError(error);
          controller.error(reason);
          watch.fail(reason);
        }
      },
    },
    { highWaterMark: 0 }, // nothing is read ahead of the client
  );
  const ourError = (error: unknown): unknown => {
    if (error instanceof MillraceError) return error;
    if (expectedBytes !== undefined && bytes < expectedBytes && bytes > 0) {
      return new MillraceError("truncated", `${service}: the answer ends after ${bytes} of ${expectedBytes} bytes`, { service });
    }
    return networkError(service, "the connection broke while the answer came", error, redact);
  };
  const { status, statusText, headers } = response;
  return new Response(stream, { status, statusText, headers });
}

/** Bytes that were announced; of an encoded body, they say nothing about what comes out. */
function lengthOf({ headers }: Response): number | undefined {
  const length = headers.get("content-length");
  return length !== null && /^\d{1,15}$/.test(length) && !headers.has("content-encoding") ? Number(length) : undefined;
}
