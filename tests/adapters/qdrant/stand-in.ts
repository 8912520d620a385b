/**
 * A stand-in for Qdrant's REST API on loopback: keeps points, filters and ranks them for real, refuses what the server would refuse.
 * It is asked by the official client and by the adapter, and is no proof that the server itself agrees.
 */
import type { Schemas } from "@qdrant/js-client-rest";
import { Ajv } from "ajv";
import type { QdrantFilter } from "../../../src/adapters/qdrant/filter.ts";
import type { SparseVector } from "../../../src/adapters/qdrant/words.ts";
import { jsonAnswer } from "../../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireRequest, type WireServer, wireServer } from "../../../src/testing/wire-server.ts";
import { holds, pathOf } from "./conditions.ts";
import { type Operation, requestSchemas, schemaOf } from "./schemas.ts";

const ajv = new Ajv({ validateSchema: false, strictTypes: false, formats: { uuid: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ } });
const validators = Object.fromEntries(Object.keys(requestSchemas).map((name) => [name, ajv.compile(schemaOf(name as Operation))]));

const routes: readonly (readonly [method: string, path: RegExp, operation: Operation | "getCollection" | "deleteCollection"])[] = [
  ["GET", /^\/collections\/([^/]+)$/, "getCollection"],
  ["PUT", /^\/collections\/([^/]+)$/, "createCollection"],
  ["DELETE", /^\/collections\/([^/]+)$/, "deleteCollection"],
  ["PUT", /^\/collections\/([^/]+)\/index$/, "createFieldIndex"],
  ["PUT", /^\/collections\/([^/]+)\/points$/, "upsertPoints"],
  ["POST", /^\/collections\/([^/]+)\/points$/, "getPoints"],
  ["POST", /^\/collections\/([^/]+)\/points\/query$/, "queryPoints"],
  ["POST", /^\/collections\/([^/]+)\/points\/query\/batch$/, "queryBatchPoints"],
  ["POST", /^\/collections\/([^/]+)\/points\/delete$/, "deletePoints"],
  ["POST", /^\/collections\/([^/]+)\/points\/count$/, "countPoints"],
];

interface Stored {
  readonly id: string;
  readonly vector: Float32Array;
  readonly words: ReadonlyMap<number, number>;
  readonly payload: Record<string, unknown>;
}

interface Collection {
  readonly params: { readonly vectors: { readonly size: number; readonly distance: "Cosine" | "Dot" | "Euclid" }; readonly sparse_vectors?: Readonly<Record<string, Schemas["SparseVectorParams"]>> };
  readonly indexes: Map<string, Schemas["PayloadSchemaType"]>;
  readonly points: Map<string, Stored>;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A running stand-in. */
export interface QdrantStandIn extends WireServer {
  readonly collections: ReadonlyMap<string, Collection>;
}

/** Starts one; with a key it answers nobody else. */
export async function qdrantStandIn(options: { readonly apiKey?: string } = {}): Promise<QdrantStandIn> {
  const collections = new Map<string, Collection>();
  const server = await wireServer({
    answer(request) {
      try {
        if (options.apiKey !== undefined && request.headers["api-key"] !== options.apiKey) throw new Refusal(401, "Must provide an API key or an Authorization bearer token");
        return jsonAnswer({ result: resultOf(request, collections), status: "ok", time: 0.001 });
      } catch (error) {
        if (error instanceof Refusal) return refusal(error.status, error.message);
        return refusal(400, String(error));
      }
    },
  });
  return Object.assign(server, { collections });
}

/** An error as the server words it. */
export function refusal(status: number, error: string, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  return { status, headers: { "content-type": "application/json", ...headers }, frames: [JSON.stringify({ status: { error }, time: 0.001 } satisfies Schemas["ErrorResponse"])] };
}

function resultOf(request: WireRequest, collections: Map<string, Collection>): unknown {
  const [path = "", query = ""] = request.path.split("?");
  const [, pattern, operation] = routes.find(([method, pattern]) => method === request.method && pattern.test(path)) ?? [];
  if (pattern === undefined || operation === undefined) throw new Refusal(404, "");
  const name = decodeURIComponent(pattern.exec(path)?.[1] ?? "");
  if (depthOf(request.body) > 128) throw new Refusal(400, "Format error in JSON body: recursion limit exceeded"); // of the server's JSON reader
  const body: unknown = request.body === "" ? undefined : request.json();
  const validate = validators[operation];
  if (validate?.(body) === false) throw new Refusal(400, `Format error in JSON body: ${ajv.errorsText(validate.errors)}`);
  if (operation === "createCollection") {
    if (collections.has(name)) throw new Refusal(409, `Wrong input: Collection \`${name}\` already exists!`);
    collections.set(name, { params: body as Collection["params"], indexes: new Map(), points: new Map() });
    return true;
  }
  if (operation === "deleteCollection") return collections.delete(name);
  const collection = collections.get(name);
  if (collection === undefined) throw new Refusal(404, `Not found: Collection \`${name}\` doesn't exist!`);
  if (["upsertPoints", "deletePoints", "createFieldIndex"].includes(operation) && !new URLSearchParams(query).has("wait", "true")) {
    throw new Error(`${operation} does not wait until it is applied`); // fails whoever reads at once what was written
  }
  return operations[operation](collection, body as never);
}

const operations: Readonly<Record<Exclude<Operation, "createCollection"> | "getCollection", (collection: Collection, body: never) => unknown>> = {
  getCollection: ({ params, points, indexes }) =>
    ({
      status: "green",
      optimizer_status: "ok",
      points_count: points.size,
      segments_count: 1,
      config: { params, hnsw_config: { m: 16, ef_construct: 100, full_scan_threshold: 10_000 }, optimizer_config: { deleted_threshold: 0.2, vacuum_min_vector_number: 1_000, default_segment_number: 0, flush_interval_sec: 5 } },
      payload_schema: Object.fromEntries([...indexes].map(([field, data_type]) => [field, { data_type, points: 0 }])),
    }) satisfies Schemas["CollectionInfo"],
  createFieldIndex({ indexes }, body: { readonly field_name: string; readonly field_schema: Schemas["PayloadSchemaType"] }) {
    pathOf(body.field_name);
    indexes.set(body.field_name, body.field_schema);
    return done();
  },
  upsertPoints(collection, body: { readonly points: readonly { readonly id: string; readonly vector: readonly number[] | { readonly "": readonly number[]; readonly words: SparseVector }; readonly payload: Record<string, unknown> }[] }) {
    const stored = body.points.map(({ id, vector, payload }): Stored => {
      const isNamed = "words" in vector;
      if (isNamed && collection.params.sparse_vectors?.["words"] === undefined) throw new Refusal(400, "Wrong input: Not existing vector name error: words");
      return { id, payload, vector: kept(collection, isNamed ? vector[""] : vector), words: new Map(isNamed ? vector.words.indices.map((index, at) => [index, vector.words.values[at] ?? 0]) : []) };
    });
    for (const point of stored) collection.points.set(point.id, point);
    return done();
  },
  getPoints: ({ points }, { ids }: { readonly ids: readonly string[] }) => [...new Set(ids)].flatMap((id) => points.get(id) ?? []).map(({ id, payload }) => ({ id, payload }) satisfies Schemas["Record"]),
  queryPoints: (collection, search: Search) => ({ points: found(collection, search) }) satisfies Schemas["QueryResponse"],
  queryBatchPoints: (collection, { searches }: { readonly searches: readonly Search[] }) => searches.map((search) => ({ points: found(collection, search) }) satisfies Schemas["QueryResponse"]),
  deletePoints({ points }, body: { readonly points?: readonly string[]; readonly filter?: QdrantFilter }) {
    for (const point of points.values()) if (body.filter === undefined ? body.points?.includes(point.id) === true : holds(body.filter, point)) points.delete(point.id);
    return done();
  },
  countPoints: ({ points }, { filter }: { readonly filter?: QdrantFilter }) => ({ count: [...points.values()].filter((point) => filter === undefined || holds(filter, point)).length }) satisfies Schemas["CountResult"],
};

function done(): Schemas["UpdateResult"] {
  return { operation_id: 1, status: "completed" };
}

interface Search {
  readonly query: readonly number[] | SparseVector;
  readonly using?: string;
  readonly limit?: number;
  readonly filter?: QdrantFilter;
  readonly with_payload?: boolean;
  readonly with_vector?: boolean;
}

function found(collection: Collection, { query, using = "", limit = 10, filter, with_payload = false, with_vector = false }: Search): Schemas["ScoredPoint"][] {
  const points = [...collection.points.values()].filter((point) => filter === undefined || holds(filter, point));
  const scored = "indices" in query ? byWords(collection, points, query, using) : byVector(collection, points, kept(collection, query));
  return scored.slice(0, limit).map(({ point: { id, payload, vector }, score }) => ({ id, version: 1, score: Math.fround(score), ...(with_payload ? { payload } : {}), ...(with_vector ? { vector: given(collection, vector) } : {}) }));
}

interface Scored {
  readonly point: Stored;
  readonly score: number;
}

function byVector({ params }: Collection, points: readonly Stored[], query: Float32Array): Scored[] {
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
  const euclid = (a: Float32Array, b: Float32Array): number => Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0));
  if (params.vectors.distance === "Euclid") return points.map((point) => ({ point, score: euclid(point.vector, query) })).sort((a, b) => a.score - b.score);
  return points.map((point) => ({ point, score: dot(point.vector, query) })).sort((a, b) => b.score - a.score);
}

function byWords({ params, points: all }: Collection, points: readonly Stored[], { indices, values }: SparseVector, using: string): Scored[] {
  const modifier = params.sparse_vectors?.[using]?.modifier;
  if (modifier === undefined) throw new Refusal(400, `Wrong input: Not existing vector name error: ${using}`);
  const rarity = (index: number): number => {
    const holding = [...all.values()].filter(({ words }) => words.has(index)).length;
    return modifier === "idf" ? Math.log(1 + (all.size - holding + 0.5) / (holding + 0.5)) : 1;
  };
  const weights = indices.map((index, at) => [index, rarity(index) * (values[at] ?? 0)] as const);
  return points
    .filter(({ words }) => indices.some((index) => words.has(index)))
    .map((point) => ({ point, score: weights.reduce((sum, [index, weight]) => sum + weight * (point.words.get(index) ?? 0), 0) }))
    .sort((a, b) => b.score - a.score);
}

/** A vector as the server gives it: by its name, which is empty, where the collection has sparse ones too. */
function given({ params }: Collection, vector: Float32Array): number[] | { "": number[] } {
  return params.sparse_vectors === undefined ? [...vector] : { "": [...vector] };
}

/** A vector as the server keeps it: of the right length, in single precision, and of length 1 under cosine. */
function kept({ params: { vectors } }: Collection, numbers: readonly number[]): Float32Array {
  if (numbers.length !== vectors.size) throw new Refusal(400, `Wrong input: Vector dimension error: expected dim: ${vectors.size}, got ${numbers.length}`);
  const vector = Float32Array.from(numbers);
  const length = Math.hypot(...vector);
  return vectors.distance === "Cosine" && length > 0 ? vector.map((x) => x / length) : vector;
}

function depthOf(json: string): number {
  let [depth, deepest, inText] = [0, 0, false];
  for (let at = 0; at < json.length; at += 1) {
    const sign = json[at];
    if (inText && sign === "\\") at += 1;
    else if (sign === '"') inText = !inText;
    else if (inText) continue;
    else if (sign === "{" || sign === "[") deepest = Math.max(deepest, (depth += 1));
    else if (sign === "}" || sign === "]") depth -= 1;
  }
  return deepest;
}
