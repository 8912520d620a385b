/**
 * What the Responses API wants back of its own answers: how it rides on parts, and how it is found again.
 *
 * - Reasoning, encrypted, on an empty text of substream `reasoning`: `metadata.openai.item`.
 * - Tools that the service ran, as JSON on `sources`: `metadata.openai.item` is true, the value is the item.
 * - Images that it made: `metadata.openai.item` is the item without the image; `metadata.openai.stored` says that the service has it.
 *
 * `metadata.openai.service` names the service where that is not `openai`: what one encrypted or keeps is nothing to another.
 * Source: the types of input items of openai 7.57; fields that only answers have are refused in requests.
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { text } from "../../core/constructors.ts";
import type { Metadata, Part } from "../../core/part.ts";
import { type Shape, shapeOf, wordsOf } from "../json-shape.ts";

/** Reasoning as it is sent back. */
export interface ReasoningItem {
  readonly type: "reasoning";
  readonly id: string;
  readonly summary: unknown;
  readonly encrypted_content?: unknown;
}

/** An image as it is sent back: whole, or by its id where the service has it. */
export type ImageItem =
  | { readonly type: "image_generation_call"; readonly id: string }
  | { readonly type: "image_generation_call"; readonly id: string; readonly status: "completed"; readonly result: string };

/** What the service did with a tool of its own. */
export type ServerItem = Shape & { readonly type: string };

/** An item that is sent back. */
export type ReturnedItem = ReasoningItem | ImageItem | ServerItem;

/** Tools that the service runs to the end by itself; others wait for an answer that no part is. */
const serverItems: ReadonlySet<string> = new Set(["web_search_call", "file_search_call", "code_interpreter_call", "mcp_call", "mcp_list_tools"]);

const unnamed = "openai";

/** What a part carries to be sent back. */
export function itemMetadata(service: string, item: unknown, more: Shape = {}): Metadata {
  return { openai: { item, ...(service === unnamed ? {} : { service }), ...more } };
}

/** On substream `reasoning`, as whoever decides what is sent looks for it there. */
export function asReturned(part: Part): Part {
  if (part.kind !== "json" || part.substream !== "sources" || part.role !== "assistant") return part;
  const about = shapeOf(part.metadata.openai);
  if (about?.item !== true) return part;
  return text("", { role: "assistant", substream: "reasoning", metadata: { openai: { ...about, item: part.value } } });
}

/** The item that a part stands for; undefined for parts of anybody else. */
export function returnedItem(part: Part, service: string): ReturnedItem | undefined {
  const about = shapeOf(part.metadata.openai);
  const item = shapeOf(about?.item);
  const type = wordsOf(item?.type);
  if (item === undefined || type === undefined || part.role !== "assistant" || (about?.service ?? unnamed) !== service) return undefined;
  const id = wordsOf(item.id);
  if (part.substream === "reasoning" && serverItems.has(type)) return { ...item, type };
  if (id === undefined) return undefined;
  if (part.substream === "reasoning" && type === "reasoning") {
    const { summary, encrypted_content } = item;
    return { type, id, summary: summary ?? [], ...(encrypted_content === undefined ? {} : { encrypted_content }) };
  }
  if (part.kind !== "bytes" || type !== "image_generation_call") return undefined;
  return about?.stored === true ? { type, id } : { type, id, status: "completed", result: toBase64(part.bytes) };
}
