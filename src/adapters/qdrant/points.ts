/**
 * Records to points, points to matches.
 *
 * A point's id is a UUID (or a number), so it gets the UUID of version 5 (RFC 9562) of the record's id, which itself is in the payload.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { type Metadata, noMetadata } from "../../core/part.ts";
import { utf8Length } from "../../core/part-size.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorMetric, type VectorRecord } from "../../kinds/vector-store.ts";
import { type Shape, shapeOf } from "../../wire/json-shape.ts";
import { fieldName, fieldOfName } from "./filter.ts";
import { type SparseVector, textVector } from "./words.ts";

/** A record as it is stored. */
export interface QdrantPoint {
  readonly id: string;
  /** The vector without a name has the name "". */
  readonly vector: readonly number[] | { readonly "": readonly number[]; readonly words: SparseVector };
  readonly payload: QdrantPayload;
}

/** What stands beside a vector. */
export interface QdrantPayload {
  readonly id: string;
  readonly text?: string;
  /** The strings, numbers and booleans: what filters look at. A list there would match by each of its items. */
  readonly metadata: Shape;
  /** The rest of the metadata. */
  readonly nested?: Shape;
}

/** Points of one request; and bytes, half of what a server takes unless it is told otherwise (`service.max_request_size_mb`, 32). */
const maxPoints = 256;
const maxRequestBytes = 16_777_216;
/** Bytes of a number as JSON: a single written as a double has up to 17 digits, sign, point, exponent and comma. */
const numberBytes = 24;

/** The namespace of our UUIDs: another one, other points. */
const namespace = Uint8Array.of(0x3c, 0x5f, 0x0e, 0x62, 0x2d, 0x1b, 0x4a, 0x8e, 0x9f, 0x37, 0x6a, 0x41, 0xd2, 0x8c, 0x70, 0xe5);

/** The point's id for a record's. */
export async function pointId(id: string): Promise<string> {
  const name = new TextEncoder().encode(id);
  const bytes = new Uint8Array(namespace.length + name.length);
  bytes.set(namespace);
  bytes.set(name, namespace.length);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", bytes)).subarray(0, 16);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50; // version 5
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80; // the variant of RFC 9562
  const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The point of a record; `withWords` adds those of its text. */
export async function toPoint({ id, vector, text, metadata = noMetadata }: VectorRecord, withWords: boolean): Promise<QdrantPoint> {
  const numbers = Array.from(vector);
  const words = withWords && text !== undefined ? textVector(text) : undefined;
  const scalars: [string, unknown][] = [];
  const others: [string, unknown][] = [];
  for (const [field, value] of Object.entries(metadata)) {
    if (typeof value === "object") others.push([field, value]);
    else scalars.push([fieldName(field), value]);
  }
  return {
    id: await pointId(id),
    vector: words === undefined ? numbers : { "": numbers, words },
    payload: {
      id,
      ...(text === undefined ? {} : { text }),
      metadata: Object.fromEntries(scalars),
      ...(others.length === 0 ? {} : { nested: Object.fromEntries(others) }),
    },
  };
}

/** Points in the groups they are sent in. */
export function batchesOf(points: readonly QdrantPoint[]): QdrantPoint[][] {
  const batches: QdrantPoint[][] = [];
  let bytes = 0;
  for (const point of points) {
    const size = utf8Length(JSON.stringify(point.payload)) + numberBytes * numbersIn(point.vector);
    const last = batches.at(-1);
    if (last === undefined || last.length >= maxPoints || bytes + size > maxRequestBytes) {
      batches.push([point]);
      bytes = size;
    } else {
      last.push(point);
      bytes += size;
    }
  }
  return batches;
}

function numbersIn(vector: QdrantPoint["vector"]): number {
  return "words" in vector ? vector[""].length + 2 * vector.words.indices.length : vector.length;
}

/** What a point holds besides its vector; one that somebody else stored goes by its own id. */
export function toEntry(point: unknown): VectorEntry {
  const payload = shapeOf(shapeOf(point)?.["payload"]);
  const ownId = shapeOf(point)?.["id"];
  if (typeof ownId !== "string" && typeof ownId !== "number" && typeof ownId !== "bigint") throw bad("a point without id", ownId);
  const id = typeof payload?.["id"] === "string" ? payload["id"] : String(ownId);
  const text = payload?.["text"];
  const metadata = toMetadata(shapeOf(payload?.["metadata"]), shapeOf(payload?.["nested"]));
  return typeof text === "string" ? { id, text, metadata } : { id, metadata };
}

/** A found point. The service's score is the Euclidean distance itself, or a likeness where higher is closer. */
export function toMatch(metric: VectorMetric, point: unknown): VectorMatch {
  const score = shapeOf(point)?.["score"];
  if (typeof score !== "number" || !Number.isFinite(score)) throw bad("a match without score", score);
  // in single precision a cosine may come out a little above 1
  const distance = metric === "l2" ? score : metric === "dot" ? 0 - score : Math.min(2, Math.max(0, 1 - score));
  return { ...toEntry(point), ...toVector(point), score: scoreOf(metric, distance), distance };
}

/** The vector of a point that was asked for it: a list, or by its name, which is empty, where there are words beside it. */
export function toVector(point: unknown): Pick<VectorMatch, "vector"> {
  const given = shapeOf(point)?.["vector"];
  const numbers = Array.isArray(given) ? given : shapeOf(given)?.[""];
  return Array.isArray(numbers) ? { vector: Float32Array.from(numbers, Number) } : {};
}

function toMetadata(scalars: Shape = {}, nested: Shape = {}): Metadata {
  const fields = [...Object.entries(scalars).map(([name, value]) => [fieldOfName(name), value] as const), ...Object.entries(nested)];
  return fields.length === 0 ? noMetadata : Object.fromEntries(fields.map(([field, value]) => [field, asNumbers(value)]));
}

/** The client reads whole numbers beyond 2^53 as `bigint`, which is no JSON. */
function asNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(asNumbers);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, asNumbers(item)]));
}

function bad(what: string, value: unknown): MillraceError {
  return new MillraceError("bad_response", `qdrant: answered ${what}: ${received(value)}`, { service: "qdrant" });
}
