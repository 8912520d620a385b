/**
 * Which parts are of a conversation, and which are only about it.
 *
 * @module
 */
import { isAside } from "../core/asides.ts";
import type { Part } from "../core/part.ts";

/** May a model be shown it? Not finish and error parts, nor what is aside; but for sources with metadata, where a service keeps what it wants back. */
export function isSaid(part: Part): boolean {
  if (part.kind === "finish" || part.kind === "error") return false;
  return !isAside(part.substream) || (part.substream === "sources" && Object.keys(part.metadata).length > 0);
}
