/**
 * A stand-in for Weaviate: real objects in memory, really filtered and ranked, behind the gRPC definitions of its own client and the few
 * paths of REST that concern schemas. It refuses what the server refuses: unknown properties, values and vectors of another kind.
 *
 * @module
 */
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createGrpc, ServerError, Status } from "nice-grpc";
import type { BatchDeleteRequest } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/batch_delete.js";
import { BatchDeleteReply } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/batch_delete.js";
import { type BatchObject, BatchObjectsReply } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/batch.js";
import { AggregateReply } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/aggregate.js";
import { type Filters, Filters_Operator as Operator } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/base.js";
import { SearchReply, type SearchRequest } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/search_get.js";
import { WeaviateDefinition } from "../../../node_modules/weaviate-client/dist/node/cjs/proto/v1/weaviate.js";
import { bm25, termsOf } from "../../../src/adapters/memory/text-index.ts";

/** A property of a schema. */
interface Property {
  readonly name: string;
  readonly dataType: readonly string[];
  readonly indexFilterable?: boolean;
  readonly indexSearchable?: boolean;
}

interface Schema {
  readonly class: string;
  readonly vectorIndexConfig: { readonly distance: string };
  readonly multiTenancyConfig?: { readonly enabled?: boolean };
  readonly properties: Property[];
}

interface Stored {
  readonly uuid: string;
  readonly vector: readonly number[];
  readonly properties: Readonly<Record<string, unknown>>;
}

interface Kept {
  readonly schema: Schema;
  readonly tenants: Map<string, Map<string, Stored>>;
}

/** The running stand-in. */
export interface FakeWeaviate {
  readonly baseUrl: string;
  readonly grpcUrl: string;
  /** Every request, REST by method and path, gRPC by name. */
  readonly requests: string[];
  /** Calls of gRPC that the client gave up. */
  readonly givenUp: string[];
  /** What each request was sent with as `authorization`. */
  readonly credentials: Set<string | undefined>;
  /** Told of each call before it is answered; may throw, or never settle. */
  before: (name: string, signal: AbortSignal) => Promise<void> | void;
  /** Answers REST instead of the fake, if it returns true. */
  rest: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Refuses objects one by one. */
  refuse: (object: BatchObject) => string | undefined;
  /** Deletes of one request at most, as `QUERY_MAXIMUM_RESULTS` has it. */
  maxDeleted: number;
  close(): Promise<void>;
}

/** Starts one, empty. */
export async function fakeWeaviate(): Promise<FakeWeaviate> {
  const classes = new Map<string, Kept>();
  const grpc = createGrpc();
  const refused = (details: string): ServerError => new ServerError(Status.UNKNOWN, details);
  const part = (collection: string, tenant: string): Map<string, Stored> => {
    const kept = classOf(collection);
    if ((kept.schema.multiTenancyConfig?.enabled === true) !== (tenant !== "")) throw refused(`class ${collection} multi-tenancy does not fit tenant "${tenant}"`);
    const objects = kept.tenants.get(tenant);
    if (objects === undefined) throw refused(`tenant not found: "${tenant}"`);
    return objects;
  };
  const classOf = (collection: string): Kept => {
    const kept = classes.get(collection);
    if (kept === undefined) throw refused(`could not find class ${collection} in schema`);
    return kept;
  };
  const called = async (name: string, signal: AbortSignal, authorization: string | undefined): Promise<void> => {
    fake.requests.push(name);
    fake.credentials.add(authorization);
    signal.addEventListener("abort", () => fake.givenUp.push(name), { once: true });
    await fake.before(name, signal);
  };

  grpc.add(WeaviateDefinition, {
    async search(request, { signal, metadata }) {
      await called("Search", signal, metadata.get("authorization"));
      const { schema } = classOf(request.collection);
      const objects = [...part(request.collection, request.tenant).values()].filter((it) => holds(schema, request.filters, it));
      return SearchReply.fromPartial({ results: ranked(schema, objects, request).slice(0, request.limit).map((it) => toResult(it, request)) });
    },
    async batchObjects({ objects }, { signal, metadata }) {
      await called("BatchObjects", signal, metadata.get("authorization"));
      const errors = objects.flatMap((object, index) => {
        const error = fake.refuse(object) ?? put(classOf(object.collection).schema, part(object.collection, object.tenant), object);
        return error === undefined ? [] : [{ index, error }];
      });
      return BatchObjectsReply.fromPartial({ errors });
    },
    async batchDelete(request: BatchDeleteRequest, { signal, metadata }) {
      await called("BatchDelete", signal, metadata.get("authorization"));
      const { schema } = classOf(request.collection);
      const objects = part(request.collection, request.tenant ?? "");
      const found = [...objects.values()].filter((it) => holds(schema, request.filters, it)).slice(0, fake.maxDeleted);
      for (const { uuid } of found) objects.delete(uuid);
      return BatchDeleteReply.fromPartial({ matches: found.length, successful: found.length, failed: 0 });
    },
    async aggregate(request, { signal, metadata }) {
      await called("Aggregate", signal, metadata.get("authorization"));
      const { schema } = classOf(request.collection);
      const objectsCount = [...part(request.collection, request.tenant).values()].filter((it) => holds(schema, request.filters, it)).length;
      return AggregateReply.fromPartial({ singleResult: { objectsCount } });
    },
    async tenantsGet() {
      throw refused("not in this fake");
    },
    async batchReferences() {
      throw refused("not in this fake");
    },
    // oxlint-disable-next-line require-yield
    async *batchStream() {
      throw refused("not in this fake");
    },
  });

  const http: Server = createHttp((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      const path = `${request.method} ${request.url}`;
      fake.requests.push(path);
      fake.credentials.add(request.headers.authorization);
      if (fake.rest(request, response)) return;
      const [status, answer] = rest(path, body === "" ? undefined : JSON.parse(body));
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  const rest = (path: string, body: unknown): readonly [status: number, answer: unknown] => {
    if (path === "GET /v1/meta") return [200, { version: "1.38.0" }];
    if (path === "POST /v1/schema") {
      const schema = body as Schema; // the adapter's, which the test compares
      if (classes.has(schema.class)) return [422, { error: [{ message: `class name ${schema.class} already exists` }] }];
      if (!["cosine", "dot", "l2-squared"].includes(schema.vectorIndexConfig.distance)) return [422, { error: [{ message: "unrecognized distance" }] }];
      classes.set(schema.class, { schema, tenants: new Map(schema.multiTenancyConfig?.enabled === true ? [] : [["", new Map()]]) });
      return [200, schema];
    }
    const [, method, name = "", rest] = /^(\w+) \/v1\/schema\/(\w+)(?:\/(properties|tenants))?$/.exec(path) ?? [];
    const kept = classes.get(name);
    if (kept === undefined) return [404, { error: [{ message: `class ${name} not found` }] }];
    if (method === "GET") return [200, kept.schema];
    if (method === "DELETE") return [classes.delete(name) ? 200 : 404, {}];
    if (rest === "tenants") {
      for (const { name: tenant } of body as { name: string }[]) if (!kept.tenants.has(tenant)) kept.tenants.set(tenant, new Map());
      return [200, body];
    }
    const property = body as Property;
    if (!/^[_A-Za-z][_0-9A-Za-z]{0,230}$/.test(property.name)) return [422, { error: [{ message: `'${property.name}' is not a valid property name` }] }];
    if (kept.schema.properties.some((it) => it.name === property.name)) return [422, { error: [{ message: "property already exists" }] }];
    kept.schema.properties.push(property);
    return [200, property];
  };

  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const address = http.address();
  const port = await grpc.listen("127.0.0.1:0");
  const fake: FakeWeaviate = {
    baseUrl: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    grpcUrl: `http://127.0.0.1:${port}`,
    requests: [],
    givenUp: [],
    credentials: new Set(),
    before: () => {},
    rest: () => false,
    refuse: () => undefined,
    maxDeleted: 10_000,
    async close() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      grpc.forceShutdown();
    },
  };
  return fake;
}

// --- objects ---

/** Stores over what is there, or says why not. */
function put(schema: Schema, objects: Map<string, Stored>, object: BatchObject): string | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(object.uuid)) return `invalid uuid ${object.uuid}`;
  const lists = object.properties?.textArrayProperties.map(({ propName, values }) => [propName, values] as const) ?? [];
  const properties: Record<string, unknown> = { ...object.properties?.nonRefProperties, ...Object.fromEntries(lists) };
  for (const [name, value] of Object.entries(properties)) {
    const type = schema.properties.find((it) => it.name === name)?.dataType[0];
    if (type === undefined) return `no such prop with name '${name}' found`;
    if ((Array.isArray(value) ? "text[]" : typeof value === "string" ? "text" : typeof value) !== type) return `invalid ${type} property '${name}'`;
  }
  const vector = numbersOf(object.vectorBytes);
  const [other] = objects.values();
  if (other !== undefined && other.vector.length !== vector.length) return `vector lengths don't match: ${other.vector.length} vs ${vector.length}`;
  objects.set(object.uuid, { uuid: object.uuid, vector, properties });
  return undefined;
}

function numbersOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

function holds(schema: Schema, filter: Filters | undefined, object: Stored): boolean {
  if (filter === undefined) return true;
  if (filter.operator === Operator.OPERATOR_AND) return filter.filters.every((it) => holds(schema, it, object));
  if (filter.operator === Operator.OPERATOR_OR) return filter.filters.some((it) => holds(schema, it, object));
  const name = filter.target?.property ?? "";
  const property = schema.properties.find((it) => it.name === name);
  if (name !== "_id" && property?.indexFilterable !== true) throw new ServerError(Status.UNKNOWN, `invalid filter: no such prop with name '${name}'`);
  const met: unknown = name === "_id" ? [object.uuid] : object.properties[name];
  const wanted = filter.valueTextArray?.values;
  if (wanted !== undefined) {
    // tokenization "field" trims, and nothing else
    const any = Array.isArray(met) && met.some((it) => typeof it === "string" && wanted.some((word) => word.trim() === it.trim()));
    if (filter.operator === Operator.OPERATOR_CONTAINS_ANY) return any;
    if (filter.operator === Operator.OPERATOR_CONTAINS_NONE) return !any;
  }
  const number = filter.valueNumber ?? filter.valueInt;
  if (number !== undefined && property?.dataType[0] === "number") {
    if (typeof met !== "number") return false;
    if (filter.operator === Operator.OPERATOR_GREATER_THAN) return met > number;
    if (filter.operator === Operator.OPERATOR_GREATER_THAN_EQUAL) return met >= number;
    if (filter.operator === Operator.OPERATOR_LESS_THAN) return met < number;
    if (filter.operator === Operator.OPERATOR_LESS_THAN_EQUAL) return met <= number;
  }
  throw new ServerError(Status.UNKNOWN, `invalid filter of '${name}'`);
}

// --- searches ---

interface Found {
  readonly object: Stored;
  readonly distance?: number;
  readonly score?: number;
}

function ranked(schema: Schema, objects: readonly Stored[], { nearVector, bm25Search }: SearchRequest): Found[] {
  if (nearVector !== undefined) {
    const [first] = nearVector.vectors;
    const asked = numbersOf(first === undefined ? nearVector.vectorBytes : first.vectorBytes);
    return objects
      .map((object) => {
        if (object.vector.length !== asked.length) throw new ServerError(Status.UNKNOWN, `vector lengths don't match: ${object.vector.length} vs ${asked.length}`);
        return { object, distance: distanceOf(schema.vectorIndexConfig.distance, asked, object.vector) };
      })
      .sort((a, b) => a.distance - b.distance);
  }
  if (bm25Search === undefined) return objects.map((object) => ({ object }));
  if (!/[\p{L}\p{N}]/u.test(bm25Search.query)) throw new ServerError(Status.UNKNOWN, "keyword search (bm25) must have query set");
  const [name = ""] = bm25Search.properties;
  if (schema.properties.find((it) => it.name === name)?.indexSearchable !== true) throw new ServerError(Status.UNKNOWN, `property ${name} is not indexed`);
  const scores = bm25(objects.map(({ properties }) => termsOf(String(properties[name] ?? ""))), bm25Search.query);
  return objects
    .map((object, at) => ({ object, score: scores[at] ?? 0 }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
}

function distanceOf(name: string, a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, it, at) => sum + it * (y[at] ?? 0), 0);
  if (name === "dot") return -dot(a, b);
  if (name === "cosine") return 1 - dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  return dot(a, a) + dot(b, b) - 2 * dot(a, b);
}

type Result = NonNullable<Parameters<typeof SearchReply.fromPartial>[0]["results"]>[number];

function toResult({ object, distance, score }: Found, { metadata, properties }: SearchRequest): Result {
  const shown = (properties?.nonRefProperties ?? []).filter((name) => object.properties[name] !== undefined);
  const bytes = new Uint8Array(Float32Array.from(object.vector).buffer);
  return {
    metadata: {
      id: object.uuid,
      ...(distance !== undefined && metadata?.distance === true ? { distance, distancePresent: true } : {}),
      ...(score !== undefined && metadata?.score === true ? { score, scorePresent: true } : {}),
      ...(metadata?.vector === true ? { vectorBytes: bytes } : {}),
    },
    properties: { nonRefProps: { fields: Object.fromEntries(shown.map((name) => [name, { textValue: String(object.properties[name]) }])) } },
  };
}
