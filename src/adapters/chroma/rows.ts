/**
 * Records to columns, columns to matches.
 *
 * The server keeps scalars and lists of them, merges new metadata into old, and keeps an old document where none is sent. So metadata of
 * other shapes goes as JSON into a field of ours, keys that are no longer there are removed one by one, and a document is always sent.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import type { Metadata } from "../../core/part.ts";
import { noMetadata } from "../../core/part.ts";
import { compareIds } from "../../kinds/rank-fusion.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorMetric, type VectorRecord } from "../../kinds/vector-store.ts";
import { itemsOf, shapeOf } from "../../wire/json-shape.ts";

/** JSON of the fields that are no scalars, and of numbers that the server would round. */
const restKey = "millrace:rest";
/** There for records without text: the server cannot take a document away again. */
const noTextKey = "millrace:no-text";
/** Names of the fields that are numbers, for the opposite of a range. */
export const numbersKey = "millrace:numbers";

/** Names that the server refuses, drops or takes for operators, the client assigns to a prototype, or that are ours. */
const reserved = /^(?:$|[$#~]|chroma:|millrace:|__proto__$)/;

/** A field's name as the server keeps it. */
export function toKey(field: string): string {
  return reserved.test(field) ? `~${field}` : field;
}

function toField(key: string): string {
  return key.startsWith("~") ? key.slice(1) : key;
}

/** What `upsert` of the client takes. */
export interface ChromaRows {
  readonly ids: string[];
  readonly embeddings: number[][];
  readonly documents: string[];
  readonly metadatas: (Record<string, unknown> | null)[];
}

/** The columns of these records, over the keys that are there. */
export function toRows(records: readonly VectorRecord[], before: ReadonlyMap<string, readonly string[]>): ChromaRows {
  return {
    ids: records.map(({ id }) => id),
    embeddings: records.map(({ vector }) => [...vector]),
    documents: records.map(({ text }) => text ?? ""),
    metadatas: records.map((record) => toMetadata(record, before.get(record.id) ?? [])),
  };
}

function toMetadata({ text, metadata = noMetadata }: VectorRecord, before: readonly string[]): Record<string, unknown> | null {
  const rest: Record<string, unknown> = {};
  const numbers: string[] = [];
  const entries: [string, unknown][] = [];
  for (const [field, value] of Object.entries(metadata)) {
    if (typeof value === "number") numbers.push(toKey(field));
    const scalar = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (scalar) entries.push([toKey(field), value]);
    if (!scalar || isRounded(value)) put(rest, field, value);
  }
  if (numbers.length > 0) entries.push([numbersKey, numbers]);
  if (Object.keys(rest).length > 0) entries.push([restKey, JSON.stringify(rest)]);
  if (text === undefined) entries.push([noTextKey, true]);
  const kept = new Set(entries.map(([key]) => key));
  // null takes a key away; the client leaves out null, but not what only becomes null in JSON
  const gone = before.filter((key) => !kept.has(key)).map((key): [string, unknown] => [key, Number.NaN]);
  const all = [...entries, ...gone];
  return all.length === 0 ? null : Object.fromEntries(all); // an empty object is refused
}

/** The server's JSON reader may be off by the last bit of a number with more than 15 digits or an exponent; whole numbers are no floats to it. */
function isRounded(value: unknown): boolean {
  return typeof value === "number" && !Number.isSafeInteger(value) && !/^-?[\d.]{1,16}$/.test(String(value));
}

/** The keys of records that are there, by id. */
export function toKeys(answer: unknown): ReadonlyMap<string, readonly string[]> {
  const { ids, metadatas } = columns(answer, (it) => it);
  return new Map(ids.map((id, at) => [id, Object.keys(shapeOf(metadatas[at]) ?? {})]));
}

/** Ids of an answer. */
export function toIds(answer: unknown): readonly string[] {
  return idsOf(shapeOf(answer)?.["ids"]);
}

/** Entries of an answer to `get`. */
export function toEntries(answer: unknown): VectorEntry[] {
  const { ids, metadatas, documents } = columns(answer, (it) => it);
  return ids.map((id, at) => toEntry(id, documents[at], metadatas[at]));
}

/** Matches of an answer to a query with one vector; equal ones in the order of their ids. */
export function toMatches(metric: VectorMetric, answer: unknown): VectorMatch[] {
  const { ids, metadatas, documents, distances, embeddings } = columns(answer, (column) => itemsOf(column)[0]);
  const matches = ids.map((id, at) => {
    const distance = toDistance(metric, distances[at]);
    const match = { ...toEntry(id, documents[at], metadatas[at]), score: scoreOf(metric, distance), distance };
    const vector = embeddings[at]; // where it was asked for
    return Array.isArray(vector) ? { ...match, vector: Float32Array.from(vector, Number) } : match;
  });
  return matches.sort((a, b) => a.distance - b.distance || compareIds(a.id, b.id));
}

/** The server's l2 is squared, and its `ip` is 1 minus the product. */
function toDistance(metric: VectorMetric, distance: unknown): number {
  if (typeof distance !== "number" || !Number.isFinite(distance)) throw bad("distance", distance);
  if (metric === "cosine") return distance;
  return metric === "l2" ? Math.sqrt(Math.max(0, distance)) : distance - 1;
}

function toEntry(id: string, document: unknown, stored: unknown): VectorEntry {
  const fields = shapeOf(stored) ?? {};
  const metadata: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (key !== restKey && key !== noTextKey && key !== numbersKey) put(metadata, toField(key), value);
  }
  if (fields[restKey] !== undefined) for (const [field, item] of Object.entries(toRest(fields[restKey]))) put(metadata, field, item);
  const entry: VectorEntry = { id, metadata: Object.keys(metadata).length === 0 ? noMetadata : metadata };
  return typeof document === "string" && fields[noTextKey] !== true ? { id, text: document, metadata: entry.metadata } : entry;
}

/** Never an assignment: other writers may have used any name. */
function put(metadata: Metadata, field: string, value: unknown): void {
  Object.defineProperty(metadata, field, { value, enumerable: true, configurable: true, writable: true });
}

function toRest(json: unknown): object {
  if (typeof json !== "string") throw bad(restKey, json);
  try {
    return shapeOf(JSON.parse(json)) ?? {};
  } catch {
    throw bad(restKey, json);
  }
}

interface Columns {
  readonly ids: readonly string[];
  readonly metadatas: readonly unknown[];
  readonly documents: readonly unknown[];
  readonly distances: readonly unknown[];
  readonly embeddings: readonly unknown[];
}

/** The columns of an answer, `of` each; those that were not asked for are empty. */
function columns(answer: unknown, of: (column: unknown) => unknown): Columns {
  const shape = shapeOf(answer) ?? {};
  const column = (name: string): readonly unknown[] => itemsOf(of(shape[name]));
  return { ids: idsOf(of(shape["ids"])), metadatas: column("metadatas"), documents: column("documents"), distances: column("distances"), embeddings: column("embeddings") };
}

function idsOf(column: unknown): readonly string[] {
  if (!Array.isArray(column)) throw bad("ids", column);
  return column.map((id: unknown) => {
    if (typeof id !== "string") throw bad("id", id);
    return id;
  });
}

function bad(what: string, value: unknown): MillraceError {
  return new MillraceError("bad_response", `chroma: ${what} of an answer is ${received(value)}`, { service: "chroma" });
}
