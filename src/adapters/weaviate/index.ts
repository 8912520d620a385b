/**
 * Vectors in Weaviate (1.33 and later), gRPC for data and REST for schemas.
 *
 * Kind: vector store. Client: `weaviate-client` 3 (optional peer, loaded at first use), or a ready client. Its gRPC is made for Node;
 * with a stand-in for the server it passes on Bun and Deno too.
 * Source: https://docs.weaviate.io/weaviate/client-libraries/typescript
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { candidates, fuseRanks } from "../../kinds/rank-fusion.ts";
import { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "../../kinds/vector-checks.ts";
import { checkFilter, type VectorFilter } from "../../kinds/vector-filter.ts";
import type { VectorEntry, VectorMatch, VectorMetric, VectorRecord, VectorStore } from "../../kinds/vector-store.ts";
import { countOf, shapeOf } from "../../wire/json-shape.ts";
import { redaction } from "../../wire/redact.ts";
import { weaviateConnection, type WeaviateConnectionOptions } from "./client.ts";
import { ownCollection, type Within } from "./collection.ts";
import { byUuids, toWeaviateFilter, type WeaviateFilter } from "./filter.ts";
import { uuidOf } from "./ids.ts";
import { numbersOf, toEntries, toMatches, toObject, toWorded, type Worded } from "./rows.ts";
import { fields } from "./schema.ts";

export type { WeaviateClient, WeaviateCollection, WeaviateConnectionOptions, WeaviateSearch } from "./client.ts";
export type { WeaviateFilter } from "./filter.ts";
export type { WeaviateObject } from "./rows.ts";

const service = "weaviate";

/** Objects of one request: some megabytes with usual dimensions; the server takes 10 MB and more (`grpcMaxMessageSize`). */
const objectsPerRequest = 200;
/** What every search gives back. */
const returnProperties = [fields.id, fields.text, fields.metadata];

/** Of vectors in one collection. */
export interface WeaviateOptions extends WeaviateConnectionOptions {
  /** A capital letter, then letters, digits and `_`. */
  readonly collection: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
  /** One tenant of a collection of several: only what is its own is seen and touched. @default the collection is of no tenants */
  readonly tenant?: string;
  /** Milliseconds for a request. @default 30000 */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

/**
 * Stores vectors in a collection of Weaviate and finds the nearest by its HNSW index, so answers are approximate.
 *
 * `setup()` makes collection and tenant; a numeric field of metadata adds a property to the collection when it is first stored. Ids
 * become UUIDs and are kept beside them. A hybrid query is two searches, by vector and by words (BM25), fused by ranks. Writes go in
 * steps of 200; one that is given up runs to its end unheard. While the server is unavailable the client repeats searches and writes by
 * itself, up to five times, and says so on the console: it has no option against that.
 *
 * Throws: as every vector store; `conflict` when the collection holds other vectors than the options say; `timeout`; by what the
 *         server answered `unauthorized`, `rate_limited`, `unavailable`.
 * Closes: the client, if it was made here; calls in progress reject with `closed`.
 *
 * @example
 * await using store = weaviate({ collection: "Notes", dimensions: 2 });
 * await store.setup();
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(1, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function weaviate(options: WeaviateOptions): VectorStore {
  if (typeof options !== "object" || options === null) throw invalidOption(service, "options", "an object", options);
  const { collection, metric = "cosine", tenant, clock = systemClock } = options;
  if (typeof collection !== "string" || !/^[A-Z][A-Za-z0-9_]{0,254}$/.test(collection)) {
    throw invalidOption(service, "collection", "a capital letter, then up to 254 letters, digits and '_'", collection);
  }
  if (metric !== "cosine" && metric !== "dot" && metric !== "l2") throw invalidOption(service, "metric", "cosine, dot or l2", metric);
  if (tenant !== undefined && (typeof tenant !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(tenant))) {
    throw invalidOption(service, "tenant", "1 to 64 letters, digits, '-' and '_'", tenant);
  }
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1, 65_535);
  const timeoutMs = wholeNumber(service, "timeoutMs", options.timeoutMs ?? 30_000, 1);
  const own = ownCollection({
    service,
    connection: weaviateConnection(service, options, timeoutMs),
    shape: { collection, dimensions, metric, tenants: tenant !== undefined },
    tenant,
    timeoutMs,
    clock,
  });
  const shape: VectorShape = { service, dimensions, metric };
  /** Filters of a search, if there is one. */
  const filtered = async (within: Within, filter: VectorFilter | undefined): Promise<{ filters?: WeaviateFilter }> =>
    filter === undefined ? {} : { filters: await toWeaviateFilter(filter, within.has) };
  const close = (): Promise<void> => own.close();

  return {
    service,
    dimensions,
    metric,
    lacks: { replace: "Weaviate has no transactions" },
    async setup({ signal } = {}) {
      await own.setup(signal);
    },
    async upsert(records, { signal } = {}) {
      const kept = checkRecords(shape, records);
      if (kept.length === 0) return own.nothing(signal);
      await own.run("upsert", async (within) => {
        for (const some of slices(kept)) {
          within.signal.throwIfAborted();
          const objects = await Promise.all(some.map(toObject));
          await within.addNumbers(numbersOf(objects));
          requireStored(some, await within.ask((it) => it.data.insertMany(objects)));
        }
      }, signal, () => kept.flatMap(({ id, text = "", metadata }) => [id, text, JSON.stringify(metadata)]));
    },
    async query(query, { signal } = {}) {
      const { vector, limit, filter, text, vectors = false } = checkQuery(shape, query);
      const numbers = [...vector];
      return own.run("query", async (within) => {
        const filters = await filtered(within, filter);
        const call = { abortSignal: within.signal };
        const given = { returnProperties, includeVector: vectors };
        const near = async (width: number): Promise<VectorMatch[]> =>
          toMatches(metric, await within.ask((it) => it.query.nearVector(numbers, { ...filters, limit: width, ...given, returnMetadata: ["distance"] }, call)));
        if (text === undefined) return near(limit);
        const width = candidates(limit);
        const worded = async (): Promise<Worded[]> =>
          // without a word in it the server refuses the search
          /[\p{L}\p{N}]/u.test(text)
            ? toWorded(await within.ask((it) => it.query.bm25(text, { ...filters, limit: width, ...given, queryProperties: [fields.text] }, call)))
            : [];
        return fused(limit, ...(await Promise.all([near(width), worded()])));
      }, signal, () => [text ?? "", JSON.stringify(filter ?? "")]);
    },
    async get(ids, { signal } = {}) {
      checkIds(service, ids);
      if (ids.length === 0) {
        await own.nothing(signal);
        return [];
      }
      return own.run("get", async (within) => {
        const entries: VectorEntry[] = [];
        for (const some of slices([...new Set(ids)])) {
          const filters = byUuids(await Promise.all(some.map(uuidOf)));
          const search = { filters, limit: some.length, returnProperties };
          entries.push(...toEntries(await within.ask((it) => it.query.fetchObjects(search, { abortSignal: within.signal }))));
        }
        return entries;
      }, signal, () => ids);
    },
    async delete(selection, { signal } = {}) {
      checkSelection(service, selection);
      await own.run("delete", async (within) => {
        if ("filter" in selection) return deleteAll(within, await toWeaviateFilter(selection.filter, within.has));
        for (const some of slices([...new Set(selection.ids)])) await deleteAll(within, byUuids(await Promise.all(some.map(uuidOf))));
      }, signal, () => [JSON.stringify(selection)]);
    },
    async count(filter, { signal } = {}) {
      if (filter !== undefined) checkFilter(`${service}: count`, filter);
      return own.run("count", async (within) => {
        const filters = await filtered(within, filter);
        const count = shapeOf(await within.ask((it) => it.aggregate.overAll(filters)))?.["totalCount"];
        if (typeof count === "number" && Number.isSafeInteger(count)) return count;
        throw new MillraceError("bad_response", `${service}: count answered no number`, { service });
      }, signal, () => [JSON.stringify(filter ?? "")]);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The server deletes so many at a time (`QUERY_MAXIMUM_RESULTS`) and says how many there were, so it is asked until there are none. */
async function deleteAll(within: Within, filter: WeaviateFilter): Promise<void> {
  for (;;) {
    within.signal.throwIfAborted();
    const reply = shapeOf(await within.ask((it) => it.data.deleteMany(filter)));
    if (countOf(reply?.["failed"]) !== 0) throw new MillraceError("unavailable", `${service}: delete: ${String(reply?.["failed"])} objects could not be deleted`, { service });
    if (countOf(reply?.["matches"]) === 0) return;
  }
}

/** An insertion of many returns in the ordinary way, whatever became of each. */
function requireStored(records: readonly VectorRecord[], reply: unknown): void {
  const failed = Object.entries(shapeOf(shapeOf(reply)?.["errors"]) ?? {});
  const [first] = failed;
  if (first === undefined) return;
  const ids = failed.slice(0, 10).map(([index]) => received(records[Number(index)]?.id));
  const said = redaction({ secrets: [], sent: () => records.map((it) => JSON.stringify(it.metadata) + (it.text ?? "")) })(String(shapeOf(first[1])?.["message"]));
  throw new MillraceError("invalid_input", `${service}: upsert: ${failed.length} of ${records.length} records were refused, ${ids.join(", ")}: ${said}`, { service });
}

/** Two rankings as one; the distances are those of the search by vector. */
function fused(limit: number, near: readonly VectorMatch[], worded: readonly Worded[]): VectorMatch[] {
  const known = new Map<string, Worded>([...worded, ...near].map((it) => [it.id, it]));
  const ranked = fuseRanks([near.map(({ id }) => id), worded.map(({ id }) => id)]);
  return ranked.slice(0, limit).flatMap(({ id, score }) => {
    const it = known.get(id);
    return it === undefined ? [] : [{ ...it, score }];
  });
}

function slices<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / objectsPerRequest) }, (_, at) => items.slice(at * objectsPerRequest, (at + 1) * objectsPerRequest));
}
