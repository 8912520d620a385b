/**
 * The verbs that write to a vector store: whole sources, in chunks.
 *
 * @module
 */
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import type { Part, TextPart } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { sourceOf } from "../core/source-of.ts";
import { isWorded } from "./embed.ts";
import { type Embedder, requireEmbedder } from "./embedder.ts";
import { namespaced } from "./namespaced.ts";
import { deleteOtherSources, deleteSources, type EmbedLimits, storeSources } from "./store-sources.ts";
import { checkFit } from "./vector-checks.ts";
import { chunksOfSource } from "./vector-source.ts";
import { requireVectorStore, type VectorContext, type VectorStore } from "./vector-store.ts";

/** What `remember` may be told. */
export interface RememberOptions {
  /** Which source a chunk is of. @default `metadata.source`, `metadata.file.path` or `metadata.web.uri`, the first that is there */
  readonly source?: (part: Part) => string | undefined;
  /** Whose records they are: see `namespaced`. @default nobody's */
  readonly namespace?: string;
  /** Part of what is compared: change it with the embedding model, and everything is stored anew. @default "" */
  readonly version?: string;
  /** Texts of a call of the embedder at most; as many chunks are gathered over several small sources. @default 64 */
  readonly batch?: number;
  /** Calls of the embedder in progress at most. @default 1 */
  readonly concurrency?: number;
  /** Chunks of one source at most: they are held in memory until all are stored. @default 10000 */
  readonly maxChunks?: number;
  /**
   * Deletes the sources that are stored and did not come in this run, once its input has ended: for a run that reads all there is.
   * Those of the namespace, or without one of the whole store, whoever's they are; an empty input deletes them all. @default false
   */
  readonly removeMissing?: boolean;
}

/**
 * Stores chunks with their vectors, source by source.
 *
 * A source is stored whole or not at all: its chunks replace those it had before, in one step where the store can (`replace`). In a
 * store that cannot, chunks count once the first of their content is there; it is written last, and those of old contents are deleted
 * first. So `retrieve` finds the old content, the new, or for a moment neither, after a crash at any point too; the next run that
 * brings the source repairs it. There two runs must not store one source at the same time.
 * A source whose chunks are all as they were (text, metadata, `version`) is not embedded and not written.
 *
 * Reads:  text parts of the main stream with more than white space in them; the others pass by. Chunks of one source come one
 *         after the other.
 * Yields: each part in its place once its source is stored; chunks with `metadata.stored` of `{ id, source, changed }`.
 * Throws: `invalid_input` for bad options, a chunk without a source, and a source that comes a second time in a run; `too_large` for
 *         a source of more than `maxChunks`; whatever store and embedder throw. A source that was not read to its end is not stored.
 * Closes: nothing; store and embedder belong to the caller.
 *
 * @example
 * await using store = memoryVectorStore();
 * const chunks = ["We go on Tuesday.", "We go by train."].map((words) => text(words, { metadata: { source: "notes.md" } }));
 * await run(remember(store, mockEmbedder()), chunks).collect();
 * console.log(await store.count()); // 2
 */
export function remember(store: VectorStore, embedder: Embedder, options: RememberOptions = {}): Processor {
  requireVectorStore("remember", store);
  requireEmbedder("remember", embedder);
  const { source = sourceOf, namespace, version = "", batch = 64, concurrency = 1, maxChunks = 10_000, removeMissing = false } = options;
  if (typeof source !== "function") throw invalidOption("remember", "source", "a function", source);
  if (typeof version !== "string") throw invalidOption("remember", "version", "a string", version);
  wholeNumber("remember", "batch", batch, 1);
  wholeNumber("remember", "concurrency", concurrency, 1);
  wholeNumber("remember", "maxChunks", maxChunks, 1);
  if (typeof removeMissing !== "boolean") throw invalidOption("remember", "removeMissing", "a boolean", removeMissing);
  checkFit("remember", store, embedder);
  const target = namespace === undefined ? store : namespaced(store, namespace);
  const limits: EmbedLimits = { batch, concurrency };

  return async function* remember(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part> {
    const call: VectorContext = context === undefined ? {} : { signal: context.signal };
    const begun = new Set<string>();
    let pending: Pending[] = [];
    let sources: OpenSource[] = [];
    let gathered = 0;
    async function* flush(): AsyncGenerator<Part> {
      const named = await Promise.all(sources.map((it) => chunksOfSource(it.source, it.chunks, version)));
      const changed = await storeSources(target, embedder, named, limits, call);
      const parts = pending.map(({ part, of, chunk }) => {
        const it = of === undefined ? undefined : named[of];
        if (it === undefined) return part;
        return derive(part, { metadata: { ...part.metadata, stored: { id: it.ids[chunk], source: it.source, changed: changed.has(it) } } });
      });
      pending = [];
      sources = [];
      gathered = 0;
      yield* parts;
    }
    for await (const part of input) {
      if (!isWorded(part) || part.substream !== "") {
        if (pending.length === 0) yield part;
        else pending.push({ part, of: undefined, chunk: 0 });
        continue;
      }
      const name = source(part);
      if (typeof name !== "string" || name === "") {
        throw new MillraceError("invalid_input", `remember: a chunk needs a source, got ${received(name)}; set metadata.source or the option source`);
      }
      let open = sources.at(-1);
      if (open?.source !== name) {
        if (begun.has(name)) throw new MillraceError("invalid_input", `remember: the chunks of ${received(name)} must come one after the other`);
        begun.add(name);
        if (gathered >= batch) yield* flush();
        open = { source: name, chunks: [] };
        sources.push(open);
      }
      if (open.chunks.length >= maxChunks) throw new MillraceError("too_large", `remember: ${received(name)} has more than ${maxChunks} chunks`);
      pending.push({ part, of: sources.length - 1, chunk: open.chunks.length });
      open.chunks.push(part);
      gathered += 1;
    }
    if (pending.length > 0) yield* flush();
    if (removeMissing) await deleteOtherSources(target, begun, call);
  };
}

/** A source while its chunks are being read. */
interface OpenSource {
  readonly source: string;
  readonly chunks: TextPart[];
}

/** A part that waits for its source to be stored, or stands between such parts. */
interface Pending {
  readonly part: Part;
  /** Which of the sources being gathered. */
  readonly of: number | undefined;
  readonly chunk: number;
}

/**
 * Deletes all chunks of sources, as `remember` stored them.
 *
 * Throws: whatever the store throws.
 */
export async function forget(store: VectorStore, sources: readonly string[], options: VectorContext & { readonly namespace?: string } = {}): Promise<void> {
  requireVectorStore("forget", store);
  const { namespace, ...context } = options;
  const target = namespace === undefined ? store : namespaced(store, namespace);
  for (let at = 0; at < sources.length; at += 100) await deleteSources(target, { in: ["source", sources.slice(at, at + 100)] }, context);
}
