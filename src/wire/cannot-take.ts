/**
 * What is said of a part that a model cannot be given.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";

/** `invalid_input`, naming kind and mime type and, where there is a way, what to do instead; thrown before anything is sent. */
export function cannotTake(who: string, part: Part, instead = ""): MillraceError {
  const hint = instead === "" ? "" : `: ${instead}`;
  return new MillraceError("invalid_input", `${who}: cannot take a ${part.kind} part of type ${part.mimeType.slice(0, 100)}, role ${part.role}${hint}`, { service: who });
}
