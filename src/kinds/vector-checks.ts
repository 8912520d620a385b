/**
 * What every vector store refuses before any I/O, in one form.
 *
 * @module
 */
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { checkedMetadata } from "../core/json-border.ts";
import { noMetadata } from "../core/part.ts";
import { utf8Length } from "../core/part-size.ts";
import type { Embedder } from "./embedder.ts";
import { checkFilter } from "./vector-filter.ts";
import type { VectorMetric, VectorQuery, VectorRecord, VectorSelection, VectorStore } from "./vector-store.ts";

/** Bytes of an id: the least that the stores we know take. */
const maxIdBytes = 512;
/** Bytes of the metadata of one record, as JSON. */
const maxMetadataBytes = 262_144;
/** Matches of one query. */
export const maxLimit = 1_000;

/** What a store expects of vectors. */
export interface VectorShape {
  /** For messages. */
  readonly service: string;
  readonly dimensions: number | undefined;
  readonly metric: VectorMetric;
}

/**
 * The records as they may be stored: each id once (the last of a call wins, in the place of the first), metadata as plain JSON.
 *
 * Throws: `invalid_input` for ids, texts, vectors and metadata that no store takes, `too_large` for metadata over 256 KiB.
 */
export function checkRecords(shape: VectorShape, records: readonly VectorRecord[]): readonly VectorRecord[] {
  if (!Array.isArray(records)) throw invalidOption(shape.service, "records", "a list", records);
  const byId = new Map<string, VectorRecord>();
  let { dimensions } = shape;
  for (const record of records) {
    const id = checkId(shape.service, record?.id);
    const who = `${shape.service}: record ${received(id)}`;
    checkVector(who, { ...shape, dimensions }, record.vector);
    dimensions ??= record.vector.length;
    const { text } = record;
    if (text !== undefined && (typeof text !== "string" || !text.isWellFormed())) throw invalidOption(who, "text", "well-formed text", text);
    const metadata = record.metadata === undefined ? noMetadata : checkedMetadata(record.metadata, `${who} metadata`);
    const size = metadata === noMetadata ? 2 : utf8Length(JSON.stringify(metadata));
    if (size > maxMetadataBytes) throw new MillraceError("too_large", `${who} has ${size} bytes of metadata, ${maxMetadataBytes} are allowed`);
    byId.set(id, text === undefined ? { id, vector: record.vector, metadata } : { id, vector: record.vector, text, metadata });
  }
  return [...byId.values()];
}

/** Refuses a query that cannot be right; `hybrid` says why the store has none, if it has none. */
export function checkQuery(shape: VectorShape, query: VectorQuery, lacks: VectorStore["lacks"] = {}): VectorQuery {
  const who = `${shape.service}: query`;
  checkVector(who, shape, query.vector);
  wholeNumber(who, "limit", query.limit, 1, maxLimit);
  if (query.filter !== undefined) checkFilter(who, query.filter);
  if (query.vectors !== undefined && typeof query.vectors !== "boolean") throw invalidOption(who, "vectors", "a boolean", query.vectors);
  if (query.text !== undefined) {
    if (lacks.hybrid !== undefined) throw new MillraceError("invalid_input", `${who} with text: ${lacks.hybrid}`);
    if (typeof query.text !== "string" || !query.text.isWellFormed()) throw invalidOption(who, "text", "well-formed text", query.text);
  }
  return query;
}

/** Refuses a selection that is neither ids nor a filter: an empty object must not mean everything. */
export function checkSelection(service: string, selection: VectorSelection): VectorSelection {
  const given: unknown = selection;
  if (typeof given === "object" && given !== null) {
    if ("ids" in given && !("filter" in given)) {
      checkIds(service, given.ids);
      return selection;
    }
    if ("filter" in given && !("ids" in given)) {
      checkFilter(`${service}: delete`, given.filter);
      return selection;
    }
  }
  throw invalidOption(service, "delete", "ids or a filter", selection);
}

/** Refuses what are no ids. */
export function checkIds(service: string, ids: unknown): asserts ids is readonly string[] {
  if (!Array.isArray(ids)) throw invalidOption(service, "ids", "a list", ids);
  for (const id of ids) checkId(service, id);
}

function checkId(service: string, id: unknown): string {
  if (typeof id === "string" && id !== "" && id.isWellFormed() && utf8Length(id) <= maxIdBytes) return id;
  throw invalidOption(service, "id", `well-formed text of 1 to ${maxIdBytes} bytes`, id);
}

function checkVector(who: string, { dimensions, metric }: VectorShape, vector: unknown): void {
  if (!(vector instanceof Float32Array) || vector.length === 0) throw invalidOption(who, "vector", "a Float32Array with numbers in it", vector);
  if (dimensions !== undefined && vector.length !== dimensions) {
    throw invalidOption(who, "vector", `of ${dimensions} dimensions`, `${vector.length} dimensions`);
  }
  let zero = true;
  for (const number of vector) {
    if (!Number.isFinite(number)) throw invalidOption(who, "vector", "of finite numbers", number);
    if (number !== 0) zero = false;
  }
  if (zero && metric === "cosine") throw invalidOption(who, "vector", "other than all zeros: it has no direction, so no cosine", "zeros");
}

/** Refuses an embedder whose vectors cannot fit the store, where both say their dimensions beforehand. */
export function checkFit(who: string, store: VectorStore, embedder: Embedder): void {
  if (store.dimensions === undefined || embedder.dimensions === undefined || store.dimensions === embedder.dimensions) return;
  throw new MillraceError("invalid_input", `${who}: ${store.service} holds vectors of ${store.dimensions} dimensions, the embedder makes ${embedder.dimensions}`);
}
