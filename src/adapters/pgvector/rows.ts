/**
 * Records to columns, rows to matches.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import type { Metadata } from "../../core/part.ts";
import { noMetadata } from "../../core/part.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorMetric, type VectorRecord } from "../../kinds/vector-store.ts";
import type { PostgresRow } from "../../wire/postgres.ts";

/** A vector as pgvector reads it. The shortest form of each double reads back as the same single. */
export function toVectorText(vector: Float32Array): string {
  return `[${vector.join(",")}]`;
}

/** Four columns, each an array. */
export function toArrays(records: readonly VectorRecord[]): readonly (readonly (string | null)[])[] {
  return [
    records.map(({ id }) => id),
    records.map(({ vector }) => toVectorText(vector)),
    records.map(({ text }) => text ?? null),
    records.map(({ metadata }) => JSON.stringify(metadata ?? {})),
  ];
}

/** What a row holds besides its vector. */
export function toEntry(row: PostgresRow): VectorEntry {
  const { id, text, metadata } = row;
  if (typeof id !== "string") throw bad("id", id);
  return typeof text === "string" ? { id, text, metadata: toMetadata(metadata) } : { id, metadata: toMetadata(metadata) };
}

/** A found row; hybrid answers bring a score of their own. */
export function toMatch(metric: VectorMetric, row: PostgresRow): VectorMatch {
  const distance = Number(row["distance"]);
  const score = row["score"] === undefined ? scoreOf(metric, distance) : Number(row["score"]);
  if (!Number.isFinite(distance) || !Number.isFinite(score)) throw bad("distance", row["distance"]);
  const match = { ...toEntry(row), score, distance };
  return row["vector"] === undefined ? match : { ...match, vector: toVector(row["vector"]) };
}

function toVector(text: unknown): Float32Array {
  const numbers: unknown = typeof text === "string" ? JSON.parse(text) : undefined;
  if (!Array.isArray(numbers)) throw bad("embedding", text);
  return Float32Array.from(numbers, Number);
}

/** As text on the wire, so that no parser of the client's choice comes in between. */
function toMetadata(json: unknown): Metadata {
  const value: unknown = typeof json === "string" ? JSON.parse(json) : undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("metadata", json);
  for (const _ in value) return { ...value };
  return noMetadata;
}

function bad(column: string, value: unknown): MillraceError {
  return new MillraceError("bad_response", `pgvector: column ${column} holds ${received(value)}`);
}
