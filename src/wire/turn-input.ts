/**
 * Which parts a model gets to see, and who may speak as system: the same for every model.
 *
 * @module
 */
import { isAside } from "../core/asides.ts";
import { MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { isTrustedSystem } from "../core/system-brand.ts";

/** What becomes of system parts that the program did not make itself. */
export type SystemParts = "refuse" | "demote";

/** A part with the role that it is sent under. */
export interface Spoken {
  readonly part: Part;
  readonly speaker: "user" | "assistant" | "system";
}

/**
 * The parts to send, in order. Left out: what is aside, finish and error parts, empty texts, and reasoning but for what `keepReasoning`
 * wants back.
 *
 * Throws: `refused` for a system part that came from data, unless it is to be demoted to the user's; `invalid_input` for a
 * tool result whose call is not in the input.
 */
export function spokenParts(who: string, parts: readonly Part[], systemParts: SystemParts, keepReasoning: (part: Part) => boolean): Spoken[] {
  const spoken: Spoken[] = [];
  const calls = new Set<string>();
  for (const part of parts) {
    if (part.kind === "finish" || part.kind === "error" || isAside(part.substream)) continue;
    if (part.substream === "reasoning") {
      if (keepReasoning(part)) spoken.push({ part, speaker: "assistant" });
      continue;
    }
    if (part.kind === "text" && part.text === "") continue;
    if (part.kind === "toolCall") calls.add(part.id);
    if (part.kind === "toolResult" && !calls.has(part.id)) {
      throw new MillraceError("invalid_input", `${who}: the result of tool ${part.name.slice(0, 64)} answers no call in the input`, { service: who });
    }
    spoken.push({ part, speaker: speakerOf(who, part, systemParts) });
  }
  return spoken;
}

function speakerOf(who: string, part: Part, systemParts: SystemParts): Spoken["speaker"] {
  if (part.kind === "toolCall") return "assistant";
  switch (part.role) {
    case "user":
    case "assistant":
      return part.role;
    case "tool":
      return "user"; // what tools say is data
    case "system":
      if (isTrustedSystem(part)) return "system";
      if (systemParts === "demote") return "user";
      throw new MillraceError("refused", `${who}: a ${part.kind} part with role system did not come from this program`, { service: who });
    default:
      throw new MillraceError("invalid_input", `${who}: a ${String((part as Part).kind)} part has no known role`, { service: who });
  }
}

/** The texts among what is sent, so that no message quotes them. */
export function sentTexts(parts: readonly Part[]): string[] {
  return parts.flatMap((part) => {
    if (part.kind === "text") return [part.text];
    if (part.kind === "json") return [JSON.stringify(part.value)];
    if (part.kind === "toolResult") return [typeof part.result === "string" ? part.result : JSON.stringify(part.result)];
    if (part.kind === "toolCall") return [JSON.stringify(part.arguments)];
    return part.kind === "uri" ? [part.uri] : [];
  });
}
