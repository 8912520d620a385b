/**
 * Record HTTP once, replay it for ever: chunk by chunk, as the network cut it, with what broke on the way.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError } from "../core/errors.ts";
import type { Fetch } from "../wire/answer.ts";
import { redaction } from "../wire/redact.ts";
import { bodyHash, chunkLine, exchangeFinder, type RecordedExchange } from "./http-exchange.ts";
import { blankBytes, blankText, redactHeaders, redactUrl } from "./http-secrets.ts";
import { errorFromJson, errorToJson } from "./recorded-error.ts";
import { type Recording, recordingOf, type RecordingLine, sinceMs } from "./recording.ts";

/** Where to record. */
export interface RecordFetchOptions {
  readonly to: Recording;
  /** Further texts that must not be written, in paths or answers for instance. */
  readonly secrets?: readonly string[];
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Headers that speak of the body as it was on the wire; `fetch` has unpacked it. */
const ofTheWire: ReadonlySet<string> = new Set(["content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive"]);

/**
 * A `fetch` that writes down each exchange when it is over.
 *
 * Writes: method, address, headers, the SHA-256 of the body; status and headers of the answer, its body chunk by chunk with times, and
 *         how it ended. The values of headers and parameters that are secrets by their name (`authorization`, `x-api-key`, `key=`, cookies, …)
 *         are not written, nor wherever else the answer or an error repeats them. The body of the request is not written.
 * Throws: what `fetch` throws.
 *
 * @example
 * const notes = recording();
 * const fetched = recordingFetch(async () => new Response("hello"), { to: notes });
 * await (await fetched("https://example.com/?key=abcdef123456")).text();
 * console.log(await (await replayingFetch(notes)("https://example.com/?key=another")).text()); // hello
 */
export function recordingFetch(fetch: Fetch, options: RecordFetchOptions): Fetch {
  const { to, clock = systemClock } = options ?? {};
  if (typeof fetch !== "function") throw invalidOption("recordingFetch", "fetch", "a function", fetch);
  if (typeof to?.add !== "function") throw invalidOption("recordingFetch", "to", "a recording", to);
  return async (input, init) => {
    const request = new Request(input, init);
    const secrets = new Set(options.secrets);
    const body = request.body === null ? undefined : new Uint8Array(await request.clone().arrayBuffer());
    const asked = await requestLine(request, body, secrets);
    const exchange = to.nextNumber("exchange");
    const startMs = clock.now();
    const at = (): number => sinceMs(startMs, clock.now());
    const lines: (RecordingLine | { readonly chunk: Uint8Array; readonly atMs: number })[] = [asked];
    let written = false;
    const write = (end: RecordingLine): void => {
      if (written) return;
      written = true;
      const chunks = lines.flatMap((line) => ("chunk" in line && line.chunk instanceof Uint8Array ? [line.chunk] : []));
      const blanked = blankBytes(chunks, secrets);
      for (const line of lines) {
        const shown = "chunk" in line && line.chunk instanceof Uint8Array ? { ...chunkLine(blanked.shift() ?? line.chunk), atMs: line.atMs ?? 0 } : line;
        to.add({ exchange, ...(shown as RecordingLine) }); // chunks have become lines
      }
      to.add({ exchange, ...end, atMs: at() });
    };
    const broken = (error: unknown): void => {
      const redact = redaction({ secrets: [...secrets] });
      write(request.signal.aborted ? { end: "left" } : { error: errorToJson(error, (text) => redact(blankText(text, secrets))) });
    };
    let response: Response;
    try {
      response = await fetch(request);
    } catch (error) {
      broken(error);
      throw error;
    }
    const headers = redactHeaders(response.headers, secrets);
    for (const [name, value] of Object.entries(headers)) headers[name] = blankText(value, secrets);
    lines.push({ response: { status: response.status, headers }, atMs: at() });
    if (response.body === null) {
      write({ end: "complete" });
      return response;
    }
    const noted = watched(response.body, { chunk: (chunk) => lines.push({ chunk, atMs: at() }), end: () => write({ end: "complete" }), left: () => write({ end: "left" }), broken });
    return answerOf(noted, response.status, [...response.headers], response.url);
  };
}

async function requestLine(request: Request, body: Uint8Array<ArrayBuffer> | undefined, secrets: Set<string>): Promise<RecordingLine> {
  const url = redactUrl(request.url, secrets);
  const headers = redactHeaders(request.headers, secrets);
  for (const [name, value] of Object.entries(headers)) headers[name] = blankText(value, secrets);
  const hash = body === undefined ? {} : { bodySha256: await bodyHash(body) };
  return { request: { method: request.method, url: blankText(url, secrets), headers, ...hash }, atMs: 0 };
}

interface BodyWatch {
  chunk(bytes: Uint8Array): void;
  end(): void;
  left(): void;
  broken(error: unknown): void;
}

/** The same body, pulled as it is read; each chunk is seen on its way. */
function watched(body: ReadableStream<Uint8Array>, watch: BodyWatch): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            watch.end();
            controller.close();
          } else {
            watch.chunk(value.slice());
            controller.enqueue(value);
          }
        } catch (error) {
          watch.broken(error);
          controller.error(error);
        }
      },
      async cancel(reason) {
        watch.left();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function answerOf(body: ReadableStream<Uint8Array> | null, status: number, headers: readonly (readonly [string, string])[], url: string): Response {
  const kept = headers.filter(([name]) => !ofTheWire.has(name));
  const response = new Response(body as BodyInit | null, { status, headers: kept.map(([name, value]): [string, string] => [name, value]) }); // a stream of bytes is a body
  Object.defineProperty(response, "url", { value: url });
  return response;
}

/** How to replay. */
export interface ReplayFetchOptions {
  /** 1 is the pace of then, 2 is twice as fast; `Infinity` does not wait. @default Infinity */
  readonly speed?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * A `fetch` that needs no network: for a request that was recorded, the answer of then, chunk for chunk, errors included.
 *
 * Reads:  method, address and body of the request; not its headers, nor the values of secret parameters. The n-th request gets the n-th
 *         recorded one that is the same; the last is given again.
 * Throws: `missing_config` for a request that was not recorded, naming those that were, and for an answer that was left, after its
 *         chunks; the signal's reason on abort.
 *
 * @example
 * const notes = recording();
 * await (await recordingFetch(async () => new Response("hello"), { to: notes })("https://example.com/")).text();
 * const fetched = replayingFetch(notes.toString());
 * console.log(await (await fetched("https://example.com/")).text()); // hello
 */
export function replayingFetch(source: Recording | string, options: ReplayFetchOptions = {}): Fetch {
  const { speed = Infinity, clock = systemClock } = options;
  if (!(speed > 0)) throw invalidOption("replayingFetch", "speed", "a number above 0", speed);
  const find = exchangeFinder(recordingOf(source), (one, other) => one.method === other.method && one.url === other.url && one.bodySha256 === other.bodySha256);
  return async (input, init) => {
    const request = new Request(input, init);
    const { signal } = request;
    signal.throwIfAborted();
    const url = redactUrl(request.url, new Set());
    const hash = request.body === null ? {} : { bodySha256: await bodyHash(new Uint8Array(await request.arrayBuffer())) };
    const exchange = find({ method: request.method, url, ...hash });
    const startMs = clock.now();
    const until = async (atMs: number): Promise<void> => {
      signal.throwIfAborted();
      const waitMs = speed === Infinity ? 0 : startMs + atMs / speed - clock.now();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    };
    const { response, end } = exchange;
    if (response === undefined) {
      if (end !== undefined) await until(end.atMs);
      throw endError(exchange);
    }
    await until(response.atMs);
    const empty = [101, 204, 205, 304].includes(response.status) || request.method === "HEAD"; // these may have no body
    return answerOf(empty ? null : bodyOf(exchange, until, signal), response.status, Object.entries(response.headers), url);
  };
}

function bodyOf(exchange: RecordedExchange, until: (atMs: number) => Promise<void>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const { chunks, end } = exchange;
  let at = 0;
  let detach = (): void => {};
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const abort = (): void => controller.error(signal.reason); // also while nobody reads
        signal.addEventListener("abort", abort, { once: true });
        detach = () => signal.removeEventListener("abort", abort);
      },
      async pull(controller) {
        const chunk = chunks[at];
        at += 1;
        try {
          if (chunk !== undefined) {
            await until(chunk.atMs);
            return controller.enqueue(chunk.bytes.slice());
          }
          if (end !== undefined) await until(end.atMs);
          detach();
          if (end?.how === "complete") controller.close();
          else controller.error(endError(exchange));
        } catch (error) {
          if (!signal.aborted) controller.error(error);
        }
      },
      cancel: () => detach(),
    },
    { highWaterMark: 0 },
  );
}

/** Why there is no more: what broke then, or that nobody read on. */
function endError({ end, chunks, request }: RecordedExchange): Error {
  if (typeof end?.how === "object") return errorFromJson(end.how.error);
  const why = end === undefined ? "the recording ends there" : "it was left there";
  return new MillraceError("missing_config", `replay: missing recording for ${request.method} ${request.url} after ${chunks.length} chunks: ${why}`);
}
