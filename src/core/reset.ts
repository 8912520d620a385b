/**
 * The part that takes back what came before it: an answer was begun anew.
 *
 * @module
 */
import { json } from "./constructors.ts";
import { essence } from "./guards.ts";
import type { JsonPart, Part } from "./part.ts";

const mimeType = "application/vnd.millrace.reset+json";

/** Makes one; `epoch` counts them from 1. */
export function reset(epoch: number): JsonPart {
  return json({ epoch }, { mimeType, role: "assistant" });
}

/** Does it take back what came before it? */
export function isReset(part: Part): boolean {
  return part.kind === "json" && essence(part.mimeType) === mimeType;
}
