/**
 * The verb that reads from a vector store.
 *
 * @module
 */
import { debug } from "../core/constructors.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import type { Part, TextPart } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import { cosine, diversify } from "./diversify.ts";
import { isWorded } from "./embed.ts";
import { type Embedder, requireEmbedder, vectorsOf } from "./embedder.ts";
import { matchPart } from "./match-part.ts";
import { namespaced } from "./namespaced.ts";
import { candidates as usualCandidates } from "./rank-fusion.ts";
import { type Reranked, reranked } from "./rerank.ts";
import { checkFit, maxLimit } from "./vector-checks.ts";
import { checkFilter, type VectorFilter } from "./vector-filter.ts";
import { requireVectorStore, type VectorQuery, type VectorStore } from "./vector-store.ts";
import { wholeMatches } from "./whole-matches.ts";

export type { Match } from "./match-part.ts";

/** What `retrieve` may be told. */
export interface RetrieveOptions {
  /** Matches of a query at most, 1 to 1000. @default 5 */
  readonly limit?: number;
  /** Which records count. */
  readonly filter?: VectorFilter;
  /** Whose records are seen: see `namespaced`. @default all of the store's */
  readonly namespace?: string;
  /** Matches with a lower score of the store are left out. Not with `hybrid`, whose scores compare with nothing. @default none is left out */
  readonly minScore?: number;
  /** Ranks by the words of the text too. @default false */
  readonly hybrid?: boolean;
  /**
   * Orders the candidates. It reads one part per match, nearest first, as they are yielded, with the question as `metadata.query`; it
   * gives back those that stay, in their new order, or JSON with one number per match (one a part, or lists), higher is better. What
   * is yielded is what was stored all the same, with `metadata.match.rerankScore` where there are numbers. Behind
   * `fallback(reranker, pipe())` the store's order stays where it fails.
   */
  readonly rerank?: Processor;
  /** Chooses matches that are not all alike, by maximal marginal relevance; without it the nearest are chosen. */
  readonly diversity?: {
    /** Weight of relevance, from 0 (only unlike each other) to 1 (only near the question). @default 0.5 */
    readonly lambda?: number;
  };
  /** Of how many matches `rerank` and `diversity` choose, `limit` to 1000. @default four times the limit, at least 50 */
  readonly candidates?: number;
  /** Queries in progress at most. @default 1 */
  readonly concurrency?: number;
}

/**
 * Finds the nearest records for each text part and puts them before it.
 *
 * First the store finds matches, `minScore` cuts them, `rerank` orders them, `diversity` and `limit` choose. Chunks of a source that
 * `remember` has not stored whole are left out, and named in a part on substream `debug`; for these checks a store without `replace`
 * is asked a second time.
 *
 * Reads:  text parts of the main stream with more than white space in them, but those of role system; the others pass by.
 * Yields: one part per match, best first: its text with role user, or a JSON part of its metadata where it has no text; its
 *         stored metadata and `metadata.match` of `{ id, score, distance, rerankScore, source }`. Then the part itself.
 * Throws: `invalid_input` for a limit outside 1 to 1000, a filter that is none, `hybrid` where the store has none, and dimensions
 *         of embedder and store that differ; `bad_response` for what is no order, and for `diversity` over a store that gives no
 *         vectors; whatever store, embedder and `rerank` throw.
 * Closes: nothing; store and embedder belong to the caller.
 *
 * @example
 * await using store = memoryVectorStore();
 * const [embedder, note] = [mockEmbedder(), text("We go on Tuesday. ", { metadata: { source: "notes.md", lang: "en" } })];
 * await run(remember(store, embedder), note).collect();
 * const withNotes = retrieve(store, embedder, { limit: 3, filter: { eq: ["lang", "en"] } });
 * console.log(await run(withNotes, "When do we go?").text()); // We go on Tuesday. When do we go?
 */
export function retrieve(store: VectorStore, embedder: Embedder, options: RetrieveOptions = {}): Processor {
  requireVectorStore("retrieve", store);
  requireEmbedder("retrieve", embedder);
  const { limit = 5, filter, namespace, minScore, hybrid = false, rerank, diversity, concurrency = 1 } = options;
  wholeNumber("retrieve", "limit", limit, 1, maxLimit);
  wholeNumber("retrieve", "concurrency", concurrency, 1);
  if (filter !== undefined) checkFilter("retrieve", filter);
  if (minScore !== undefined && !Number.isFinite(minScore)) throw invalidOption("retrieve", "minScore", "a number", minScore);
  if (typeof hybrid !== "boolean") throw invalidOption("retrieve", "hybrid", "a boolean", hybrid);
  if (hybrid && minScore !== undefined) throw new MillraceError("invalid_input", "retrieve: minScore and hybrid exclude each other: fused ranks are no measure of nearness");
  if (hybrid && store.lacks.hybrid !== undefined) throw new MillraceError("invalid_input", `retrieve: hybrid is not for ${store.service}: ${store.lacks.hybrid}`);
  if (rerank !== undefined && typeof rerank !== "function") throw invalidOption("retrieve", "rerank", "a processor", rerank);
  const lambda = lambdaOf(diversity);
  const width = widthOf(options, limit);
  checkFit("retrieve", store, embedder);
  const target = namespace === undefined ? store : namespaced(store, namespace);

  const find = async (part: TextPart, scope: Scope): Promise<readonly Part[]> => {
    const { signal } = scope;
    const [vector] = await vectorsOf("retrieve", embedder, [part.text], { signal });
    if (vector === undefined) return [part];
    const query: VectorQuery = {
      vector,
      limit: width,
      ...(filter === undefined ? {} : { filter }),
      ...(hybrid ? { text: part.text } : {}),
      ...(lambda === undefined ? {} : { vectors: true }),
    };
    const { matches, unfinished } = await wholeMatches(target, query, { signal });
    const near = matches.filter(({ score }) => minScore === undefined || score >= minScore);
    const ordered = rerank === undefined ? near.map((match) => ({ match })) : await reranked(rerank, part.text, near, scope);
    const byPlace = hybrid || rerank !== undefined;
    const chosen = lambda === undefined ? ordered.slice(0, limit) : diverse(ordered, byPlace ? undefined : vector, limit, lambda, store.service);
    return [...(unfinished.length === 0 ? [] : [note(unfinished)]), ...chosen.map(toPart), part];
  };
  const isAsked = (part: Part): part is TextPart => isWorded(part) && part.substream === "" && part.role !== "system";
  return processorOf([{ kind: "operation", name: "retrieve", concurrency, ordered: true, open: () => (part, scope) => (isAsked(part) ? find(part, scope) : PASS) }]);
}

/** Relevance is the cosine with the question; where an order was made by other means it is the place in it, 1 for the first. */
function diverse(ordered: readonly Reranked[], question: Float32Array | undefined, limit: number, lambda: number, service: string): readonly Reranked[] {
  const candidates = ordered.map(({ match: { vector } }, at) => {
    if (vector === undefined) throw new MillraceError("bad_response", `retrieve: diversity needs vectors, and ${service} answered without them`, { service });
    return { vector, relevance: question === undefined ? 1 - at / ordered.length : cosine(question, vector) };
  });
  return diversify(candidates, limit, lambda).flatMap((at) => ordered[at] ?? []);
}

function toPart({ match, rerankScore }: Reranked): Part {
  return matchPart(match, rerankScore === undefined ? {} : { rerankScore });
}

function note(unfinished: readonly string[]): Part {
  const names = unfinished.slice(0, 5).map((name) => received(name)).join(", ");
  return debug(`retrieve: left out what is only half stored of ${names}; remember it again`, { metadata: { unfinished } });
}

function lambdaOf(diversity: unknown): number | undefined {
  if (diversity === undefined) return undefined;
  if (typeof diversity !== "object" || diversity === null) throw invalidOption("retrieve", "diversity", "an object", diversity);
  const lambda: unknown = "lambda" in diversity ? (diversity.lambda ?? 0.5) : 0.5;
  if (typeof lambda === "number" && lambda >= 0 && lambda <= 1) return lambda;
  throw invalidOption("retrieve", "diversity.lambda", "a number from 0 to 1", lambda);
}

function widthOf({ rerank, diversity, candidates }: RetrieveOptions, limit: number): number {
  if (candidates !== undefined) wholeNumber("retrieve", "candidates", candidates, limit, maxLimit);
  if (rerank === undefined && diversity === undefined) {
    if (candidates === undefined) return limit;
    throw new MillraceError("invalid_input", "retrieve: candidates is for rerank and diversity: without them the nearest are chosen");
  }
  return candidates ?? usualCandidates(limit);
}
