/**
 * A stand-in for Pinecone's control and data planes on loopback: keeps records, filters and ranks them for real, refuses what the
 * documentation says is refused. It is asked by the official client and by the adapter, and is no proof that the service itself agrees;
 * unlike the service it shows at once what was written.
 */
import { type AnySchemaObject, Ajv } from "ajv";
import { jsonAnswer } from "../../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireRequest, type WireServer, wireServer } from "../../../src/testing/wire-server.ts";
import { holds } from "./conditions.ts";

const apiVersion = "2026-07";

const only = (properties: Readonly<Record<string, object>>, required: readonly string[]): object => ({ type: "object", properties, required, additionalProperties: false });
const list = (items: object, more: object = {}): object => ({ type: "array", items, ...more });
const text = { type: "string" };
const id = { type: "string", minLength: 1, maxLength: 512, pattern: "^[\\x01-\\x7f]+$" };
const numbers = list({ type: "number" }, { minItems: 1 });
const scalar = { anyOf: [text, { type: "number" }, { type: "boolean" }, list(text)] };
const metadata = { type: "object", additionalProperties: scalar, propertyNames: { pattern: "^[^$]" } };

const schemas = {
  create: only(
    {
      name: { type: "string", pattern: "^[a-z0-9-]{1,45}$" },
      schema: only({ fields: only({ _values: only({ type: { const: "dense_vector" }, dimension: { type: "integer", minimum: 1, maximum: 20_000 }, metric: { enum: ["cosine", "dotproduct", "euclidean"] } }, ["type", "dimension", "metric"]) }, ["_values"]) }, ["fields"]),
      deployment: only({ deployment_type: { const: "managed" }, cloud: { enum: ["aws", "gcp", "azure"] }, region: text }, ["deployment_type", "cloud", "region"]),
    },
    ["name", "schema", "deployment"],
  ),
  upsert: only({ vectors: list(only({ id, values: numbers, metadata }, ["id", "values"]), { minItems: 1, maxItems: 1_000 }), namespace: text }, ["vectors"]),
  query: only({ vector: numbers, topK: { type: "integer", minimum: 1, maximum: 10_000 }, includeMetadata: { type: "boolean" }, includeValues: { type: "boolean" }, filter: { type: "object" }, namespace: text }, ["vector", "topK"]),
  remove: only({ ids: list(id, { minItems: 1, maxItems: 1_000 }), deleteAll: { type: "boolean" }, filter: { type: "object" }, namespace: text }, []),
  stats: only({}, []),
} satisfies Readonly<Record<string, AnySchemaObject>>;

const ajv = new Ajv({ validateSchema: false, strictTypes: false });
const validators = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, ajv.compile(schema)]));

interface Stored {
  readonly id: string;
  readonly values: readonly number[];
  readonly metadata?: Readonly<Record<string, unknown>>;
}

interface Index {
  readonly name: string;
  readonly dimension: number;
  readonly metric: "cosine" | "dotproduct" | "euclidean";
  readonly deployment: unknown;
  readonly schema: unknown;
  readonly namespaces: Map<string, Map<string, Stored>>;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A running stand-in. */
export interface PineconeStandIn extends WireServer {
  readonly indexes: ReadonlyMap<string, Index>;
}

/** Starts one; with a key it answers nobody else. */
export async function pineconeStandIn(options: { readonly apiKey?: string } = {}): Promise<PineconeStandIn> {
  const indexes = new Map<string, Index>();
  const server: WireServer = await wireServer({
    answer(request) {
      try {
        if (options.apiKey !== undefined && request.headers["api-key"] !== options.apiKey) return { status: 401, headers: { "content-type": "text/plain" }, frames: ["Invalid API Key"] };
        if (request.headers["x-pinecone-api-version"] !== apiVersion) throw new Refusal(400, `API version ${request.headers["x-pinecone-api-version"]} is not ${apiVersion}`);
        const [path = ""] = request.path.split("?");
        const [, index = "", operation = ""] = /^\/hosts\/([^/]+)(\/.*)$/.exec(path) ?? [];
        return operation === "" ? controlled(request, path, indexes, server.url) : jsonAnswer(asked(request, operation, indexes.get(index)));
      } catch (error) {
        return error instanceof Refusal ? refusal(error.status, error.message) : refusal(400, String(error));
      }
    },
  });
  return Object.assign(server, { indexes });
}

/** An error as the data plane words it. */
export function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  return jsonAnswer({ code: status === 404 ? 5 : 3, message, details: [] }, { status, headers });
}

function controlled(request: WireRequest, path: string, indexes: Map<string, Index>, url: string): WireAnswer {
  const failed = (status: number, code: string, message: string): WireAnswer => jsonAnswer({ error: { code, message }, status }, { status });
  const described = (index: Index): object => ({ name: index.name, host: `${url}/hosts/${index.name}`, schema: index.schema, deployment: index.deployment, status: { ready: true, state: "Ready" }, deletion_protection: "disabled" });
  if (request.method === "POST" && path === "/indexes") {
    const body = valid("create", request.json()) as { name: string; deployment: object; schema: { fields: { _values: { dimension: number; metric: Index["metric"] } } } };
    if (indexes.has(body.name)) return failed(409, "ALREADY_EXISTS", "Resource already exists");
    const { dimension, metric } = body.schema.fields._values;
    const index: Index = { name: body.name, dimension, metric, deployment: { environment: "aped", ...body.deployment }, schema: body.schema, namespaces: new Map() };
    indexes.set(body.name, index);
    return jsonAnswer(described(index), { status: 201 });
  }
  const index = indexes.get(/^\/indexes\/([^/]+)$/.exec(path)?.[1] ?? "");
  if (index === undefined) return failed(404, "NOT_FOUND", "Resource not found");
  if (request.method === "GET") return jsonAnswer(described(index));
  indexes.delete(index.name);
  return { status: 202 };
}

function asked(request: WireRequest, operation: string, index: Index | undefined): object {
  if (index === undefined) throw new Refusal(404, "Index not found");
  if (request.body.length > 2_097_152) throw new Refusal(400, `Request size ${request.body.length} exceeds the limit`);
  if (request.method === "GET" && operation === "/vectors/fetch") return fetched(new URLSearchParams(request.path.split("?")[1]), index);
  const body: unknown = request.json();
  if (operation === "/vectors/upsert") {
    const { vectors, namespace = "__default__" } = valid("upsert", body) as { vectors: Stored[]; namespace?: string };
    for (const { values, metadata: kept = {} } of vectors) {
      dimensioned(values, index);
      if (values.every((value) => value === 0)) throw new Refusal(400, "Dense vectors must contain at least one non-zero value.");
      const size = new TextEncoder().encode(JSON.stringify(kept)).length;
      if (size > 40_960) throw new Refusal(400, `Metadata size is ${size} bytes, which exceeds the limit of 40960 bytes per vector`);
    }
    const space = index.namespaces.get(namespace) ?? new Map<string, Stored>();
    index.namespaces.set(namespace, space);
    for (const record of vectors) space.set(record.id, { ...record, values: [...Float32Array.from(record.values)] });
    return { upsertedCount: vectors.length };
  }
  if (operation === "/query") {
    const { vector, topK, filter, includeMetadata = false, includeValues = false, namespace = "__default__" } = valid("query", body) as { vector: number[]; topK: number; filter?: object; includeMetadata?: boolean; includeValues?: boolean; namespace?: string };
    dimensioned(vector, index);
    const records = [...(index.namespaces.get(namespace)?.values() ?? [])].filter((record) => filter === undefined || matches(filter, record));
    const sign = index.metric === "euclidean" ? 1 : -1;
    const scored = records.map((record) => ({ record, score: Math.fround(scores[index.metric](vector, record.values)) })).sort((a, b) => sign * (a.score - b.score));
    const found = scored.slice(0, topK).map(({ record, score }) => ({ id: record.id, score, values: includeValues ? record.values : [], ...(includeMetadata && record.metadata !== undefined ? { metadata: record.metadata } : {}) }));
    return { results: [], matches: found, namespace, usage: { readUnits: 1 } };
  }
  if (operation === "/vectors/delete") {
    const { ids, filter, deleteAll = false, namespace = "__default__" } = valid("remove", body) as { ids?: string[]; filter?: object; deleteAll?: boolean; namespace?: string };
    if ([ids, filter, deleteAll || undefined].filter((way) => way !== undefined).length !== 1) throw new Refusal(400, "exactly one of ids, filter and deleteAll");
    const space = index.namespaces.get(namespace);
    if (space === undefined) throw new Refusal(404, "Namespace not found");
    for (const record of space.values()) if (deleteAll || ids?.includes(record.id) === true || (filter !== undefined && matches(filter, record))) space.delete(record.id);
    return {};
  }
  if (operation !== "/describe_index_stats") throw new Refusal(404, "Not found");
  valid("stats", body);
  const namespaces = Object.fromEntries([...index.namespaces].map(([name, space]) => [name, { vectorCount: space.size }]));
  const total = [...index.namespaces.values()].reduce((sum, space) => sum + space.size, 0);
  return { namespaces, dimension: index.dimension, indexFullness: 0, totalVectorCount: total, metric: index.metric, vectorType: "dense" };
}

function fetched(query: URLSearchParams, index: Index): object {
  const ids = query.getAll("ids");
  if (ids.length === 0 || ids.length > 1_000) throw new Refusal(400, "1 to 1000 ids");
  const namespace = query.get("namespace") ?? "__default__";
  const space = index.namespaces.get(namespace);
  const found = ids.flatMap((one) => space?.get(one) ?? []);
  return { vectors: Object.fromEntries(found.map((record) => [record.id, record])), namespace, usage: { readUnits: 1 } };
}

function valid(name: keyof typeof schemas, body: unknown): unknown {
  const validate = validators[name];
  if (validate?.(body) !== true) throw new Refusal(400, `${name}: ${ajv.errorsText(validate?.errors)}`);
  return body;
}

function dimensioned(values: readonly number[], { dimension }: Index): void {
  if (values.length !== dimension) throw new Refusal(400, `Vector dimension ${values.length} does not match the dimension of the index ${dimension}`);
}

function matches(filter: object, { metadata: kept = {} }: Stored): boolean {
  return holds(filter, kept, { absentDiffers: true });
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);
/** Under euclidean the score is the squared distance, and lower is closer. */
const scores: Readonly<Record<Index["metric"], (a: readonly number[], b: readonly number[]) => number>> = {
  cosine: (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)),
  dotproduct: dot,
  euclidean: (a, b) => a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0),
};
