/**
 * Values that are no messages to parts: documents, JSON, blocks of media.
 *
 * @module
 */
import { fromBase64 } from "../../core/base64.ts";
import { bytes, json, uri } from "../../core/constructors.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue, Part, PartOptions } from "../../core/part.ts";
import { type Shape, wordsOf } from "../../wire/json-shape.ts";
import { documentPart } from "./documents.ts";

/** A part for each; `bad_response` for what is neither a document nor JSON. */
export function valueParts(service: string, values: readonly unknown[], options: PartOptions): Part[] {
  return values.map((value) => orBad(service, () => documentPart(value) ?? json(checkedJson(value, "value"), options)));
}

/** A value that is to be JSON; `bad_response` for one that is not. */
export function jsonIn(service: string, value: unknown): JsonValue {
  return orBad(service, () => checkedJson(value, "value"));
}

function orBad<T>(service: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw new MillraceError("bad_response", `${service}: gave what is neither text, message, document nor JSON`, { service, cause: error });
  }
}

const families: ReadonlySet<unknown> = new Set(["image", "audio", "video", "file"]);

/** The part of a standard block with content of its own or its address; none for any other block. */
export function mediaPart(service: string, block: Shape, options: PartOptions): Part[] {
  if (!families.has(block.type)) return [];
  const mimeType = wordsOf(block.mimeType) ?? (block.type === "file" ? "application/octet-stream" : `${String(block.type)}/*`);
  const { data, url } = block;
  if (data instanceof Uint8Array) return [bytes(data, mimeType, options)];
  if (typeof url === "string") return [uri(url, mimeType, options)];
  if (typeof data !== "string") return [];
  try {
    return [bytes(fromBase64(data), mimeType, options)];
  } catch (error) {
    throw new MillraceError("bad_response", `${service}: a block of type ${mimeType.slice(0, 100)} is no base64`, { service, cause: error });
  }
}
