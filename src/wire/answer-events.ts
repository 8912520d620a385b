/**
 * The events of an answer: all that bytes bring at once, or one at a time as a client gives them.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { AnswerBody } from "./answer-body.ts";
import type { Exchange } from "./exchange.ts";
import { type SseEvent, sseDecoder } from "./sse-decoder.ts";

/** In place of an event where none is here; a client may give undefined for one. */
export const NONE: unique symbol = Symbol("millrace.none");

/** What has come and is to come. */
export interface AnswerEvents {
  /** The next event that is here, or `NONE`. Throws in place of one that is broken. */
  take(): unknown;
  /** Waits for more, which may be less than an event; false at the end. Asked when nothing is left to take. */
  more(): Promise<boolean>;
  /** Has `[DONE]` come? */
  readonly done: boolean;
  /** Lets go of a client; bodies are the exchange's. */
  close(): void;
}

/** How events are read. */
export interface EventReading {
  readonly service: string;
  /** Of one event. */
  readonly maxEventBytes: number;
  /** What an event says; undefined for nothing. Throws what it reports. */
  readonly eventOf: (event: SseEvent) => unknown;
}

/** What ends the streams of OpenAI and its likes, and is no event. */
const marker = "[DONE]";

/** The events of a `text/event-stream`. Throws: `truncated` for a body that ends within one, `too_large`; what `eventOf` throws. */
export function sseEvents(body: AnswerBody, { service, maxEventBytes, eventOf }: EventReading): AnswerEvents {
  const decoder = sseDecoder();
  let done = false;
  const received = (bytes: Uint8Array | undefined): boolean => {
    if (bytes !== undefined) {
      decoder.push(bytes);
      return true;
    }
    const rest = decoder.rest();
    done = rest?.data === marker; // some servers end without a line end
    if (rest !== undefined && !done) throw new MillraceError("truncated", `${service}: the answer ends within an event`, { service });
    return false;
  };
  return {
    take() {
      while (!done) {
        const event = decoder.next();
        if (decoder.length > maxEventBytes) throw new MillraceError("too_large", `${service}: an event has more than ${maxEventBytes} bytes`, { service });
        if (event === undefined) return NONE;
        if (event.data === marker) done = true;
        const value = done ? undefined : eventOf(event);
        if (value !== undefined) return value;
      }
      return NONE;
    },
    more: () => (done ? Promise.resolve(false) : body.read(received)),
    get done() {
      return done;
    },
    close() {},
  };
}

/** The events that a client gives; each is a sign of life of the exchange, which may not have seen its bytes. */
export function clientEvents(events: AsyncIterable<unknown>, exchange: Pick<Exchange, "wait" | "touched">): AnswerEvents {
  const iterator = events[Symbol.asyncIterator]();
  let next: unknown = NONE;
  return {
    take() {
      const event = next;
      next = NONE;
      return event;
    },
    async more() {
      const { done, value } = await exchange.wait(iterator.next());
      if (done === true) return false;
      exchange.touched();
      next = value;
      return true;
    },
    done: false,
    close() {
      void Promise.resolve(iterator.return?.()).catch(() => {}); // it may wait for what was just aborted
    },
  };
}
