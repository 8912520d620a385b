/**
 * @module
 */
import type { Part } from "./part.ts";

/** Bytes of a part's content as they would go over a wire: text and JSON in UTF-8. */
export function sizeOf(part: Part): number {
  switch (part.kind) {
    case "bytes":
      return part.bytes.byteLength;
    case "text":
      return utf8Length(part.text);
    case "uri":
      return utf8Length(part.uri);
    case "json":
      return utf8Length(JSON.stringify(part.value));
    case "toolCall":
      return utf8Length(JSON.stringify(part.arguments));
    case "toolResult":
      return utf8Length(JSON.stringify(part.result));
    default:
      return 0;
  }
}

/** Bytes of a string in UTF-8, without encoding it; a lone surrogate counts as U+FFFD. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) length += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      length += 2; // two units, four bytes
      i += 1;
    } else length += 2;
  }
  return length;
}

/** As `sizeOf`, near enough to bound what is held, and some times faster: characters for bytes of text, and no JSON is written. */
export function roughSizeOf(part: Part): number {
  switch (part.kind) {
    case "text":
      return part.text.length;
    case "json":
      return roughSizeOfJson(part.value);
    case "toolCall":
      return roughSizeOfJson(part.arguments);
    case "toolResult":
      return roughSizeOfJson(part.result);
    default:
      return sizeOf(part);
  }
}

function roughSizeOfJson(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 8;
  let size = 2;
  if (Array.isArray(value)) for (const item of value) size += 1 + roughSizeOfJson(item);
  else for (const key in value) size += key.length + 4 + roughSizeOfJson((value as Readonly<Record<string, unknown>>)[key]); // it has this key
  return size;
}
