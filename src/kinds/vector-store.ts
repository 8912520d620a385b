/**
 * The vector store kind: records found by nearness.
 *
 * What goes in and what is asked is checked before any I/O by `vector-checks.ts`, filters are the tree of `vector-filter.ts`, the
 * verbs are in `remember.ts` and `retrieve.ts`, and every store passes `testing/contracts/vector-store.ts`.
 *
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import type { Metadata } from "../core/part.ts";
import type { VectorFilter } from "./vector-filter.ts";

/** How nearness is measured. */
export type VectorMetric = "cosine" | "dot" | "l2";

/**
 * What not every store can do: `hybrid` is a query with `text`; `replace` the swap in one step; `countFilter` counting with a
 * filter; `not` the filters `not` and `ne` over records that lack the field; `nested` metadata values that are no scalars.
 */
export type VectorAbility = "hybrid" | "replace" | "countFilter" | "not" | "nested";

/** One thing to store. */
export interface VectorRecord {
  /** Any text of 1 to 512 bytes; stores that want other ids map it and give this one back. */
  readonly id: string;
  readonly vector: Float32Array;
  /** What the vector stands for; searched by hybrid queries, given back by every query. */
  readonly text?: string;
  /** JSON values. Filters see the strings, numbers and booleans of the top level. */
  readonly metadata?: Metadata;
}

/** What is stored of a record, without its vector. */
export interface VectorEntry {
  readonly id: string;
  readonly text?: string;
  readonly metadata: Metadata;
}

/** A record that was found. */
export interface VectorMatch extends VectorEntry {
  /**
   * Higher is closer. Of a vector query: the cosine (-1 to 1), the dot product, or 1 / (1 + distance) under l2 (0 to 1). Of a
   * hybrid query: the sum of reciprocal ranks, which orders one answer and compares with no other.
   */
  readonly score: number;
  /** Lower is closer: 1 - cosine, the negative dot product, the Euclidean distance. Absent when the text alone found it. */
  readonly distance?: number;
  /** Of a query with `vectors`: the vector as the store keeps it, which may be rounded, and under cosine of length 1. */
  readonly vector?: Float32Array;
}

/** What is looked for. */
export interface VectorQuery {
  readonly vector: Float32Array;
  /** Makes the query hybrid: ranks by this text and by the vector, fused. */
  readonly text?: string;
  /** Matches at most, 1 to 1000. */
  readonly limit: number;
  readonly filter?: VectorFilter;
  /** Gives each match its vector. @default false */
  readonly vectors?: boolean;
}

/** What is deleted: by ids, or all that a filter matches. */
export type VectorSelection = { readonly ids: readonly string[] } | { readonly filter: VectorFilter };

/** What a call may be told. */
export interface VectorContext {
  readonly signal?: AbortSignal;
}

/**
 * Stores vectors and finds the nearest.
 *
 * Errors: `invalid_input` before any I/O for a wrong dimension, numbers that are not finite, a zero vector under cosine, a limit
 * outside 1 to 1000, a filter that is none; `not_found` where there is no such collection (see `setup`); `closed` after
 * `close()`; an abort is the signal's reason.
 */
export interface VectorStore extends AsyncDisposable {
  /** For messages: `qdrant`, `pgvector`. */
  readonly service: string;
  /** Numbers in each vector, where it is known before the first call. */
  readonly dimensions: number | undefined;
  readonly metric: VectorMetric;
  /** What the store cannot do, each with the reason; asking for it is refused with `invalid_input`. */
  readonly lacks: Readonly<Partial<Record<VectorAbility, string>>>;
  /** Makes what the store needs (collection, table, index) where it is not there. Twice is fine; no other call does it. */
  setup(context?: VectorContext): Promise<void>;
  /** Stores records, over those of the same id. Of records with one id in a call the last wins. */
  upsert(records: readonly VectorRecord[], context?: VectorContext): Promise<void>;
  /** The nearest records, closest first; equal ones in the order of their ids. */
  query(query: VectorQuery, context?: VectorContext): Promise<VectorMatch[]>;
  /** The entries of these ids that are there, in no promised order. */
  get(ids: readonly string[], context?: VectorContext): Promise<VectorEntry[]>;
  /** Deletes; what is not there is fine. */
  delete(selection: VectorSelection, context?: VectorContext): Promise<void>;
  /** How many records there are, or how many of them a filter matches. */
  count(filter?: VectorFilter, context?: VectorContext): Promise<number>;
  /**
   * Stores the records and deletes all else that the filter matches, in one step: readers and a crash see either what was before
   * or what is after. Absent where the store lacks `replace`.
   */
  replace?(filter: VectorFilter, records: readonly VectorRecord[], context?: VectorContext): Promise<void>;
  close(): Promise<void>;
}

/** The score that belongs to a distance, the same for every store. */
export function scoreOf(metric: VectorMetric, distance: number): number {
  if (metric === "cosine") return 1 - distance;
  return metric === "dot" ? 0 - distance : 1 / (1 + distance);
}

/** Refuses what is no vector store, when a stage is built. */
export function requireVectorStore(who: string, store: unknown): asserts store is VectorStore {
  if (typeof store === "object" && store !== null && "query" in store && "upsert" in store && typeof store.query === "function") return;
  throw invalidOption(who, "store", "a vector store", store);
}
