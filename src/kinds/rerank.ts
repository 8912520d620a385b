/**
 * A processor's order for what a store has found.
 *
 * @module
 */
import { derive } from "../core/derive.ts";
import { MillraceError, received } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { runInside } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import { matchPart } from "./match-part.ts";
import type { VectorMatch } from "./vector-store.ts";

/** A match in its new place. */
export interface Reranked {
  readonly match: VectorMatch;
  readonly rerankScore?: number;
}

/**
 * Shows a processor the matches, one part each, with `metadata.match` and the question as `metadata.query`. It says their order by
 * giving them back in it, all or some, or by JSON parts with one number a match, higher is better: one a part, or lists of them.
 * What comes out is what the store has found, whatever the processor made of it.
 *
 * Throws: `bad_response` for matches that were not shown or come twice, for more or fewer numbers than matches, for both of these
 *         forms, and for other parts; whatever the processor throws. Finish parts and other substreams are no answer.
 */
export async function reranked(processor: Processor, query: string, matches: readonly VectorMatch[], scope: Scope): Promise<readonly Reranked[]> {
  if (matches.length === 0) return [];
  const left = new Map(matches.map((match) => [match.id, match]));
  const order: VectorMatch[] = [];
  const scores: number[] = [];
  const shown = matches.map((match) => {
    const part = matchPart(match);
    return derive(part, { metadata: { ...part.metadata, query } });
  });
  // what is asked of the model around it is not asked of models in it
  for await (const part of runInside(processor, { items: shown }, scope, { limits: { asked: {} } })) {
    if (part.substream !== "" || part.kind === "finish") continue;
    const id = idOf(part);
    if (id === undefined) {
      for (const score of scoresIn(part)) scores.push(score); // not spread: a list may be too long for that
    } else {
      const match = left.get(id);
      if (match === undefined) throw bad(`gave back ${received(id)}, which it was not shown or gave before`);
      left.delete(id);
      order.push(match);
    }
    if (order.length > 0 && scores.length > 0) throw bad("gave both matches and numbers");
    if (scores.length > matches.length) throw bad(`gave more than ${matches.length} numbers for as many matches`);
  }
  if (scores.length === 0) return order.map((match) => ({ match }));
  if (scores.length < matches.length) throw bad(`gave ${scores.length} numbers for ${matches.length} matches`);
  const scored = matches.map((match, at) => ({ match, rerankScore: scores[at] ?? 0 }));
  return scored.sort((a, b) => b.rerankScore - a.rerankScore); // a stable sort: equal ones keep the store's order
}

function idOf({ metadata: { match } }: Part): string | undefined {
  const id: unknown = typeof match === "object" && match !== null && "id" in match ? match.id : undefined;
  return typeof id === "string" ? id : undefined;
}

function scoresIn(part: Part): readonly number[] {
  const value: unknown = part.kind === "json" ? part.value : undefined;
  const numbers: readonly unknown[] = Array.isArray(value) ? value : [value];
  return numbers.map((number) => {
    if (typeof number === "number") return number;
    throw bad(`must give back matches, or numbers as JSON, got ${part.kind === "json" ? received(number) : `a ${part.kind} part`}`);
  });
}

function bad(what: string): MillraceError {
  return new MillraceError("bad_response", `retrieve: rerank ${what}`);
}
