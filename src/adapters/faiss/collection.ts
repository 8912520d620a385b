/**
 * Records over rows: ids, texts and metadata, and what of them is near.
 *
 * A row of which the record is gone stays until half of all are such; then the others close up and the engine begins anew.
 *
 * @module
 */
import { noMetadata } from "../../core/part.ts";
import { compareIds } from "../../kinds/rank-fusion.ts";
import { filterHolds, type VectorFilter } from "../../kinds/vector-filter.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorQuery, type VectorRecord } from "../../kinds/vector-store.ts";
import type { EngineMaker } from "./engines.ts";
import { nearestRows } from "./exact-search.ts";
import type { HnswGraph } from "./hnsw-graph.ts";
import { distanceOf, type VectorRows } from "./rows.ts";

/** Rows without a record that are not worth closing up. */
const fewGone = 1_000;
/** Where the keys of ids begin that are no numbers: above every number that is one in JavaScript. */
const firstFreeKey = 2n ** 53n;

/** A record without its vector, and the number it has in files: FAISS knows no other ids. */
export interface Entry extends VectorEntry {
  readonly key: bigint;
}

/** Records of one store. */
export interface Collection {
  readonly rows: VectorRows;
  /** By row; nothing where the record is gone. */
  readonly entries: readonly (Entry | undefined)[];
  /** Of the engine: see there. */
  readonly index: (() => Iterable<Uint8Array>) | undefined;
  readonly size: number;
  /** Another number after each change. */
  readonly version: number;
  /** All or none of them. */
  put(records: readonly VectorRecord[]): void;
  remove(ids: readonly string[]): void;
  get(id: string): Entry | undefined;
  holding(filter: VectorFilter): readonly Entry[];
  nearest(query: VectorQuery): VectorMatch[];
}

/** What a file held: rows, with their records in the same order. */
export interface Loaded {
  readonly rows: VectorRows;
  readonly entries: readonly (Entry | undefined)[];
  readonly graph?: HnswGraph;
}

/** A collection of what was loaded; without an engine every query looks at every row. */
export function collectionOf(loaded: Loaded, makeEngine: EngineMaker | undefined): Collection {
  const { rows } = loaded;
  const entries: (Entry | undefined)[] = [];
  const rowOf = new Map<string, number>();
  let engine = makeEngine?.(rows, loaded.graph);
  let freeKey = firstFreeKey;
  let version = 0;

  const drop = (id: string): void => {
    const row = rowOf.get(id);
    if (row === undefined) return;
    entries[row] = undefined;
    rowOf.delete(id);
    engine?.forget(row);
  };
  const keep = (row: number, entry: Entry): void => {
    drop(entry.id);
    entries[row] = entry;
    rowOf.set(entry.id, row);
    if (entry.key >= freeKey) freeKey = entry.key + 1n;
  };
  const keyOf = (id: string): bigint => {
    const row = rowOf.get(id);
    const known = row === undefined ? undefined : entries[row]?.key;
    if (known !== undefined) return known;
    const number = Number(id);
    return Number.isSafeInteger(number) && number >= 0 && String(number) === id ? BigInt(number) : freeKey;
  };
  const closeUp = (): void => {
    if (rows.count - rowOf.size <= Math.max(fewGone, rowOf.size)) return;
    let next = 0;
    for (const [row, entry] of entries.entries()) {
      if (entry === undefined) continue;
      rows.copy(row, next);
      entries[next] = entry;
      rowOf.set(entry.id, next);
      next += 1;
    }
    entries.length = next;
    rows.shorten(next);
    engine = makeEngine?.(rows);
    engine?.extend();
  };

  for (const [row, entry] of loaded.entries.entries()) {
    entries.push(undefined);
    if (entry !== undefined) keep(row, entry);
  }
  engine?.extend();
  for (const [row, entry] of entries.entries()) if (entry === undefined) engine?.forget(row);

  return {
    rows,
    entries,
    get index() {
      return engine?.index;
    },
    get size() {
      return rowOf.size;
    },
    get version() {
      return version;
    },
    put(records) {
      const first = rows.count;
      try {
        for (const { vector } of records) rows.append(vector);
      } catch (error) {
        rows.shorten(first);
        throw error;
      }
      version += 1;
      for (const [i, { id, text, metadata = noMetadata }] of records.entries()) {
        const entry = { id, metadata, key: keyOf(id) };
        keep(first + i, text === undefined ? entry : { ...entry, text });
      }
      engine?.extend();
      closeUp();
    },
    remove(ids) {
      const before = rowOf.size;
      for (const id of ids) drop(id);
      if (rowOf.size === before) return;
      version += 1;
      closeUp();
    },
    get(id) {
      const row = rowOf.get(id);
      return row === undefined ? undefined : entries[row];
    },
    holding: (filter) => entries.filter((entry) => entry !== undefined && filterHolds(filter, entry.metadata)) as Entry[], // none is undefined
    nearest({ vector, limit, filter, vectors = false }) {
      const isWanted = (row: number): boolean => {
        const entry = entries[row];
        return entry !== undefined && (filter === undefined || filterHolds(filter, entry.metadata));
      };
      // a filter has to look at every record; to look at the vectors of those it lets through as well costs little beside that
      let found = filter === undefined && engine !== undefined ? engine.near(vector, limit, isWanted) : [];
      if (found.length < Math.min(limit, rowOf.size)) found = nearestRows(rows, vector, limit, isWanted);
      return found
        .flatMap((row) => matchOf(rows, vector, row, entries[row], vectors))
        .sort((a, b) => a.distance - b.distance || compareIds(a.id, b.id))
        .slice(0, limit);
    },
  };
}

/** An entry as it is given out. */
export function plain({ id, text, metadata }: Entry): VectorEntry {
  return text === undefined ? { id, metadata } : { id, text, metadata };
}

function matchOf({ metric, at }: VectorRows, query: Float32Array, row: number, entry: Entry | undefined, withVector: boolean): readonly (VectorMatch & { readonly distance: number })[] {
  if (entry === undefined) return [];
  const vector = at(row);
  const distance = distanceOf(metric, query, vector);
  const match = { ...plain(entry), score: scoreOf(metric, distance), distance };
  return [withVector ? { ...match, vector: vector.slice() } : match];
}
