/**
 * Queries that find nothing of a source that is only half stored.
 *
 * A store that swaps in one step (`replace`) has no such sources. In others `remember` may be at work, or was killed: there a chunk
 * counts when the first chunk of its content is there too.
 *
 * @module
 */
import { headIdOf } from "./vector-source.ts";
import { maxLimit } from "./vector-checks.ts";
import type { VectorContext, VectorMatch, VectorQuery, VectorStore } from "./vector-store.ts";

/** What a query found. */
export interface WholeMatches {
  readonly matches: readonly VectorMatch[];
  /** Sources that are not stored whole: their chunks were left out. */
  readonly unfinished: readonly string[];
}

/** Asks a store. Where chunks have to be left out it is asked for four times as many, until there are enough or no more. */
export async function wholeMatches(store: VectorStore, query: VectorQuery, context: VectorContext): Promise<WholeMatches> {
  for (let limit = query.limit; ; limit = Math.min(maxLimit, limit * 4)) {
    const found = await store.query({ ...query, limit }, context);
    if (store.replace !== undefined) return { matches: found, unfinished: [] };
    const heads = await presentHeads(store, found, context);
    const isWhole = (match: VectorMatch): boolean => heads.has(headIdOf(match) ?? match.id);
    const matches = found.filter(isWhole);
    if (matches.length >= query.limit || found.length < limit || limit === maxLimit) {
      const halves = found.filter((match) => !isWhole(match));
      return { matches: matches.slice(0, query.limit), unfinished: [...new Set(halves.map(({ metadata }) => String(metadata["source"])))] };
    }
  }
}

/** The ids that were found, and those of first chunks that are there besides. */
async function presentHeads(store: VectorStore, found: readonly VectorMatch[], context: VectorContext): Promise<ReadonlySet<string>> {
  const ids = new Set(found.map(({ id }) => id));
  const asked = [...new Set(found.flatMap((match) => headIdOf(match) ?? []))].filter((id) => !ids.has(id));
  if (asked.length > 0) for (const { id } of await store.get(asked, context)) ids.add(id);
  return ids;
}
