/**
 * What stands together in a history: turns, and calls with their results.
 *
 * @module
 */
import type { Part, ToolCallPart } from "../core/part.ts";

/** Of a part that belongs to no turn: system text. */
export const noTurn = -1;

/** Under this name a summary says in its metadata that it is one. */
export const summaryMark = "trimHistory";

/**
 * The number of the turn that each part is of, from 0. A turn begins with what the user says and goes on to where the user speaks again,
 * but never between a call and its result; a summary is a turn by itself; system parts are of none.
 */
export function turnsOf(parts: readonly Part[]): number[] {
  const results = resultsOf(parts);
  let turn = noTurn;
  let answered = true;
  let tiedTo = noTurn;
  return parts.map((part, index) => {
    const isCalling = part.kind === "toolCall" || part.kind === "toolResult";
    if (part.role === "system" && !isCalling) return noTurn;
    const isUsers = part.role === "user" && !isCalling;
    const isSummary = isUsers && summaryMark in part.metadata;
    const begins = isUsers && answered && index > tiedTo;
    if (begins || turn === noTurn) {
      turn += 1;
      answered = false;
    }
    if (!isUsers || isSummary) answered = true;
    tiedTo = Math.max(tiedTo, results.get(index) ?? noTurn);
    return turn;
  });
}

/** The calls that no result answers, in order. */
export function openCalls(parts: readonly Part[]): ToolCallPart[] {
  const results = resultsOf(parts);
  return parts.filter((part, index): part is ToolCallPart => part.kind === "toolCall" && !results.has(index));
}

/** Where the result of each call stands, by where the call stands: of several calls with one id it is the last before it. */
function resultsOf(parts: readonly Part[]): Map<number, number> {
  const results = new Map<number, number>();
  const waiting = new Map<string, number[]>();
  for (const [index, part] of parts.entries()) {
    if (part.kind === "toolCall") waiting.set(part.id, [...(waiting.get(part.id) ?? []), index]);
    const call = part.kind === "toolResult" ? waiting.get(part.id)?.pop() : undefined;
    if (call !== undefined) results.set(call, index);
  }
  return results;
}
