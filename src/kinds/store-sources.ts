/**
 * Brings a vector store up to date with sources: what has not changed is left alone, the rest is embedded and swapped.
 *
 * @module
 */
import { type Embedder, vectorsOf } from "./embedder.ts";
import type { VectorFilter } from "./vector-filter.ts";
import { isStored, recordsOf, type SourceChunks, sourceKeyOf, sourceKeys } from "./vector-source.ts";
import type { VectorContext, VectorStore } from "./vector-store.ts";

/** How texts are gathered into calls. */
export interface EmbedLimits {
  /** Texts of a call at most. */
  readonly batch: number;
  /** Calls in progress at most. */
  readonly concurrency: number;
}

/** Ranges in one filter: three terms each, and some stores take few. */
const rangesPerCall = 100;

/** Stores the sources, one look-up for all of them, and gives those that had changed. Each is stored whole or not at all. */
export async function storeSources(
  store: VectorStore,
  embedder: Embedder,
  sources: readonly SourceChunks[],
  limits: EmbedLimits,
  context: VectorContext,
): Promise<ReadonlySet<SourceChunks>> {
  const heads = new Map((await store.get(sources.flatMap(({ ids }) => ids[0] ?? []), context)).map((entry) => [entry.id, entry]));
  const changed = sources.filter((it) => !isStored(heads.get(it.ids[0] ?? ""), it));
  const vectors = await embedTexts(embedder, changed.flatMap(({ chunks }) => chunks.map(({ text }) => text)), limits, context);
  let at = 0;
  for (const it of changed) {
    await storeSource(store, it, vectors.slice(at, at + it.chunks.length), context);
    at += it.chunks.length;
  }
  return new Set(changed);
}

async function storeSource(store: VectorStore, it: SourceChunks, vectors: readonly Float32Array[], context: VectorContext): Promise<void> {
  const ofSource: VectorFilter = { eq: ["source", it.source] };
  const records = recordsOf(it, vectors);
  if (store.replace !== undefined) return store.replace(ofSource, records, context);
  await store.upsert(records.slice(1), context);
  await deleteSources(store, { and: [ofSource, { ne: ["sourceHash", it.hash] }] }, context);
  await store.upsert(records.slice(0, 1), context); // the mark that the others are there and the old ones are gone
}

/** Deletes whole sources: their marks first where others could see one half deleted. */
export async function deleteSources(store: VectorStore, filter: VectorFilter, context: VectorContext): Promise<void> {
  if (store.replace === undefined) await store.delete({ filter: { and: [filter, { eq: ["chunk", 0] }] } }, context);
  await store.delete({ filter }, context);
}

/** Deletes the sources that are none of these: all that is between their keys, for no store says which sources it has. */
export async function deleteOtherSources(store: VectorStore, kept: Iterable<string>, context: VectorContext): Promise<void> {
  const keys = [-1, ...new Set(await Promise.all(Array.from(kept, sourceKeyOf))), sourceKeys].sort((a, b) => a - b);
  const between = keys.slice(1).flatMap((to, index): VectorFilter[] => {
    const from = keys[index] ?? -1;
    return to - from > 1 ? [{ and: [{ gt: ["sourceKey", from] }, { lt: ["sourceKey", to] }] }] : [];
  });
  for (let at = 0; at < between.length; at += rangesPerCall) {
    await deleteSources(store, { or: between.slice(at, at + rangesPerCall) }, context);
  }
}

/** The vectors of all texts, in order. When a call fails no further one begins, and those in progress are waited for. */
async function embedTexts(embedder: Embedder, texts: readonly string[], { batch, concurrency }: EmbedLimits, context: VectorContext): Promise<Float32Array[]> {
  const calls = Array.from({ length: Math.ceil(texts.length / batch) }, (_, i) => texts.slice(i * batch, (i + 1) * batch));
  const results: Float32Array[][] = [];
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < calls.length && failure === undefined) {
      const at = next;
      next += 1;
      try {
        results[at] = await vectorsOf("remember", embedder, calls[at] ?? [], context);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, calls.length) }, lane));
  if (failure !== undefined) throw failure.error;
  return results.flat();
}
