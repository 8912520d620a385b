/**
 * Vectors in memory: every query looks at every record, so its answers are exact. The reference of the kind.
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { noMetadata } from "../../core/part.ts";
import { candidates, compareIds, fuseRanks } from "../../kinds/rank-fusion.ts";
import { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "../../kinds/vector-checks.ts";
import { checkFilter, filterHolds, type VectorFilter } from "../../kinds/vector-filter.ts";
import {
  scoreOf,
  type VectorEntry,
  type VectorMatch,
  type VectorMetric,
  type VectorQuery,
  type VectorRecord,
  type VectorStore,
} from "../../kinds/vector-store.ts";
import { bm25, termsOf, type TextTerms } from "./text-index.ts";

const service = "memory";

/** Of a vector store in memory. */
export interface MemoryVectorStoreOptions {
  /** Numbers in each vector. @default those of the first record */
  readonly dimensions?: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
}

interface Entry extends VectorEntry {
  readonly vector: Float32Array;
  readonly terms: TextTerms;
}

/** A record that a query met. */
interface Found {
  readonly entry: Entry;
  readonly distance: number;
}

/**
 * Keeps vectors in memory, copied as they come, and finds the nearest by looking at all of them; hybrid queries rank texts by BM25.
 *
 * Throws: as every vector store.
 * Closes: forgets all it holds.
 *
 * @example
 * await using store = memoryVectorStore({ dimensions: 2 });
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }, { id: "b", vector: Float32Array.of(0, 1), text: "north" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(0.9, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function memoryVectorStore(options: MemoryVectorStoreOptions = {}): VectorStore {
  const { metric = "cosine" } = options;
  const distanceOf: ((a: Float32Array, b: Float32Array) => number) | undefined = Object.hasOwn(distances, metric) ? distances[metric] : undefined;
  if (distanceOf === undefined) throw invalidOption("memoryVectorStore", "metric", "cosine, dot or l2", metric);
  let dimensions = options.dimensions === undefined ? undefined : wholeNumber("memoryVectorStore", "dimensions", options.dimensions, 1);
  const entries = new Map<string, Entry>();
  let closed = false;

  const shape = (): VectorShape => ({ service, dimensions, metric });
  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: the store is closed`, { service });
    signal?.throwIfAborted();
  };
  const put = (records: readonly VectorRecord[]): void => {
    dimensions ??= records[0]?.vector.length;
    for (const record of records) entries.set(record.id, entryOf(record));
  };
  const holding = (filter: VectorFilter | undefined): Entry[] =>
    [...entries.values()].filter((entry) => filter === undefined || filterHolds(filter, entry.metadata));
  const close = async (): Promise<void> => {
    closed = true;
    entries.clear();
  };

  return {
    service,
    get dimensions() {
      return dimensions;
    },
    metric,
    lacks: {},
    async setup({ signal } = {}) {
      ready(signal);
    },
    async upsert(records, { signal } = {}) {
      ready(signal);
      put(checkRecords(shape(), records));
    },
    async query(query, { signal } = {}) {
      ready(signal);
      const { vector, limit, filter } = checkQuery(shape(), query);
      const found = holding(filter).map((entry): Found => ({ entry, distance: distanceOf(vector, entry.vector) }));
      found.sort((a, b) => a.distance - b.distance || compareIds(a.entry.id, b.entry.id));
      if (query.text !== undefined) return fused(found, query.text, query);
      return found.slice(0, limit).map((it) => matchOf(it, scoreOf(metric, it.distance), query));
    },
    async get(ids, { signal } = {}) {
      ready(signal);
      checkIds(service, ids);
      return [...new Set(ids)].flatMap((id) => entries.get(id) ?? []).map(plain);
    },
    async delete(selection, { signal } = {}) {
      ready(signal);
      checkSelection(service, selection);
      const ids = "ids" in selection ? selection.ids : holding(selection.filter).map(({ id }) => id);
      for (const id of ids) entries.delete(id);
    },
    async count(filter, { signal } = {}) {
      ready(signal);
      if (filter === undefined) return entries.size;
      checkFilter(`${service}: count`, filter);
      return holding(filter).length;
    },
    async replace(filter, records, { signal } = {}) {
      ready(signal);
      checkFilter(`${service}: replace`, filter);
      const checked = checkRecords(shape(), records);
      for (const { id } of holding(filter)) entries.delete(id);
      put(checked);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function entryOf({ id, vector, text, metadata = noMetadata }: VectorRecord): Entry {
  const rest = { id, metadata, vector: vector.slice(), terms: termsOf(text ?? "") };
  return text === undefined ? rest : { ...rest, text };
}

function plain({ id, text, metadata }: Entry): VectorEntry {
  return text === undefined ? { id, metadata } : { id, text, metadata };
}

function matchOf({ entry, distance }: Found, score: number, { vectors = false }: VectorQuery): VectorMatch {
  const match = { ...plain(entry), score, distance };
  return vectors ? { ...match, vector: entry.vector.slice() } : match;
}

function fused(found: readonly Found[], text: string, query: VectorQuery): VectorMatch[] {
  const scores = bm25(found.map(({ entry }) => entry.terms), text);
  const byText = found
    .map(({ entry }, index) => ({ id: entry.id, score: scores[index] ?? 0 }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || compareIds(a.id, b.id));
  const width = candidates(query.limit);
  const known = new Map(found.map((it) => [it.entry.id, it]));
  const ranked = fuseRanks([found.slice(0, width).map(({ entry }) => entry.id), byText.slice(0, width).map(({ id }) => id)]);
  return ranked.slice(0, query.limit).flatMap(({ id, score }) => {
    const it = known.get(id);
    return it === undefined ? [] : [matchOf(it, score, query)];
  });
}

/** In double precision: sums of products of single-precision numbers lose too much of their own. */
const distances: Readonly<Record<VectorMetric, (a: Float32Array, b: Float32Array) => number>> = {
  cosine: (a, b) => 1 - Math.max(-1, Math.min(1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))),
  dot: (a, b) => 0 - dot(a, b),
  l2: (a, b) => Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0)),
};

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
