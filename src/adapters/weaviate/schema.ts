/**
 * How records stand in a collection of Weaviate, whose fields have types: text and original id as they are, metadata as JSON, one list of
 * terms for what filters compare, and a number of its own for each numeric field, for ranges.
 *
 * Source: https://docs.weaviate.io/weaviate/config-refs/collections
 *
 * @module
 */
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { itemsOf, shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { hashOf } from "./ids.ts";

/** Names of the fields that are the same for all records. */
export const fields = { id: "key", text: "text", metadata: "metadata", terms: "terms" } as const;

/** The server's words for metrics. */
const distances = { cosine: "cosine", dot: "dot", l2: "l2-squared" } as const;

/** Characters of a term that are kept as they are: longer ones would be keys of the index as long as themselves. */
const maxTermChars = 256;

/** What a collection holds. */
export interface CollectionShape {
  readonly collection: string;
  readonly dimensions: number;
  readonly metric: VectorMetric;
  /** Is it of several tenants? */
  readonly tenants: boolean;
}

/** The collection as the server makes it. Dimensions have no place in it but the description. */
export function toSchema({ collection, dimensions, metric, tenants }: CollectionShape): object {
  const unread = { indexFilterable: false, indexSearchable: false };
  return {
    class: collection,
    description: `vectors of ${dimensions} dimensions`,
    vectorizer: "none",
    vectorIndexType: "hnsw",
    vectorIndexConfig: { distance: distances[metric] },
    multiTenancyConfig: { enabled: tenants },
    properties: [
      { name: fields.id, dataType: ["text"], tokenization: "field", ...unread },
      { name: fields.text, dataType: ["text"], tokenization: "word", indexFilterable: false, indexSearchable: true },
      { name: fields.metadata, dataType: ["text"], tokenization: "field", ...unread },
      { name: fields.terms, dataType: ["text[]"], tokenization: "field", indexFilterable: true, indexSearchable: false },
    ],
  };
}

/** A numeric field as the server makes it. */
export function toNumberProperty(name: string): { name: string; dataType: "number"; indexFilterable: true; indexRangeFilters: true } {
  return { name, dataType: "number", indexFilterable: true, indexRangeFilters: true };
}

/** What a schema of the server says. */
export interface FoundShape {
  readonly dimensions: number | undefined;
  readonly metric: string | undefined;
  readonly tenants: boolean;
  readonly properties: ReadonlySet<string>;
}

/** Reads a schema. */
export function readSchema(schema: unknown): FoundShape {
  const shape = shapeOf(schema);
  const [, dimensions] = /^vectors of (\d+) dimensions$/.exec(wordsOf(shape?.["description"]) ?? "") ?? [];
  const distance = wordsOf(shapeOf(shape?.["vectorIndexConfig"])?.["distance"]);
  return {
    dimensions: dimensions === undefined ? undefined : Number(dimensions),
    metric: Object.entries(distances).find(([, name]) => name === distance)?.[0] ?? distance,
    tenants: shapeOf(shape?.["multiTenancyConfig"])?.["enabled"] === true,
    properties: new Set(itemsOf(shape?.["properties"]).flatMap((it) => wordsOf(shapeOf(it)?.["name"]) ?? [])),
  };
}

/** The name of a numeric field: letters, digits and `_` are all that names may have, and 231 of them. */
export async function numberName(field: string): Promise<string> {
  const encoded = field.replace(/[^A-Za-z0-9]/gu, (sign) => `_${(sign.codePointAt(0) ?? 0).toString(16)}_`);
  return encoded.length <= 200 ? `n_${encoded}` : `n__${await hashOf(field)}`;
}

/** What a filter looks for in the list of terms: a field with a value of a type. A list with a value cannot be one with none. */
export function termOf(field: string, ...value: readonly [] | readonly [string | number | boolean]): Promise<string> {
  return bounded(JSON.stringify([field, ...value]));
}

/** In the list of every record: the list is never empty, and a filter can let everything through. */
export const everyTerm = "*";

async function bounded(term: string): Promise<string> {
  return term.length <= maxTermChars ? term : `#${await hashOf(term)}`;
}
