/**
 * Media that a tool answered with: parts behind its result that say `metadata.toolResult = { id }`.
 *
 * A result itself holds JSON only. Some services take media inside of it, others take them as the user's.
 *
 * @module
 */
import type { BytesPart, Part, ToolResultPart, UriPart } from "../core/part.ts";
import { resultOfMedium } from "../core/result-media.ts";
import type { Spoken } from "./turn-input.ts";

/** A part, and the media that go with it; only results have any. */
export interface WithMedia extends Spoken {
  readonly media: readonly (BytesPart | UriPart)[];
}

/** Takes the media of each result to it. */
export function mediaInside(spoken: readonly Spoken[]): WithMedia[] {
  return resultsOf(spoken).map(({ first, media }) => ({ ...first, media }));
}

/** Moves the media of results behind the last of several in a row: services want the answers to the calls of one turn together. */
export function mediaBehind(spoken: readonly Spoken[]): Spoken[] {
  const moved: Spoken[] = [];
  let waiting: Spoken[] = [];
  for (const { first, media } of resultsOf(spoken)) {
    if (first.part.kind !== "toolResult") {
      moved.push(...waiting);
      waiting = [];
    }
    moved.push(first);
    waiting.push(...media.map((part): Spoken => ({ part, speaker: "user" })));
  }
  return [...moved, ...waiting];
}

/** What a tool answered, as text. */
export function resultText({ result }: ToolResultPart): string {
  return typeof result === "string" ? result : JSON.stringify(result);
}

interface Group {
  readonly first: Spoken;
  readonly media: (BytesPart | UriPart)[];
}

/** Results with the media that follow them directly; every other part by itself. */
function resultsOf(spoken: readonly Spoken[]): Group[] {
  const groups: Group[] = [];
  for (const one of spoken) {
    const { part } = one;
    const last = groups.at(-1);
    if (last?.first.part.kind === "toolResult" && isMediaOf(part, last.first.part.id)) last.media.push(part);
    else groups.push({ first: one, media: [] });
  }
  return groups;
}

function isMediaOf(part: Part, id: string): part is BytesPart | UriPart {
  return resultOfMedium(part) === id;
}
