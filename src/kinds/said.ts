/**
 * Which parts are of a conversation, and which are only about it.
 *
 * @module
 */
import { isReserved } from "../core/guards.ts";
import type { Part } from "../core/part.ts";

/**
 * May a model be shown it? Not `status`, `debug`, finish and error parts; nor `sources`, but for those with metadata: there a service
 * keeps what it wants back.
 */
export function isSaid(part: Part): boolean {
  if (part.kind === "finish" || part.kind === "error" || isReserved(part)) return false;
  return part.substream !== "sources" || Object.keys(part.metadata).length > 0;
}
