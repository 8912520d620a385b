/**
 * Media that a tool answered with: a result itself holds JSON only, so they are parts of role `tool` behind it, under its id.
 *
 * @module
 */
import { derive } from "./derive.ts";
import type { BytesPart, Part, UriPart } from "./part.ts";

/** A medium as part of the result of a call. */
export function resultMedium(part: BytesPart | UriPart, id: string): Part {
  return derive(part, { role: "tool", substream: "", metadata: { ...part.metadata, toolResult: { id } } });
}

/** Is it one, and of which result? */
export function resultOfMedium(part: Part): string | undefined {
  if ((part.kind !== "bytes" && part.kind !== "uri") || part.role !== "tool" || part.substream !== "") return undefined;
  const about: unknown = part.metadata.toolResult;
  return typeof about === "object" && about !== null && "id" in about && typeof about.id === "string" ? about.id : undefined;
}
