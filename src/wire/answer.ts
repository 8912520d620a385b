/**
 * Is it an answer at all? Asked before the service's client reads it.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { essence } from "../core/guards.ts";
import type { Redact } from "./redact.ts";

/** The part of `fetch` that clients call. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** What a good answer is like. */
export interface Expected {
  readonly service: string;
  readonly accept: string;
  readonly redact: Redact;
  /** The error that a JSON body of a 200 speaks of, if it does. */
  readonly errorOf: (body: unknown) => MillraceError | undefined;
}

/** Characters of a foreign body in a message. */
const shownChars = 200;
/** Bytes of it that are read: errors are small. */
export const maxErrorBytes = 65_536;

/**
 * Lets good answers and error statuses by.
 *
 * Throws: `bad_response` for a redirect, for several content encodings and for a 200 of another content type, with its first
 * 200 characters; the error of a JSON body.
 */
export async function checkAnswer(response: Response, expected: Expected): Promise<void> {
  const { service, accept, redact, errorOf } = expected;
  const { status } = response;
  if (response.type === "opaqueredirect" || (status >= 300 && status <= 399)) {
    throw new MillraceError("bad_response", `${service}: answered ${status}: the server redirects, which is not followed`, { service, status, retryable: false });
  }
  const encodings = (response.headers.get("content-encoding") ?? "").split(",").filter((name) => !["", "identity"].includes(name.trim().toLowerCase()));
  if (encodings.length > 1) {
    throw new MillraceError("too_large", `${service}: an answer that is encoded ${encodings.length} times is not unpacked`, { service, status });
  }
  if (!response.ok) return;
  const type = essence(response.headers.get("content-type") ?? "");
  if (type === accept) return;
  const start = await firstOf(response);
  if (type === "application/json") {
    const error = errorOf(jsonOf(start));
    if (error !== undefined) throw error;
  }
  const said = redact(start.slice(0, shownChars)).trim();
  throw new MillraceError("bad_response", `${service}: answered ${status} with ${type === "" ? "no content type" : redact(type)}, not ${accept}: ${said}`, {
    service,
    status,
  });
}

async function firstOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let start = "";
  let bytes = 0;
  while (reader !== undefined && bytes < maxErrorBytes) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    start += decoder.decode(value, { stream: true });
  }
  void reader?.cancel().catch(() => {});
  return start;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
