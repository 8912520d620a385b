/**
 * Parts to plain JSON values or bytes, and back. Decoding is a border: nothing is trusted that comes over it.
 *
 * @module
 */
import { fromBase64, toBase64 } from "./base64.ts";
import { decodeFields } from "./codec-fields.ts";
import { isWholePart } from "./content.ts";
import { MillraceError, received } from "./errors.ts";
import { checkedJson, checkedMetadata, wellFormed } from "./json-border.ts";
import type { JsonValue, Part } from "./part.ts";
import { sizeOf, utf8Length } from "./part-size.ts";

/** Version of both forms. Fields that a reader does not know are ignored; another version is refused. */
const version = 1;

/** Content of one part. */
const maxPartBytes = 20 * 1024 * 1024;
/** Metadata of one part, as JSON. */
const maxMetadataBytes = 256 * 1024;

/** First bytes of the binary form: "mr", then the version. */
const magic = new Uint8Array([0x6d, 0x72, version]);
/** Magic, then two lengths of four bytes each, big-endian: of the JSON head and of the bytes after it. */
const prefixBytes = magic.length + 8;

/** A part as plain JSON. */
type Encoded = Record<string, JsonValue>;

function encode(part: Part): JsonValue {
  return encodeWith(part, (bytes) => toBase64(bytes));
}

function encodeWith(part: Part, encodeBytes: (bytes: Uint8Array) => JsonValue | undefined): Encoded {
  if (!isWholePart(part)) throw new MillraceError("invalid_input", `codec: needs a part, got ${received(part)}`);
  const encoded: Encoded = { v: version, kind: part.kind, mimeType: wellFormed(part.mimeType), role: part.role };
  if (part.substream !== "") encoded.substream = wellFormed(part.substream);
  const metadata = checkedMetadata(part.metadata, "metadata");
  for (const _ in metadata) {
    encoded.metadata = { ...(metadata as Record<string, JsonValue>) }; // checked to be JSON
    break;
  }
  switch (part.kind) {
    case "text":
      encoded.text = wellFormed(part.text);
      break;
    case "bytes": {
      const bytes = encodeBytes(part.bytes);
      if (bytes !== undefined) encoded.bytes = bytes;
      break;
    }
    case "uri":
      encoded.uri = wellFormed(part.uri);
      break;
    case "json":
      encoded.value = checkedJson(part.value, "value");
      break;
    case "toolCall":
      encoded.id = wellFormed(part.id);
      encoded.name = wellFormed(part.name);
      encoded.arguments = checkedJson(part.arguments, "arguments");
      break;
    case "toolResult":
      encoded.id = wellFormed(part.id);
      encoded.name = wellFormed(part.name);
      encoded.result = checkedJson(part.result, "result");
      encoded.isError = part.isError;
      break;
    case "finish":
      encoded.reason = part.reason;
      encoded.rawReason = wellFormed(part.rawReason);
      encoded.usage = checkedJson(part.usage, "usage");
      encoded.model = wellFormed(part.model);
      break;
    case "error":
      encoded.code = part.code;
      encoded.message = wellFormed(part.message);
      encoded.ordinal = part.ordinal;
  }
  return encoded;
}

function decode(value: unknown): Part {
  return decodeWith(value, (bytes) => {
    if (typeof bytes === "string") return fromBase64(bytes);
    throw new MillraceError("invalid_input", `codec: bytes must be base64, got ${received(bytes)}`);
  });
}

function decodeWith(value: unknown, decodeBytes: (bytes: unknown) => Uint8Array): Part {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MillraceError("invalid_input", `codec: needs an encoded part, got ${received(value)}`);
  }
  const fields = value as Record<string, unknown>;
  if (fields.v !== undefined && fields.v !== version) {
    throw new MillraceError("invalid_input", `codec: knows version ${version}, got ${received(fields.v)}`);
  }
  const part = decodeFields(fields, decodeBytes);
  if (sizeOf(part) > maxPartBytes) throw tooBig("content", maxPartBytes, sizeOf(part));
  for (const _ in part.metadata) {
    const size = utf8Length(JSON.stringify(part.metadata));
    if (size > maxMetadataBytes) throw tooBig("metadata", maxMetadataBytes, size);
    break;
  }
  return part;
}

function tooBig(what: string, limit: number, size: number): MillraceError {
  return new MillraceError("invalid_input", `codec: ${what} may have ${limit} bytes, got ${size}`);
}

function encodeBinary(part: Part): Uint8Array {
  let body: Uint8Array = new Uint8Array();
  const encoded = encodeWith(part, (bytes) => {
    body = bytes;
    return undefined;
  });
  const head = new TextEncoder().encode(JSON.stringify(encoded));
  const out = new Uint8Array(prefixBytes + head.length + body.length);
  const view = new DataView(out.buffer);
  out.set(magic);
  view.setUint32(magic.length, head.length);
  view.setUint32(magic.length + 4, body.length);
  out.set(head, prefixBytes);
  out.set(body, prefixBytes + head.length);
  return out;
}

function decodeBinary(bytes: Uint8Array): Part {
  if (!(bytes instanceof Uint8Array)) throw broken(`needs a Uint8Array, got ${received(bytes)}`);
  if (bytes.length < prefixBytes || magic.some((byte, index) => bytes[index] !== byte)) throw broken("has no head of this version");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headBytes = view.getUint32(magic.length);
  const bodyBytes = view.getUint32(magic.length + 4);
  // Exact, so that a cut input can never be a shorter part.
  if (bytes.length !== prefixBytes + headBytes + bodyBytes) {
    throw broken(`says ${prefixBytes + headBytes + bodyBytes} bytes, has ${bytes.length}`);
  }
  const bodyAt = prefixBytes + headBytes;
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(prefixBytes, bodyAt)));
  } catch (cause) {
    throw new MillraceError("invalid_input", "codec: the head of the binary form is no JSON", { cause });
  }
  return decodeWith(head, () => bytes.slice(bodyAt)); // a copy: the part must not hold what it came in
}

function broken(what: string): MillraceError {
  return new MillraceError("invalid_input", `codec: the binary form ${what}`);
}

/** How parts go over a wire or into a store. */
export interface Codec {
  /**
   * A plain JSON value, bytes as base64. Throws `invalid_input` for metadata or values that are no JSON, naming the place.
   */
  encode(part: Part): JsonValue;
  /**
   * The part of a plain JSON value. Unknown fields are ignored. Throws `invalid_input`, saying what it met: no object, an
   * unknown kind, role or version, a field of the wrong type, bad base64, a key that would reach a prototype, more than 64
   * levels, 1,024 keys an object, 256 KiB of metadata or 20 MiB of content. A decoded system part is not trusted as one.
   */
  decode(value: unknown): Part;
  /** The compact form: a JSON head and the bytes as they are. */
  encodeBinary(part: Part): Uint8Array;
  /** Throws `invalid_input` as `decode` does, and for an input that is cut anywhere or has something after its end. */
  decodeBinary(bytes: Uint8Array): Part;
}

/**
 * Parts to JSON values or bytes, and back: what comes out equals what went in.
 *
 * @example
 * const line = JSON.stringify(codec.encode(text("hello")));
 * console.log(codec.decode(JSON.parse(line)).kind); // text
 */
export const codec: Codec = { encode, decode, encodeBinary, decodeBinary };
