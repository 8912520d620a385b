/**
 * GET of an address that came from data: every hop checked, the connection pinned to the addresses that were checked, nothing
 * sent that could identify anybody.
 *
 * Node can be told where to connect. Bun and Deno can't: there a host name that is on the list is trusted to stay where it
 * was when it was checked, and `"*"` is refused.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { MillraceError } from "../core/errors.ts";
import type { Guard } from "./address-guard.ts";
import { shown } from "./address-guard.ts";
import { boundedBody } from "./bounded-body.ts";

/** How many redirects are followed. */
const maxRedirects = 3;

/** One GET. */
export interface GuardedGet {
  readonly who: string;
  readonly guard: Guard;
  /** Ends it all; it is the caller's to time. */
  readonly signal: AbortSignal;
  /** Bytes of the body after decoding. */
  readonly maxBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Certificates to trust besides the system's, as PEM. */
  readonly ca?: string;
}

/** What came. The body is read once, or closed by `return()`; the connection is closed with it. */
export interface Gotten {
  /** Of the last hop. */
  readonly url: URL;
  readonly status: number;
  readonly headers: Headers;
  readonly body: AsyncGenerator<Uint8Array>;
}

type Hop = (get: GuardedGet, url: URL, addresses: readonly string[]) => Promise<Gotten>;

/**
 * Fetches, following at most 3 redirects by hand.
 *
 * Throws: `refused` for every hop the guard refuses; `bad_response` for more redirects or one that leads nowhere; `unavailable`
 * for the network; what the body throws. An answer of any status is given back, but for redirects.
 */
export async function guardedGet(get: GuardedGet, address: string): Promise<Gotten> {
  const pinned = !("Bun" in globalThis) && !("Deno" in globalThis);
  if (!pinned && get.guard.anyHost) {
    throw new MillraceError("missing_config", `${get.who}: allowHosts "*" needs Node: this runtime can't be told which address to connect to`);
  }
  const hop: Hop = pinned ? pinnedHop : fetchHop;
  let url = get.guard.check(address);
  for (let redirects = 0; ; redirects += 1) {
    const gotten = await hop(get, url, await heard(get.guard.addresses(url), get.signal));
    if (![301, 302, 303, 307, 308].includes(gotten.status)) return gotten;
    await gotten.body.return(undefined);
    const location = gotten.headers.get("location");
    if (location === null) throw new MillraceError("bad_response", `${get.who}: ${shown(url)} redirects to nowhere`);
    if (redirects === maxRedirects) throw new MillraceError("bad_response", `${get.who}: more than ${maxRedirects} redirects`);
    url = get.guard.check(location, url);
  }
}

/** A promise that can't be told to stop, left alone on abort. */
async function heard<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } catch (error) {
    throw signal.aborted ? signal.reason : networkError("resolve", error);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Node: `lookup` answers with the checked addresses and asks nobody. */
const pinnedHop: Hop = async (get, url, addresses) => {
  const { request } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  return new Promise<Gotten>((resolve, reject) => {
    const outgoing = request(url, {
      method: "GET",
      headers: { ...get.headers, "accept-encoding": "gzip, deflate, br" },
      agent: false, // no pool, no proxy of the environment
      rejectUnauthorized: true, // also under NODE_TLS_REJECT_UNAUTHORIZED=0
      ...(get.ca === undefined ? {} : { ca: get.ca }),
      lookup: (_host, options, answer) => {
        if (options.all === true) answer(null, found);
        else answer(null, found[0]?.address ?? "", found[0]?.family ?? 4);
      },
    });
    const { signal } = get;
    const abort = (): void => {
      outgoing.destroy();
      reject(signal.reason);
    };
    const done = (): void => signal.removeEventListener("abort", abort);
    outgoing.on("error", (error) => {
      done();
      reject(signal.aborted ? signal.reason : networkError(`${get.who}: ${shown(url)}`, error));
    });
    outgoing.on("response", (incoming) => {
      resolve({ url, status: incoming.statusCode ?? 0, headers: headersOf(incoming), body: bodyOf(get, incoming, done) });
    });
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    outgoing.end();
  });
};

async function* read(get: GuardedGet, incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* boundedBody(incoming, incoming.headers["content-encoding"], get);
  } catch (error) {
    throw get.signal.aborted ? get.signal.reason : error;
  }
}

/** `return()` of a generator that never began runs none of its lines, so the connection is closed here. */
function bodyOf(get: GuardedGet, incoming: IncomingMessage, done: () => void): AsyncGenerator<Uint8Array> {
  incoming.on("error", () => {}); // an abort before anybody reads; readers hear of it themselves
  incoming.once("close", done);
  const body = read(get, incoming);
  const leave = body.return.bind(body);
  body.return = (value) => {
    incoming.destroy();
    return leave(value);
  };
  return body;
}

function headersOf(incoming: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return headers;
}

/** Bun and Deno: their `fetch` resolves again. It also decodes by itself, so only what comes out can be counted. */
export const fetchHop: Hop = async (get, url) => {
  try {
    const response = await fetch(url, {
      redirect: "manual",
      credentials: "omit",
      headers: { ...get.headers, "accept-encoding": "identity" },
      signal: get.signal,
    });
    return { url, status: response.status, headers: response.headers, body: counted(get, response.body) };
  } catch (error) {
    throw get.signal.aborted ? get.signal.reason : networkError(`${get.who}: ${shown(url)}`, error);
  }
};

async function* counted(get: GuardedGet, body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      size += chunk.byteLength;
      if (size > get.maxBytes) throw new MillraceError("too_large", `${get.who}: the answer has more than ${get.maxBytes} bytes`);
      yield chunk;
    }
  } catch (error) {
    if (get.signal.aborted) throw get.signal.reason;
    throw error instanceof MillraceError ? error : new MillraceError("truncated", `${get.who}: the connection ended before the answer did`, { cause: error });
  }
}

/** A name that is not there and a certificate that is no good do not get better by asking again. */
function networkError(what: string, error: unknown): unknown {
  if (error instanceof MillraceError || !(error instanceof Error)) return error;
  const inner = error.cause instanceof Error && "code" in error.cause ? error.cause : error;
  const code = "code" in inner ? String(inner.code) : "";
  const lasting = code === "ENOTFOUND" || /CERT|TLS|SSL|SELF_SIGNED|ALTNAME/.test(code);
  if (code.startsWith("HPE_")) return new MillraceError("bad_response", `${what}: the answer is not HTTP (${code})`, { cause: error });
  return new MillraceError("unavailable", `${what}: cannot be reached${code === "" ? "" : ` (${code})`}`, { cause: error, retryable: !lasting });
}
