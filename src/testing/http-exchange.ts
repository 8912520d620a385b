/**
 * HTTP exchanges in a recording: the request without its secrets and its body, the answer chunk by chunk.
 *
 * @module
 */
import { fromBase64, toBase64 } from "../core/base64.ts";
import { MillraceError } from "../core/errors.ts";
import type { JsonValue } from "../core/part.ts";
import { toHex } from "../resilience/caching/cache-key.ts";
import { redactUrl } from "./http-secrets.ts";
import { asObject } from "./recorded-error.ts";
import type { Recording, RecordingLine } from "./recording.ts";

/** A request as it is recorded, and found again. */
export interface RecordedRequest {
  readonly method: string;
  /** Without user, password and the values of secret parameters. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body; nothing where there was none. */
  readonly bodySha256?: string;
}

/** A piece of the body, as it came. */
export interface RecordedChunk {
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

/** One exchange. */
export interface RecordedExchange {
  readonly request: RecordedRequest;
  /** Nothing where the request failed. */
  readonly response?: { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly atMs: number };
  readonly chunks: readonly RecordedChunk[];
  /** How it ended; nothing when the recording ends before the exchange. */
  readonly end?: { readonly atMs: number; readonly how: "complete" | "left" | { readonly error: JsonValue } };
}

/** The exchanges of a recording, in the order of their beginning. */
export function exchangesOf({ lines }: Recording): RecordedExchange[] {
  type Open = { request: RecordedRequest; response?: NonNullable<RecordedExchange["response"]>; chunks: RecordedChunk[]; end?: NonNullable<RecordedExchange["end"]> };
  const found = new Map<number, Open>();
  for (const line of lines) {
    if (typeof line.exchange !== "number") continue;
    const atMs = typeof line.atMs === "number" ? line.atMs : 0;
    if (line.request !== undefined) {
      found.set(line.exchange, { request: requestOf(line), chunks: [] });
      continue;
    }
    const exchange = found.get(line.exchange);
    if (exchange === undefined) throw new MillraceError("invalid_input", `recording: exchange ${line.exchange} has no request before its other lines`);
    if (line.response !== undefined) {
      const { status, headers } = asObject(line.response);
      exchange.response = { status: typeof status === "number" ? status : 200, headers: texts(headers), atMs };
    } else if (typeof line.text === "string") exchange.chunks.push({ bytes: new TextEncoder().encode(line.text), atMs });
    else if (typeof line.base64 === "string") exchange.chunks.push({ bytes: fromBase64(line.base64), atMs });
    else if (line.error !== undefined) exchange.end = { atMs, how: { error: line.error } };
    else if (line.end !== undefined) exchange.end = { atMs, how: line.end === "complete" ? "complete" : "left" };
  }
  return [...found.values()];
}

function requestOf(line: RecordingLine): RecordedRequest {
  const { method, url, headers, bodySha256 } = asObject(line.request);
  if (typeof method !== "string" || typeof url !== "string") throw new MillraceError("invalid_input", `recording: the request of exchange ${String(line.exchange)} has no method or no url`);
  return { method, url, headers: texts(headers), ...(typeof bodySha256 === "string" ? { bodySha256 } : {}) };
}

function texts(value: JsonValue | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, text] of Object.entries(asObject(value))) if (typeof text === "string") found[name] = text;
  return found;
}

/** A chunk as people read it: text where its bytes are whole UTF-8, else base64. */
export function chunkLine(bytes: Uint8Array): RecordingLine {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: toBase64(bytes) };
  }
}

/** SHA-256 of a body, in hexadecimal. */
export async function bodyHash(body: Uint8Array<ArrayBuffer>): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", body)));
}

/** What is asked for: method, address and body. */
export type Asked = Pick<RecordedRequest, "method" | "url" | "bodySha256">;

/** Gives for the n-th request the n-th exchange that was recorded for the same one; the last is given again. */
export function exchangeFinder(recording: Recording, same: (recorded: Asked, asked: Asked) => boolean): (asked: Asked) => RecordedExchange {
  const exchanges = exchangesOf(recording);
  const given = new Map<string, number>();
  return (asked) => {
    const name = JSON.stringify([asked.method, asked.url, asked.bodySha256]);
    const matching = exchanges.filter(({ request }) => same(request, asked));
    const turn = given.get(name) ?? 0;
    given.set(name, turn + 1);
    const exchange = matching[Math.min(turn, matching.length - 1)];
    if (exchange !== undefined) return exchange;
    const known = exchanges.map(({ request }) => nameOf(request)).slice(0, 10);
    throw new MillraceError("missing_config", `replay: missing recording for ${nameOf(asked)}; recorded: ${known.length === 0 ? "nothing" : known.join(", ")}`);
  };
}

function nameOf({ method, url, bodySha256 }: Asked): string {
  return `${method} ${redactUrl(url, new Set())}${bodySha256 === undefined ? "" : ` with body ${bodySha256.slice(0, 8)}`}`;
}
