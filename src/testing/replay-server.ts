/**
 * Recorded exchanges from a real socket: for what cannot be given a `fetch`, and to cut the bytes elsewhere or break them off.
 *
 * @module
 */
import { bodyHash, exchangeFinder, type RecordedExchange } from "./http-exchange.ts";
import { redactUrl } from "./http-secrets.ts";
import { type Recording, recordingOf } from "./recording.ts";
import type { Split } from "./split-bytes.ts";
import { type WireAnswer, type WireFault, wireServer, type WireServer } from "./wire-server.ts";

/** What is different from then. */
export interface RecordedAnswerOptions {
  /** Cuts the bytes anew. @default as they came */
  readonly split?: Split;
  /** Breaks the answer; `after` counts recorded chunks. @default what broke then */
  readonly fault?: WireFault;
}

/** Headers that the server writes itself. */
const ofTheServer: ReadonlySet<string> = new Set(["content-encoding", "content-length", "transfer-encoding", "connection", "keep-alive", "date"]);

/**
 * A recorded exchange as an answer of the wire server.
 *
 * An exchange that broke, or that the recording does not hold to its end, breaks the connection in the same place.
 *
 * @example
 * const notes = recording();
 * await (await recordingFetch(async () => new Response("hello"), { to: notes })("https://example.com/")).text();
 * const answers = exchangesOf(notes).map((exchange) => recordedAnswer(exchange, { split: 1 }));
 * await using server = await wireServer({ answer: () => answers[0] ?? errorAnswer(404, { message: "nothing was recorded" }) });
 * console.log(await (await fetch(server.url)).text()); // hello
 */
export function recordedAnswer(exchange: RecordedExchange, options: RecordedAnswerOptions = {}): WireAnswer {
  const { response, chunks, end } = exchange;
  const headers = Object.fromEntries(Object.entries(response?.headers ?? {}).filter(([name]) => !ofTheServer.has(name)));
  const then: WireFault | undefined = response === undefined ? { kind: "cut", after: "nothing" } : end?.how === "complete" ? undefined : { kind: "cut", after: chunks.length };
  const fault = options.fault ?? then;
  return {
    status: response?.status ?? 200,
    headers,
    frames: chunks.map(({ bytes }) => bytes),
    ...(options.split === undefined ? {} : { split: options.split }),
    ...(fault === undefined ? {} : { fault }),
  };
}

/**
 * A server on loopback that answers as recorded. Requests are found by method, path with query, and body; a request that was not
 * recorded is answered with 501 and `missing recording for …`.
 *
 * Closes: `close()` breaks every connection; it is `Symbol.asyncDispose` too.
 *
 * @example
 * const notes = recording();
 * await (await recordingFetch(async () => new Response("hello"), { to: notes })("https://example.com/v1")).text();
 * await using server = await replayServer(notes);
 * console.log(await (await fetch(`${server.url}/v1`)).text()); // hello
 */
export function replayServer(source: Recording | string, options: RecordedAnswerOptions = {}): Promise<WireServer> {
  const pathOf = (url: string): string => url.replace(/^\w+:\/\/[^/]*/, "");
  const find = exchangeFinder(recordingOf(source), (one, other) => one.method === other.method && pathOf(one.url) === pathOf(other.url) && one.bodySha256 === other.bodySha256);
  return wireServer({
    async answer({ method, path, body }) {
      const hash = body === "" ? {} : { bodySha256: await bodyHash(new TextEncoder().encode(body)) };
      try {
        return recordedAnswer(find({ method, url: redactUrl(`http://127.0.0.1${path}`, new Set()), ...hash }), options);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return { status: 501, headers: { "content-type": "application/json" }, frames: [JSON.stringify({ error: { message } })] };
      }
    },
  });
}
