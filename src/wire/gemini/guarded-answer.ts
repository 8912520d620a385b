/**
 * The answer as Gemini's client gets to see it, so that nothing of it is lost on the way.
 *
 * The client passes over an event that does not begin with its data (a comment before it is enough), takes events with an error of
 * another form than its own for empty answers, keeps no headers on errors and no message beside a finish reason. So events are
 * decoded here, and handed to it one at a time in the only form that it reads right.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../answer.ts";
import type { Exchange } from "../exchange.ts";
import { itemsOf, shapeOf, wordsOf } from "../json-shape.ts";
import { bodyError, type Reporting, statusError } from "./errors.ts";
import { rawArguments } from "./raw-json.ts";
import { type SseEvent, sseDecoder } from "./sse-decoder.ts";

/** What the client drops of an event. */
export interface Dropped {
  /** The arguments of its function calls, as text. */
  readonly arguments: readonly string[];
  /** What the service says to its finish reason. */
  readonly finishMessage: string | undefined;
}

/** A `fetch` for one request. */
export interface GuardedAnswer {
  readonly fetch: Fetch;
  /** One for each event that the client was given, in order. */
  readonly dropped: Dropped[];
}

/** Guards the answer to one request of the exchange; events where that asks for events, else JSON. */
export function guardedAnswer(exchange: Exchange, accept: "text/event-stream" | "application/json", reported: Reporting): GuardedAnswer {
  const dropped: Dropped[] = [];
  return {
    dropped,
    async fetch(input, init) {
      const reporting = withoutToken(reported, init);
      const response = await exchange.fetch(input, init);
      if (!response.ok) throw statusError(response.status, await response.text(), response.headers, reporting);
      if (accept === "text/event-stream") return eventsOf(response, (event) => checkedEvent(event, dropped, reporting));
      const text = await response.text();
      const body = parsed(text, reporting);
      const error = bodyError(body, reporting);
      if (error !== undefined) throw error;
      return copyOf(response, text);
    },
  };
}

/** Tokens are the client's affair, and known only by what it sends. */
function withoutToken(reporting: Reporting, init: RequestInit | undefined): Reporting {
  const token = new Headers(init?.headers).get("authorization")?.replace(/^Bearer +/i, "") ?? "";
  return token === "" ? reporting : { ...reporting, redact: (text) => reporting.redact(text.replaceAll(token, "…")) };
}

/** The data of an event on one line; undefined for the end marker of others. */
function checkedEvent({ name, data }: SseEvent, dropped: Dropped[], reporting: Reporting): string | undefined {
  if (data.trim() === "[DONE]") return undefined;
  const { service } = reporting;
  const body = parsed(data, reporting);
  const error = bodyError(name === "error" && shapeOf(body)?.error === undefined ? { error: body } : body, reporting);
  if (error !== undefined) throw error;
  const event = shapeOf(body);
  if (event === undefined) throw new MillraceError("bad_response", `${service}: an event is no object`, { service });
  dropped.push({ arguments: rawArguments(data), finishMessage: wordsOf(shapeOf(itemsOf(event.candidates)[0])?.finishMessage) });
  return data.replaceAll("\n", " "); // JSON has line ends between its signs only
}

function parsed(text: string, { service, model }: Reporting): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MillraceError("bad_response", `${service}: ${model} sent JSON that does not parse`, { service });
  }
}

/** The same answer, an event a chunk. What fails at an event fails after those before it. */
function eventsOf(response: Response, check: (event: SseEvent) => string | undefined): Response {
  const reader = response.body?.getReader();
  const decoder = sseDecoder();
  const encoder = new TextEncoder();
  let events: readonly SseEvent[] = [];
  let next = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          for (; next < events.length; ) {
            const event = events[next++];
            const data = event === undefined ? undefined : check(event);
            if (data !== undefined) return controller.enqueue(encoder.encode(`data: ${data}\n\n`));
          }
          const read = await reader?.read();
          if (read === undefined || read.done) return controller.close();
          events = decoder.push(read.value);
          next = 0;
        }
      },
    },
    { highWaterMark: 0 }, // nothing is read ahead of the client
  );
  return copyOf(response, stream);
}

function copyOf({ status, statusText, headers }: Response, body: ReadableStream<Uint8Array> | string): Response {
  return new Response(body, { status, statusText, headers });
}
