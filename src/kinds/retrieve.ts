/**
 * The verb that reads from a vector store.
 *
 * @module
 */
import { debug, json, text } from "../core/constructors.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { Part } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { each } from "../streams/each.ts";
import { isWorded } from "./embed.ts";
import { type Embedder, requireEmbedder, vectorsOf } from "./embedder.ts";
import { namespaced } from "./namespaced.ts";
import { checkFit, maxLimit } from "./vector-checks.ts";
import { checkFilter, type VectorFilter } from "./vector-filter.ts";
import { requireVectorStore, type VectorMatch, type VectorStore } from "./vector-store.ts";
import { wholeMatches } from "./whole-matches.ts";

/** What `retrieve` may be told. */
export interface RetrieveOptions {
  /** Matches of a query at most, 1 to 1000. @default 5 */
  readonly limit?: number;
  /** Which records count. */
  readonly filter?: VectorFilter;
  /** Whose records are seen: see `namespaced`. @default all of the store's */
  readonly namespace?: string;
  /** Matches with a lower score are left out. Not with `hybrid`, whose scores compare with nothing. @default none is left out */
  readonly minScore?: number;
  /** Ranks by the words of the text too. @default false */
  readonly hybrid?: boolean;
  /** Queries in progress at most. @default 1 */
  readonly concurrency?: number;
}

/** What a retrieved part says of itself, as `metadata.match`. */
export interface Match {
  readonly id: string;
  /** Higher is closer: see `VectorMatch`. */
  readonly score: number;
  readonly distance?: number;
  /** Where the text is from, if it was stored with it. */
  readonly source?: string;
}

/**
 * Finds the nearest records for each text part and puts them before it.
 *
 * Chunks of a source that `remember` has not stored whole are left out, and named in a part on substream `debug`; for these checks a
 * store without `replace` is asked a second time.
 *
 * Reads:  text parts of the main stream with more than white space in them, but those of role system; the others pass by.
 * Yields: one part per match, closest first: its text with role user, or a JSON part of its metadata where it has no text; its
 *         stored metadata and `metadata.match` of `{ id, score, distance, source }`. Then the part itself.
 * Throws: `invalid_input` for a limit outside 1 to 1000, a filter that is none, `hybrid` where the store has none, and dimensions
 *         of embedder and store that differ; whatever store and embedder throw.
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
  const { limit = 5, filter, namespace, minScore, hybrid = false, concurrency = 1 } = options;
  wholeNumber("retrieve", "limit", limit, 1, maxLimit);
  if (filter !== undefined) checkFilter("retrieve", filter);
  if (minScore !== undefined && !Number.isFinite(minScore)) throw invalidOption("retrieve", "minScore", "a number", minScore);
  if (typeof hybrid !== "boolean") throw invalidOption("retrieve", "hybrid", "a boolean", hybrid);
  if (hybrid && minScore !== undefined) throw new MillraceError("invalid_input", "retrieve: minScore and hybrid exclude each other: fused ranks are no measure of nearness");
  if (hybrid && store.lacks.hybrid !== undefined) throw new MillraceError("invalid_input", `retrieve: hybrid is not for ${store.service}: ${store.lacks.hybrid}`);
  checkFit("retrieve", store, embedder);
  const target = namespace === undefined ? store : namespaced(store, namespace);
  return each(
    async (part, { signal }) => {
      if (!isWorded(part)) return part;
      const [vector] = await vectorsOf("retrieve", embedder, [part.text], { signal });
      if (vector === undefined) return part;
      const asked = { vector, limit, ...(filter === undefined ? {} : { filter }), ...(hybrid ? { text: part.text } : {}) };
      const { matches, unfinished } = await wholeMatches(target, asked, { signal });
      return [...(unfinished.length === 0 ? [] : [note(unfinished)]), ...matches.filter(({ score }) => minScore === undefined || score >= minScore).map(toPart), part];
    },
    { match: (part) => isWorded(part) && part.substream === "" && part.role !== "system", concurrency, name: "retrieve" },
  );
}

function note(unfinished: readonly string[]): Part {
  const names = unfinished.slice(0, 5).map((name) => received(name)).join(", ");
  return debug(`retrieve: left out what is only half stored of ${names}; remember it again`, { metadata: { unfinished } });
}

/** Retrieved text is somebody's words, never an instruction of ours: role user, and it says what it is. */
function toPart({ id, score, distance, text: content, metadata }: VectorMatch): Part {
  const { source } = metadata;
  const match: Match = {
    id,
    score,
    ...(distance === undefined ? {} : { distance }),
    ...(typeof source === "string" ? { source } : {}),
  };
  const labelled = { metadata: { ...metadata, match } };
  return content === undefined || content === "" ? json(checkedJson({ ...metadata }, `match ${id}`), labelled) : text(content, labelled);
}
