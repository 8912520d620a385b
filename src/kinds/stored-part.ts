/**
 * What is kept of a part beside its bytes: kind, role, mime type and metadata, so that it can come back as it was.
 *
 * It stands in one field of the blob's own metadata, in the form of the codec with the content left out. S3 has 2 KB for the
 * names and values of all fields together (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html), other stores
 * have more; so what is larger goes into a blob beside, in every store alike.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { derive } from "../core/derive.ts";
import { MillraceError, received } from "../core/errors.ts";
import type { BytesPart, JsonPart, JsonValue, Part, TextPart } from "../core/part.ts";
import { noMetadata } from "../core/part.ts";
import { outlined, partsOf } from "./blob-parts.ts";
import type { BlobInfo, BlobStore } from "./blob-store.ts";
import { opened, retyped } from "./blob-verbs.ts";

/** The kinds of part that have content of their own to store. */
export type StorablePart = TextPart | BytesPart | JsonPart;

/** The name of the field. */
const field = "millrace-part";
/** Characters of the field's value: with the name they stay below the 2 KB of S3. */
const maxFieldChars = 2_000;
/** Bytes of a whole record: the metadata that the codec takes back. */
const maxRecordBytes = 262_144;

const encoder = new TextEncoder();

/** Is it content, held by the part itself? */
export function isStorable(part: Part): part is StorablePart {
  return part.kind === "text" || part.kind === "bytes" || part.kind === "json";
}

/**
 * The fields to store with the blob of a part. A record too large for them is written beside it, before the blob, so that no
 * blob is there without its record.
 *
 * Throws: `invalid_input` for metadata that is no JSON, `too_large` for more than 256 KiB of it; what the store throws.
 */
export async function fieldsOf(store: BlobStore, key: string, part: StorablePart, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  const record = JSON.stringify(codec.encode(emptied(part)));
  const inline = ascii(record);
  if (inline.length <= maxFieldChars) return { [field]: inline };
  const content = encoder.encode(record);
  if (content.byteLength > maxRecordBytes) {
    throw new MillraceError("too_large", `save: metadata of a part may have ${maxRecordBytes} bytes, "${key}" has ${content.byteLength}`);
  }
  const sidecar = await digest(content);
  await store.put(besideOf(key, sidecar), [content], { signal, mimeType: "application/json", size: content.byteLength });
  return { [field]: JSON.stringify({ sidecar }) };
}

/**
 * The part that a blob was, without its content; `undefined` for a blob that nobody saved as a part.
 *
 * A store is outside: the record is decoded like all that comes from there, and role `system` becomes `user`.
 *
 * Throws: `bad_response` of scope `part` for a record that is none; what the store throws.
 */
export async function storedPart(store: BlobStore, info: BlobInfo, signal: AbortSignal): Promise<StorablePart | undefined> {
  const kept = info.metadata[field];
  if (kept === undefined) return undefined;
  const value = readable(info.key, kept, (): unknown => JSON.parse(kept));
  const beside = typeof value === "object" && value !== null && "sidecar" in value;
  const record = beside ? await besideValue(store, info.key, value.sidecar, signal) : value;
  const part = readable(info.key, record, () => codec.decode(record));
  if (!isStorable(part)) throw broken(info.key, `a ${part.kind} part`);
  return part.role === "system" ? derive(part, { role: "user" }) : part;
}

/** Without the content, and without what is of this place or this process alone: the former blob, the vector, the substream. */
function emptied(part: StorablePart): StorablePart {
  const { blob: _, embedding, ...rest } = part.metadata;
  const metadata = embedding === undefined || embedding instanceof Float32Array ? rest : { ...rest, embedding };
  const common = { metadata, substream: "" };
  if (part.kind === "text") return derive(part, { ...common, text: "" });
  return part.kind === "json" ? derive(part, { ...common, value: null }) : derive(part, { ...common, bytes: new Uint8Array() });
}

/** Named by its content, so that one that another write refers to is never changed. Only the name's last piece comes from the store. */
function besideOf(key: string, sidecar: string): string {
  return `${key}.part-${sidecar}.json`;
}

async function besideValue(store: BlobStore, key: string, sidecar: unknown, signal: AbortSignal): Promise<JsonValue | undefined> {
  if (typeof sidecar !== "string" || !/^[0-9a-f]{32}$/.test(sidecar)) throw broken(key, "the name of no blob beside it");
  const content = await opened(store, besideOf(key, sidecar), { signal });
  const like = { who: "load", role: "user", substream: "", metadata: noMetadata, namespace: "blob" } as const;
  for await (const part of partsOf(retyped(content, "application/json"), like, { maxBytes: maxRecordBytes, chunked: false, as: "content" })) {
    if (part.kind === "json") return part.value;
  }
  return undefined;
}

function readable<T>(key: string, kept: unknown, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw broken(key, typeof kept === "string" ? outlined(kept) : received(kept), cause);
  }
}

function broken(key: string, got: string, cause?: unknown): MillraceError {
  const message = `load: what is kept of the part beside "${key}" cannot be read, got ${got}`;
  return new MillraceError("bad_response", message, { ...(cause === undefined ? {} : { cause }), retryable: false, scope: "part" });
}

/** Printable ASCII: all that a field may hold. In JSON every other character can be written as an escape. */
function ascii(record: string): string {
  return record.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

async function digest(content: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
