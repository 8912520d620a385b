/**
 * Reasoning that is kept for the service that gave it: encrypted, so that no other can read it.
 *
 * It rides in `metadata.openai.item` of an empty part, with the service's name beside it where that is not `openai`.
 *
 * @module
 */
import type { Metadata, Part } from "../../core/part.ts";
import { shapeOf } from "../json-shape.ts";

/** An item as it is sent back. */
export interface ReasoningItem {
  readonly type: "reasoning";
  readonly id: unknown;
  readonly summary: unknown;
  readonly encrypted_content?: unknown;
}

const unnamed = "openai";

/** What a part carries for the service. */
export function reasoningMetadata(service: string, item: unknown): Metadata {
  return { openai: { item, ...(service === unnamed ? {} : { service }) } };
}

/** What the service gave to be sent back: only the fields it wants; undefined for a part of anybody else. */
export function reasoningItem(part: Part, service: string): ReasoningItem | undefined {
  const about = shapeOf(part.metadata.openai);
  const item = shapeOf(about?.item);
  if (item?.type !== "reasoning" || typeof item.id !== "string" || (about?.service ?? unnamed) !== service) return undefined;
  const { id, summary, encrypted_content } = item;
  return { type: "reasoning", id, summary: summary ?? [], ...(encrypted_content === undefined ? {} : { encrypted_content }) };
}
