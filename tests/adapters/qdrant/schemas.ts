/** What Qdrant takes, as far as the adapter asks: each request to the stand-in is held against this. Written from the client's types. */
import type { AnySchemaObject } from "ajv";

const list = (items: object, more: object = {}): object => ({ type: "array", items, ...more });
const only = (properties: Readonly<Record<string, object>>, required: readonly string[] = Object.keys(properties)): object => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const text = { type: "string" };
const number = { type: "number" };
const flag = { type: "boolean" };
const id = { anyOf: [{ type: "integer", minimum: 0 }, { type: "string", format: "uuid" }] };
const ref = (name: string): object => ({ $ref: `#/$defs/${name}` });

const $defs = {
  filter: {
    // the server takes empty lists too, and for `should` it has meant both: nothing here relies on it
    ...only({ must: list(ref("condition"), { minItems: 1 }), should: list(ref("condition"), { minItems: 1 }), must_not: list(ref("condition"), { minItems: 1 }) }, []),
    minProperties: 1,
  },
  condition: {
    anyOf: [
      only({ key: text, match: { anyOf: [only({ value: { type: ["string", "integer", "boolean"] } }), only({ any: list(text, { minItems: 1 }) })] } }),
      only({ key: text, range: { ...only({ gt: number, gte: number, lt: number, lte: number }, []), minProperties: 1 } }),
      only({ has_id: list(id) }),
      ref("filter"),
    ],
  },
  sparse: only({ indices: list({ type: "integer", minimum: 0, maximum: 4_294_967_295 }, { uniqueItems: true, minItems: 1 }), values: list(number) }),
  search: only({ query: { anyOf: [list(number), ref("sparse")] }, using: text, limit: { type: "integer", minimum: 1 }, filter: ref("filter"), with_payload: flag, with_vector: flag }, ["query"]),
};

/** What is asked with a body. */
export type Operation =
  | "createCollection"
  | "createFieldIndex"
  | "upsertPoints"
  | "queryPoints"
  | "queryBatchPoints"
  | "getPoints"
  | "deletePoints"
  | "countPoints";

/** By operation. */
export const requestSchemas: Readonly<Record<Operation, object>> = {
  createCollection: only(
    {
      vectors: only({ size: { type: "integer", minimum: 1, maximum: 65_535 }, distance: { enum: ["Cosine", "Dot", "Euclid", "Manhattan"] } }),
      sparse_vectors: { type: "object", additionalProperties: only({ modifier: { enum: ["none", "idf"] } }) },
    },
    ["vectors"],
  ),
  createFieldIndex: only({ field_name: text, field_schema: { enum: ["keyword", "integer", "float", "bool", "text"] } }),
  upsertPoints: only({
    points: list(only({ id, vector: { anyOf: [list(number), only({ "": list(number), words: ref("sparse") })] }, payload: { type: "object" } }), { minItems: 1 }),
  }),
  queryPoints: ref("search"),
  queryBatchPoints: only({ searches: list(ref("search"), { minItems: 1 }) }),
  getPoints: only({ ids: list(id), with_payload: flag }, ["ids"]),
  deletePoints: { anyOf: [only({ points: list(id) }), only({ filter: ref("filter") })] },
  countPoints: only({ filter: ref("filter"), exact: flag }, []),
};

/** The schema of an operation's body. */
export function schemaOf(operation: Operation): AnySchemaObject {
  return { ...requestSchemas[operation], $defs };
}
