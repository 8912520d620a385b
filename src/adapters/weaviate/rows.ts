/**
 * Records to objects, objects to matches.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import { checkedMetadata } from "../../core/json-border.ts";
import { noMetadata } from "../../core/part.ts";
import { compareIds } from "../../kinds/rank-fusion.ts";
import { scoreOf, type VectorEntry, type VectorMatch, type VectorMetric, type VectorRecord } from "../../kinds/vector-store.ts";
import { itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { uuidOf } from "./ids.ts";
import { everyTerm, fields, numberName, termOf } from "./schema.ts";

/** What the client inserts. */
export interface WeaviateObject {
  readonly id: string;
  readonly properties: Record<string, string | number | string[]>;
  readonly vectors: number[];
}

/** A record as an object. */
export async function toObject({ id, vector, text, metadata = noMetadata }: VectorRecord): Promise<WeaviateObject> {
  const terms = [everyTerm];
  const numbers: [string, number][] = [];
  for (const [field, value] of Object.entries(metadata)) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") terms.push(await termOf(field, value));
    if (typeof value !== "number") continue;
    terms.push(await termOf(field));
    numbers.push([await numberName(field), value]);
  }
  const properties = {
    ...Object.fromEntries(numbers),
    [fields.id]: id,
    [fields.metadata]: JSON.stringify(metadata),
    [fields.terms]: terms,
    ...(text === undefined ? {} : { [fields.text]: text }),
  };
  return { id: await uuidOf(id), properties, vectors: [...vector] };
}

/** The numeric fields of objects. */
export function numbersOf(objects: readonly WeaviateObject[]): ReadonlySet<string> {
  return new Set(objects.flatMap(({ properties }) => Object.keys(properties).filter((name) => typeof properties[name] === "number")));
}

/** Entries of an answer. */
export function toEntries(answer: unknown): VectorEntry[] {
  return objectsOf(answer).map(toEntry);
}

/** What a search by words finds. */
export type Worded = Omit<VectorMatch, "score" | "distance">;

/** Entries of a search by words, with their vectors where they were asked for. */
export function toWorded(answer: unknown): Worded[] {
  return objectsOf(answer).map((it) => ({ ...toEntry(it), ...toVector(it) }));
}

/** Matches of a search by vector; equal ones in the order of their ids. */
export function toMatches(metric: VectorMetric, answer: unknown): VectorMatch[] {
  const matches = objectsOf(answer).map((it) => {
    const distance = toDistance(metric, shapeOf(shapeOf(it)?.["metadata"])?.["distance"]);
    return { ...toEntry(it), ...toVector(it), score: scoreOf(metric, distance), distance };
  });
  return matches.sort((a, b) => a.distance - b.distance || compareIds(a.id, b.id));
}

/** The vector of an object that was asked for it; the only one of a collection has the name `default`. */
function toVector(object: unknown): Pick<VectorMatch, "vector"> {
  const numbers = shapeOf(shapeOf(object)?.["vectors"])?.["default"];
  return Array.isArray(numbers) && numbers.length > 0 ? { vector: Float32Array.from(numbers, Number) } : {};
}

/** Of an object that was found. */
function toEntry(object: unknown): VectorEntry {
  const properties = shapeOf(shapeOf(object)?.["properties"]);
  const id = properties?.[fields.id];
  const json = properties?.[fields.metadata];
  if (typeof id !== "string") throw bad(fields.id, id);
  if (typeof json !== "string") throw bad(fields.metadata, json);
  const text = properties?.[fields.text];
  const metadata = toMetadata(json);
  return typeof text === "string" ? { id, text, metadata } : { id, metadata };
}

function toMetadata(json: string): VectorEntry["metadata"] {
  try {
    return checkedMetadata(JSON.parse(json), "weaviate: stored metadata");
  } catch {
    throw bad(fields.metadata, json);
  }
}

/** The server's l2 is squared; its dot product is negative already. */
function toDistance(metric: VectorMetric, distance: unknown): number {
  if (typeof distance !== "number" || !Number.isFinite(distance)) throw bad("distance", distance);
  return metric === "l2" ? Math.sqrt(Math.max(0, distance)) : distance;
}

function objectsOf(answer: unknown): readonly unknown[] {
  const objects = shapeOf(answer)?.["objects"];
  if (!Array.isArray(objects)) throw bad("objects", objects);
  return itemsOf(objects);
}

function bad(what: string, value: unknown): MillraceError {
  return new MillraceError("bad_response", `weaviate: ${what} of an answer is ${received(value)}`, { service: "weaviate" });
}
