/**
 * A body of HTTP, decoded and counted: a few hundred bytes of it may be a gigabyte.
 *
 * @module
 */
import type { Readable, Transform } from "node:stream";
import { MillraceError, received } from "../core/errors.ts";

/** From this many bytes on, the ratio of decoded to sent bytes counts; small texts may be very repetitive. */
const ratioFromBytes = 1_048_576;
/** Decoded bytes for each byte sent, at most: text rarely reaches 20. */
const maxRatio = 100;

/** What a body may be. */
export interface BodyLimits {
  readonly who: string;
  /** Bytes after decoding. */
  readonly maxBytes: number;
}

/**
 * The body after one content encoding (`gzip`, `deflate`, `br`), counted as it comes; leaving it destroys the stream.
 *
 * Throws: `too_large` above `maxBytes`, above 100 times what was sent, and for several encodings; `bad_response` for an unknown
 * or broken one; `truncated` when the connection ends early.
 */
export async function* boundedBody(raw: Readable, encoding: string | undefined, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const { who, maxBytes } = limits;
  let sent = 0;
  let decoded = 0;
  let decoder: Transform | undefined;
  try {
    decoder = await decoderFor(who, encoding);
    const source = decoder === undefined ? raw : await joined(raw, decoder, (size) => (sent += size));
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      decoded += chunk.byteLength;
      if (decoded > maxBytes) throw new MillraceError("too_large", `${who}: the answer has more than ${maxBytes} bytes`);
      if (decoder !== undefined && decoded > ratioFromBytes && decoded > sent * maxRatio) {
        throw new MillraceError("too_large", `${who}: the answer grew from ${sent} bytes to ${decoded} and was not done`);
      }
      yield chunk;
    }
  } catch (error) {
    throw bodyError(who, error);
  } finally {
    decoder?.destroy();
    raw.destroy();
  }
}

/** The two as one stream: an error of the first ends the second. */
async function joined(raw: Readable, decoder: Transform, count: (size: number) => void): Promise<Readable> {
  const { pipeline } = await import("node:stream");
  raw.on("data", (chunk: Uint8Array) => count(chunk.byteLength));
  raw.pause(); // a listener alone would let it flow before anybody reads
  return pipeline(raw, decoder, () => {}); // whoever iterates gets the error
}

async function decoderFor(who: string, encoding: string | undefined): Promise<Transform | undefined> {
  const names = (encoding ?? "").toLowerCase().split(",").map((name) => name.trim()).filter((name) => name !== "" && name !== "identity");
  if (names.length > 1) throw new MillraceError("too_large", `${who}: an answer that is encoded ${names.length} times is not unpacked`);
  const [name] = names;
  if (name === undefined) return undefined;
  const zlib = await import("node:zlib");
  if (name === "gzip" || name === "x-gzip") return zlib.createGunzip();
  if (name === "deflate") return zlib.createInflate();
  if (name === "br") return zlib.createBrotliDecompress();
  throw new MillraceError("bad_response", `${who}: the answer has an unknown content encoding, got ${received(name)}`);
}

function bodyError(who: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^(?:Z_|ERR_(?:_ERROR|BROTLI|PADDING)|ERR__ERROR)/.test(code)) {
    const cut = code === "Z_BUF_ERROR";
    return new MillraceError(cut ? "truncated" : "bad_response", `${who}: the answer ${cut ? "ends within its encoding" : "is not encoded as it says"}`, { cause: error });
  }
  if (code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE") {
    return new MillraceError("truncated", `${who}: the connection ended before the answer did`, { cause: error });
  }
  return error;
}
