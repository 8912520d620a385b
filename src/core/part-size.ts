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
