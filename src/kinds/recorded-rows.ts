/**
 * Parts as rows of a record, and back.
 *
 * Text stands in a column of text, bytes in one of bytes, JSON in one of JSON, so that all can be searched; what the server cannot hold
 * as text or JSON (a NUL in it) stands as its bytes in UTF-8. Addresses, tool calls and the like stand as JSON of their fields.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { derive } from "../core/derive.ts";
import { MillraceError, received } from "../core/errors.ts";
import { wellFormed } from "../core/json-border.ts";
import type { JsonValue, Part } from "../core/part.ts";
import type { SqlRow } from "./sql.ts";
import { toHex } from "./sql-values.ts";

/** The columns of a part with their types. */
export const partColumns = {
  kind: "text",
  mime_type: "text",
  role: "text",
  substream: "text",
  text: "text",
  bytes: "bytea",
  json: "jsonb",
  metadata: "jsonb",
} as const;

/** The values of `partColumns`, as texts. */
export type PartTexts = readonly (string | null)[];

const common: ReadonlySet<string> = new Set(["v", "kind", "mimeType", "role", "substream", "metadata"]);

/** Throws `invalid_input` for metadata and values that are no JSON. */
export function partTexts(part: Part): PartTexts {
  const { embedding, ...metadata } = part.metadata;
  const labelled = embedding instanceof Float32Array ? derive(part, { metadata }) : part; // a vector belongs into a vector store
  const bare = labelled.kind === "bytes" ? derive(labelled, { bytes: new Uint8Array() }) : labelled;
  const encoded = fieldsOf(codec.encode(bare));
  const head = [part.kind, wellFormed(part.mimeType), part.role, wellFormed(part.substream)];
  const about = withoutNul(JSON.stringify(encoded.metadata ?? {}));
  if (part.kind === "bytes") return [...head, null, toHex(part.bytes), null, about];
  if (part.kind === "text") {
    const text = wellFormed(part.text);
    return text.includes("\0") ? [...head, null, utf8(text), null, about] : [...head, text, null, null, about];
  }
  const content = part.kind === "json" ? encoded.value : Object.fromEntries(Object.entries(encoded).filter(([name]) => !common.has(name)));
  const text = JSON.stringify(content);
  return withoutNul(text) === text ? [...head, null, null, text, about] : [...head, null, utf8(text), null, about];
}

/**
 * The part that a row of a record holds, for `rows` with `map: recordedPart`.
 *
 * Throws: `bad_response` for a row that holds none. A part of role `system` is not trusted as one.
 */
export function recordedPart(row: SqlRow): Part {
  const { kind, mime_type: mimeType, role, substream, text, bytes, json, metadata } = row;
  try {
    const head = { kind, mimeType, role, substream, metadata };
    if (kind === "bytes" && bytes instanceof Uint8Array) return derive(codec.decode({ ...head, bytes: "" }), { bytes });
    const written = bytes instanceof Uint8Array ? new TextDecoder("utf-8", { fatal: true }).decode(bytes) : undefined;
    if (kind === "text") return codec.decode({ ...head, text: written ?? text });
    const content: unknown = written === undefined ? json : JSON.parse(written);
    return codec.decode(kind === "json" ? { ...head, value: content } : { ...fieldsOf(content), ...head });
  } catch (cause) {
    throw new MillraceError("bad_response", `recorded: the row holds no part, got ${received(row)}`, { cause, retryable: false, scope: "part" });
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, JsonValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, JsonValue>) : {}; // checked by the codec, here or next
}

function utf8(text: string): string {
  return toHex(new TextEncoder().encode(text));
}

/** JSON text in which a NUL is U+FFFD: `jsonb` refuses it. An escaped backslash before `u0000` makes it plain text. */
function withoutNul(json: string): string {
  if (!json.includes("\\u0000")) return json;
  return json.replace(/\\(?:u0000|.)/g, (escape) => (escape === "\\u0000" ? "\\ufffd" : escape));
}
