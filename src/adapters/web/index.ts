/**
 * Web pages and files by address.
 *
 * Kind: processor, part by part. Client: `node:http` and `node:https` on Node, where the connection is pinned to the addresses
 * that were checked; `fetch` on Bun and Deno, where `allowHosts` alone guards a name against a resolver that changes its mind.
 *
 * @module
 */
import { bytes, json, text } from "../../core/constructors.ts";
import type { Clock } from "../../core/clock.ts";
import { systemClock } from "../../core/clock.ts";
import { derive } from "../../core/derive.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { joinBytes } from "../../core/join-bytes.ts";
import { essence, isUri } from "../../core/guards.ts";
import { unknownMimeType } from "../../core/mime-types.ts";
import type { JsonValue, Part, PartOptions, UriPart } from "../../core/part.ts";
import type { Context, Processor } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
import { addressGuard, type GuardOptions, shown } from "../../wire/address-guard.ts";
import { type Gotten, guardedGet } from "../../wire/guarded-get.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { checkPixels } from "../../wire/image-size.ts";

const service = "web";
const who = "fetchUrls";

/** What may be fetched, and how much of it. */
export interface FetchUrlsOptions extends GuardOptions {
  /** Bytes of one answer, after decoding. @default 20 MiB */
  readonly maxBytes?: number;
  /** Mime types to take, `"image/*"`, `"text/html"`; another answer is `bad_response`. @default all */
  readonly accept?: readonly string[];
  /** From the request to the last byte, redirects included. @default 30 s */
  readonly timeoutMs?: number;
  /** Fetches in progress at most. @default 1 */
  readonly concurrency?: number;
  /** @default "millrace" */
  readonly userAgent?: string;
  /** Certificates to trust besides the system's, as PEM. */
  readonly ca?: string;
  /** @default the machine's */
  readonly clock?: Clock;
}

/**
 * Fetches what `uri` parts point at.
 *
 * Reads:  uri parts with `http:` or `https:`; other parts and other schemes pass by, never fetched.
 * Yields: the content in place of the part, with its role and substream: text and JSON by the type that the server said, else
 *         bytes; `metadata.web` holds `{ uri, url, status }`. Text is decoded by its charset, UTF-8 by default; what is no
 *         text in it becomes U+FFFD.
 * Throws: `refused` for an address, or a redirect to one, that is not allowed or not public; `too_large`; `timeout`;
 *         `bad_response`, `not_found` and others by status.
 * Closes: each connection after its answer, and on leaving. Sends no cookies, no credentials, no referrer; uses no proxy.
 *
 * @example
 * const fetched = fetchUrls({ allowHosts: ["example.com", "*.wikipedia.org"], maxBytes: 1_000_000 });
 * for await (const part of run(fetched, uri("https://example.com/", "text/html"))) console.log(part.mimeType);
 */
export function fetchUrls(options: FetchUrlsOptions): Processor {
  const guard = addressGuard(who, options);
  const maxBytes = wholeNumber(who, "maxBytes", options.maxBytes ?? 20_971_520, 1);
  const timeoutMs = wholeNumber(who, "timeoutMs", options.timeoutMs ?? 30_000, 1);
  const concurrency = wholeNumber(who, "concurrency", options.concurrency ?? 1, 1);
  const { accept, ca, clock = systemClock, userAgent = "millrace" } = options;
  if (accept !== undefined && !accept.every((type) => /^[\w.+-]+\/(?:\*|[\w.+-]+)$/.test(type))) {
    throw invalidOption(who, "accept", 'types like "image/*" or "text/html"', accept);
  }
  if (!/^[\x20-\x7e]+$/.test(userAgent)) throw invalidOption(who, "userAgent", "printable ASCII", userAgent);
  const headers = { "user-agent": userAgent, accept: accept?.join(", ") ?? "*/*" };

  async function fetchUrl(part: UriPart, context: Context): Promise<Part> {
    const controller = new AbortController();
    const abort = (): void => controller.abort(context.signal.reason);
    const expire = (): void => controller.abort(new MillraceError("timeout", `${who}: no whole answer in ${timeoutMs} ms`, { service, phase: "total" }));
    context.signal.throwIfAborted();
    context.signal.addEventListener("abort", abort, { once: true });
    const cancel = clock.timeout(timeoutMs, expire);
    try {
      const get = { who, guard, signal: controller.signal, maxBytes, headers, ...(ca === undefined ? {} : { ca }) };
      const gotten = await guardedGet(get, part.uri);
      try {
        return await contentOf(part, gotten);
      } finally {
        await gotten.body.return(undefined);
      }
    } finally {
      cancel();
      context.signal.removeEventListener("abort", abort);
      controller.abort();
    }
  }

  async function contentOf(part: UriPart, gotten: Gotten): Promise<Part> {
    const { url, status, headers, body } = gotten;
    if (status < 200 || status > 299) {
      throw new MillraceError(codeOfStatus(status), `${who}: ${shown(url)} answered ${status}`, { service, status });
    }
    const mimeType = typeOf(headers.get("content-type"));
    if (accept !== undefined && !accept.some((type) => isOf(mimeType, type))) {
      throw new MillraceError("bad_response", `${who}: ${shown(url)} answered with ${received(mimeType)}, accepted are ${accept.join(", ")}`, { service, retryable: false });
    }
    const said = Number(headers.get("content-length") ?? 0);
    if (said > maxBytes) throw new MillraceError("too_large", `${who}: the answer has ${said} bytes, maxBytes is ${maxBytes}`, { service });
    return made(part, mimeType, await gathered(body), { uri: part.uri, url: url.href, status });
  }
  return each((part, context) => (isFetchable(part) ? fetchUrl(part, context) : part), { match: isFetchable, concurrency, name: who });
}

/** The guard refuses all that is not allowed; what is no address of the web is somebody else's. */
function isFetchable(part: Part): part is UriPart {
  return isUri(part) && /^\s*https?:/i.test(part.uri);
}

// --- shapes: only the fields we read ---

function made(part: UriPart, mimeType: string, content: Uint8Array, web: { readonly uri: string; readonly url: string; readonly status: number }): Part {
  const shape: PartOptions = { mimeType, substream: part.substream, metadata: { ...part.metadata, web } };
  const { role } = part; // by `derive`: what a server says is never trusted as system text
  const type = essence(mimeType);
  if (type === "application/json" || type.endsWith("+json")) return derive(json(parse(content, web.url), shape), { role });
  if (isTextual(type)) return derive(text(decoded(content, mimeType), shape), { role });
  if (type.startsWith("image/")) checkPixels(who, content);
  return derive(bytes(content, mimeType, shape), { role });
}

function isTextual(type: string): boolean {
  const known = ["application/xml", "application/xhtml+xml", "application/javascript", "application/x-ndjson"];
  return type.startsWith("text/") || known.includes(type) || (type.endsWith("+xml") && !type.startsWith("image/"));
}

/** The server's word, if it is one. */
function typeOf(header: string | null): string {
  return header !== null && /^[\w.+-]+\/[\w.+-]+\s*(?:;[\x20-\x7e]*)?$/.test(header.trim()) ? header.trim() : unknownMimeType;
}

function isOf(mimeType: string, wanted: string): boolean {
  const type = essence(mimeType);
  return wanted.endsWith("/*") ? type.startsWith(wanted.slice(0, -1).toLowerCase()) : type === wanted.toLowerCase();
}

function decoded(content: Uint8Array, mimeType: string): string {
  const label = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(mimeType)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(label).decode(content);
  } catch (cause) {
    throw new MillraceError("bad_response", `${who}: the answer is in an unknown charset, got ${received(label)}`, { service, cause, retryable: false });
  }
}

function parse(content: Uint8Array, url: string): JsonValue {
  try {
    return JSON.parse(new TextDecoder().decode(content)) as JsonValue; // what JSON.parse gives is JSON
  } catch (cause) {
    throw new MillraceError("bad_response", `${who}: ${shown(new URL(url))} answered with broken JSON`, { service, cause });
  }
}

async function gathered(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return joinBytes(chunks);
}
