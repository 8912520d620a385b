/**
 * The body of an answer as a service's client gets to see it.
 *
 * @module
 */
import type { AnswerBody } from "./answer-body.ts";

/** What the client gets to see of the bytes; both may throw to fail the body. */
export interface BodyFilter {
  /** Gives what is handed on of what came. */
  passed(bytes: Uint8Array): readonly Uint8Array[];
  /** At a clean end. */
  atEnd(): void;
  fail(reason: unknown): void;
}

/** The same answer with this body. A client that cancels it has seen enough: the exchange decides what becomes of the rest. */
export function guardedBody({ status, statusText, headers }: Response, body: AnswerBody, { passed, atEnd, fail }: BodyFilter): Response {
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (let seen = false; !seen; ) {
            const bytes = await body.read((read) => read);
            if (bytes === undefined) {
              atEnd();
              return controller.close();
            }
            // a pull that brings nothing is not repeated by the stream
            for (const piece of passed(bytes)) {
              controller.enqueue(piece);
              seen = true;
            }
          }
        } catch (error) {
          controller.error(error);
          fail(error);
        }
      },
    },
    { highWaterMark: 0 }, // nothing is read ahead of the client
  );
  return new Response(stream, { status, statusText, headers });
}
