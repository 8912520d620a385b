/**
 * What the Messages API wants back of its own answers, unchanged: how it rides on parts, and how it is found again.
 *
 * - Thinking, whole or redacted, on an empty text of substream `reasoning`: `metadata.anthropic.block`.
 * - Tools that the service runs, and their results, as JSON on `sources`: `metadata.anthropic.block` is true, the value is the block.
 * - Citations as JSON on `sources`: `metadata.anthropic.citation` is true.
 * - Which text block a text or a citation is of, where an answer has several: `metadata.anthropic.textBlock`.
 *
 * @module
 */
import { text } from "../../core/constructors.ts";
import type { Metadata, Part } from "../../core/part.ts";
import { type Shape, shapeOf } from "../json-shape.ts";

/** Thinking that is sent back. */
export type ThinkingBlock =
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: string }
  | { readonly type: "redacted_thinking"; readonly data: string };

/** A block that is sent back: thinking, or what the service did with a tool of its own. */
export type ReturnedBlock = ThinkingBlock | (Shape & { readonly type: string });

/** Blocks of tools that the service runs itself. */
export function isServerBlock(type: unknown): boolean {
  return typeof type === "string" && (type === "server_tool_use" || type === "container_upload" || (type.endsWith("_tool_result") && type !== "tool_result"));
}

/** On substream `reasoning`, as whoever decides what is sent looks for it there. */
export function asReturned(part: Part): Part {
  if (part.kind !== "json" || part.substream !== "sources" || part.role !== "assistant") return part;
  const about = shapeOf(part.metadata.anthropic);
  const value = shapeOf(part.value);
  if (value === undefined) return part;
  const metadata: Metadata =
    about?.citation === true ? { anthropic: { citation: value, textBlock: about.textBlock } } : about?.block === true ? { anthropic: { block: value } } : {};
  return metadata.anthropic === undefined ? part : text("", { role: "assistant", substream: "reasoning", metadata });
}

/** The block that a part on `reasoning` carries. */
export function returnedBlock(part: Part): ReturnedBlock | undefined {
  const block = shapeOf(shapeOf(part.metadata.anthropic)?.block);
  if (block === undefined) return undefined;
  const { type, thinking, signature, data } = block;
  if (type === "thinking" && typeof thinking === "string" && typeof signature === "string") return { type, thinking, signature };
  if (type === "redacted_thinking" && typeof data === "string") return { type, data };
  return typeof type === "string" && isServerBlock(type) ? { ...block, type } : undefined;
}

/** The citation that a part on `reasoning` carries, as it is sent: without the file it is of. */
export function returnedCitation(part: Part): Shape | undefined {
  const citation = shapeOf(shapeOf(part.metadata.anthropic)?.citation);
  if (citation === undefined || typeof citation.type !== "string") return undefined;
  const { file_id: _, ...sent } = citation;
  return sent;
}

/** The text block that a part is of; undefined for the first one of an answer. */
export function textBlockOf(part: Part): unknown {
  return shapeOf(part.metadata.anthropic)?.textBlock;
}
