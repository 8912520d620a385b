/**
 * What makes two calls the same: one way to write down everything that an answer depends on, and a hash of it.
 *
 * Each field stands behind its length (four bytes, big-endian), so that no two calls are written alike: `"ab", "c"` is not
 * `"a", "bc"`. Objects are written with their keys sorted. Half a character, which UTF-8 cannot carry, is written as it is.
 *
 * @module
 */
import type { Asked } from "../../core/asked.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue, Metadata, Part } from "../../core/part.ts";
import { isTrustedSystem } from "../../core/system-brand.ts";

/** Changes whenever the writing does: entries of another version are never found. */
const keyVersion = "millrace:cache:2";

/** What an answer depends on besides its input. */
export interface KeyParts {
  readonly scope: string;
  readonly name: string;
  readonly version: string;
  readonly vary: JsonValue;
  /** What wrappers further out ask of models inside. */
  readonly asked: Asked;
}

/** Fields in a row, each behind its length. */
export class CanonicalBytes {
  private readonly pieces: Uint8Array[] = [];
  private length = 0;
  private readonly encoder = new TextEncoder();

  bytes(bytes: Uint8Array): this {
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, bytes.byteLength);
    this.pieces.push(head, bytes);
    this.length += 4 + bytes.byteLength;
    return this;
  }

  text(text: string): this {
    return this.bytes(text.isWellFormed() ? this.encoder.encode(text) : utf16(text));
  }

  /** A JSON value; throws `invalid_input` for what is none. */
  json(value: unknown): this {
    checkedJson(value, "key");
    return this.text(canonicalJson(value as JsonValue)); // checked; its copy would have U+FFFD for each half of a character
  }

  joined(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.pieces) {
      all.set(piece, at);
      at += piece.byteLength;
    }
    return all;
  }
}

/** JSON with the keys of objects sorted: equal values, equal texts. */
export function canonicalJson(value: JsonValue): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)); // no two are equal
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(",")}}`;
}

/** For what UTF-8 cannot carry: a byte that it never has, then two bytes a unit. */
function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * text.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0xff);
  for (let i = 0; i < text.length; i += 1) view.setUint16(1 + 2 * i, text.charCodeAt(i));
  return bytes;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/**
 * Writes parts: their order, kind, role, substream, mime type and content. Metadata counts only under the names given, so
 * that a time or an id in it does not make every call a new one.
 */
export function writeParts(into: CanonicalBytes, parts: readonly Part[], metadataKeys: readonly string[]): void {
  into.text(String(parts.length));
  for (const part of parts) writePart(into, part, metadataKeys);
}

function writePart(into: CanonicalBytes, part: Part, metadataKeys: readonly string[]): void {
  // Who made a system part decides whether a model listens to it, so the two are not the same input.
  const role = part.role === "system" && !isTrustedSystem(part) ? "system, not trusted" : part.role;
  into.text(part.kind).text(role).text(part.substream).text(part.mimeType);
  into.json(named(part.metadata, metadataKeys));
  switch (part.kind) {
    case "text":
      return void into.text(part.text);
    case "bytes":
      return void into.bytes(part.bytes);
    case "uri":
      return void into.text(part.uri);
    case "json":
      return void into.json(part.value);
    case "toolCall":
      return void into.text(part.id).text(part.name).json(part.arguments);
    case "toolResult":
      return void into.text(part.id).text(part.name).text(part.isError ? "error" : "result").json(part.result);
    case "finish":
      return void into.text(part.reason);
    case "error":
      return void into.text(part.code).text(part.message);
  }
}

function named(metadata: Metadata, keys: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const key of keys) if (Object.hasOwn(metadata, key)) found[key] = metadata[key];
  return found;
}

/** The bytes whose hash is the key. `content` says what the input is: its parts, or what `key` made of them. */
export function keyBytes(who: KeyParts, content: (into: CanonicalBytes) => void): Uint8Array<ArrayBuffer> {
  const into = new CanonicalBytes().text(keyVersion).text(who.scope).text(who.name).text(who.version).json(who.vary).json(who.asked);
  content(into);
  return into.joined();
}

/** Hashes bytes: 32 bytes out. */
export type Digest = (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>;

/**
 * SHA-256; with a secret HMAC-SHA-256, so that whoever reads a shared store can neither guess inputs by their hash nor put
 * answers there.
 */
export function digestWith(secret: Uint8Array<ArrayBuffer> | undefined): Digest {
  if (secret === undefined) return async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  let imported: Promise<CryptoKey> | undefined;
  return async (bytes) => {
    imported ??= crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", await imported, bytes));
  };
}

/** Bytes as lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}
