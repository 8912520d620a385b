/**
 * Records to those of Pinecone, and back.
 *
 * Metadata is flat there: strings, numbers and booleans stand in it under their own names, for filters and for everybody else who reads
 * the index. Text and the rest of the metadata stand in fields of ours, which begin with `~`.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { type Metadata, noMetadata } from "../../core/part.ts";
import { utf8Length } from "../../core/part-size.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorMetric, type VectorRecord } from "../../kinds/vector-store.ts";
import { itemsOf, type Shape, shapeOf } from "../../wire/json-shape.ts";
import { fieldName, fieldOfName, textFields } from "./filter.ts";

const service = "pinecone";

/** Bytes of the metadata of a record, its text among them; records and bytes of one request; ids of one (operation limits). */
const maxMetadataBytes = 40_960;
const maxRecords = 1_000;
const maxRequestBytes = 2_000_000;
/** Ids go in the address of a request, of which some servers and proxies take 8 KiB. */
const maxIdsInAddress = 100;
const maxAddressChars = 6_000;
/** Bytes of a number as JSON: a single written as a double has up to 17 digits, sign, point, exponent and comma. */
const numberBytes = 24;

/** What stands in metadata. */
export type PineconeValue = string | number | boolean | string[];

/** A record as the service takes it; the client's types want lists that may be written to. */
export interface PineconeRecord {
  readonly id: string;
  readonly values: number[];
  readonly metadata: Record<string, PineconeValue>;
}

/** The service takes ASCII alone; other ids become a hash, and stand in the metadata. */
export async function recordId(id: string): Promise<string> {
  if (/^[!-~](?:[ -~]*[!-~])?$/.test(id) && !id.startsWith("~")) return id;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(id)));
  return `~${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Throws `too_large` for more text and metadata than the service keeps of a record. */
export async function toRecord({ id, vector, text, metadata = noMetadata }: VectorRecord): Promise<PineconeRecord> {
  const fields: [string, PineconeValue][] = [];
  const texts: string[] = [];
  const others: [string, unknown][] = [];
  for (const [field, value] of Object.entries(metadata)) {
    const name = fieldName(field);
    if (typeof value === "string") texts.push(name);
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") fields.push([name, value]);
    else others.push([field, value]);
  }
  const ownId = await recordId(id);
  if (ownId !== id) fields.push(["~id", id]);
  if (text !== undefined) fields.push(["~text", text]);
  if (texts.length > 0) fields.push([textFields, texts]);
  if (others.length > 0) fields.push(["~more", JSON.stringify(Object.fromEntries(others))]);
  const kept = Object.fromEntries(fields);
  const bytes = utf8Length(JSON.stringify(kept));
  if (bytes > maxMetadataBytes) {
    throw new MillraceError("too_large", `${service}: record ${received(id)} has ${bytes} bytes of text and metadata, the service keeps ${maxMetadataBytes}`, { service });
  }
  return { id: ownId, values: Array.from(vector), metadata: kept };
}

/** Records in the groups they are sent in. */
export function batchesOf(records: readonly PineconeRecord[]): PineconeRecord[][] {
  return grouped(records, ({ values, metadata }) => 600 + numberBytes * values.length + utf8Length(JSON.stringify(metadata)), maxRecords, maxRequestBytes);
}

/** Ids in the groups they are asked for in. */
export function addressesOf(ids: readonly string[]): string[][] {
  return grouped(ids, (id) => encodeURIComponent(id).length + 5, maxIdsInAddress, maxAddressChars);
}

/** Ids in the groups they are deleted in. */
export function deletionsOf(ids: readonly string[]): string[][] {
  return grouped(ids, () => 0, maxRecords, 0);
}

function grouped<T>(items: readonly T[], sizeOf: (item: T) => number, maxCount: number, maxSize: number): T[][] {
  const groups: T[][] = [];
  let sum = 0;
  for (const item of items) {
    const size = sizeOf(item);
    const last = groups.at(-1);
    if (last === undefined || last.length >= maxCount || sum + size > maxSize) {
      groups.push([item]);
      sum = size;
    } else {
      last.push(item);
      sum += size;
    }
  }
  return groups;
}

/** What a record holds besides its vector, whoever stored it. */
export function toEntry(record: unknown): VectorEntry {
  const shape = shapeOf(record);
  const kept = shapeOf(shape?.["metadata"]) ?? {};
  const id = typeof kept["~id"] === "string" ? kept["~id"] : shape?.["id"];
  if (typeof id !== "string") throw bad("a record without id", id);
  const text = kept["~text"];
  const metadata = toMetadata(kept);
  return typeof text === "string" ? { id, text, metadata } : { id, metadata };
}

/** A found record. The service's score is the squared Euclidean distance, or a likeness where higher is closer. */
export function toMatch(metric: VectorMetric, match: unknown): VectorMatch {
  const score = shapeOf(match)?.["score"];
  if (typeof score !== "number" || !Number.isFinite(score)) throw bad("a match without score", score);
  // in single precision a cosine may come out a little above 1, and a square a little below 0
  const distance = metric === "l2" ? Math.sqrt(Math.max(0, score)) : metric === "dot" ? 0 - score : Math.min(2, Math.max(0, 1 - score));
  const values = itemsOf(shapeOf(match)?.["values"]); // empty where they were not asked for
  const found = { ...toEntry(match), score: scoreOf(metric, distance), distance };
  return values.length === 0 ? found : { ...found, vector: Float32Array.from(values, Number) };
}

function toMetadata(kept: Shape): Metadata {
  const fields: [string, unknown][] = [];
  for (const [name, value] of Object.entries(kept)) {
    const field = fieldOfName(name);
    if (field !== undefined) fields.push([field, value]);
  }
  const more = kept["~more"];
  if (typeof more === "string") fields.push(...Object.entries(parsed(more)));
  return fields.length === 0 ? noMetadata : Object.fromEntries(fields);
}

function parsed(json: string): Shape {
  try {
    return shapeOf(JSON.parse(json)) ?? {};
  } catch {
    throw bad("metadata that does not parse", json);
  }
}

/** The matches of an answer. */
export function matchesIn(answer: unknown): readonly unknown[] {
  return itemsOf(shapeOf(answer)?.["matches"]);
}

function bad(what: string, value: unknown): MillraceError {
  return new MillraceError("bad_response", `${service}: answered ${what}: ${received(value)}`, { service });
}
