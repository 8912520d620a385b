/**
 * Answers as services of models give them, in bytes: events, JSON, errors, and what proxies put in their place.
 *
 * @module
 */
import type { WireAnswer } from "./wire-server.ts";

/** How events are written. */
export interface EventStyle {
  /** @default "\n" */
  readonly lineEnd?: "\n" | "\r\n" | "\r";
  /** A comment before each event, as pings are. */
  readonly comment?: string;
  /** A byte order mark at the start. */
  readonly byteOrderMark?: boolean;
}

/** One event of a `text/event-stream`. */
export function sseFrame(data: string, event?: string, style: EventStyle = {}): string {
  const { lineEnd = "\n", comment } = style;
  const lines = [...(comment === undefined ? [] : [`: ${comment}`]), ...(event === undefined ? [] : [`event: ${event}`]), ...data.split("\n").map((line) => `data: ${line}`)];
  return `${lines.join(lineEnd)}${lineEnd}${lineEnd}`;
}

/** Events of the Responses API: each under the name of its type. */
export function responsesFrames(events: readonly { readonly type: string }[], style: EventStyle = {}): string[] {
  return marked(events.map((event) => sseFrame(JSON.stringify(event), event.type, style)), style);
}

/** Chunks of Chat Completions, and the `[DONE]` that ends them. */
export function chatFrames(chunks: readonly object[], style: EventStyle & { readonly done?: boolean } = {}): string[] {
  const frames = chunks.map((chunk) => sseFrame(JSON.stringify(chunk), undefined, style));
  return marked(style.done === false ? frames : [...frames, sseFrame("[DONE]", undefined, style)], style);
}

/** A stream of events. */
export function sseAnswer(frames: readonly (string | Uint8Array)[], more: Omit<WireAnswer, "frames"> = {}): WireAnswer {
  return { ...more, frames, headers: { "content-type": "text/event-stream; charset=utf-8", ...more.headers } };
}

/** Values, a line each. */
export function jsonLineFrames(values: readonly unknown[]): string[] {
  return values.map((value) => `${JSON.stringify(value)}\n`);
}

/** A stream of lines. */
export function jsonLinesAnswer(frames: readonly (string | Uint8Array)[], more: Omit<WireAnswer, "frames"> = {}): WireAnswer {
  return { ...more, frames, headers: { "content-type": "application/x-ndjson", ...more.headers } };
}

/** JSON. */
export function jsonAnswer(body: unknown, more: Omit<WireAnswer, "frames"> = {}): WireAnswer {
  return { ...more, frames: [JSON.stringify(body)], headers: { "content-type": "application/json", ...more.headers } };
}

/** An error as OpenAI and its likes report it. */
export function errorAnswer(status: number, error: { readonly message: string; readonly type?: string; readonly code?: string | null }, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  return jsonAnswer({ error: { param: null, ...error } }, { status, headers });
}

/** What a captive portal or a proxy answers: a page, and all is well. */
export function htmlAnswer(page = "<!doctype html><title>Sign in</title>"): WireAnswer {
  return { headers: { "content-type": "text/html" }, frames: [page] };
}

/** To another place. */
export function redirectAnswer(location: string, status = 307): WireAnswer {
  return { status, headers: { location }, frames: [] };
}

function marked(frames: readonly string[], { byteOrderMark = false }: EventStyle): string[] {
  return frames.map((frame, index) => (byteOrderMark && index === 0 ? `\ufeff${frame}` : frame));
}
