/**
 * Vectors in a collection of Qdrant (1.10 and later, for its query API).
 *
 * Kind: vector store. Client: `@qdrant/js-client-rest` 1.19 (optional peer, loaded at first use), or a ready one.
 * Source: https://api.qdrant.tech, https://qdrant.tech/documentation/concepts/
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { candidates, compareIds, fuseRanks } from "../../kinds/rank-fusion.ts";
import { checkIds, checkQuery, checkRecords, checkSelection } from "../../kinds/vector-checks.ts";
import { checkFilter } from "../../kinds/vector-filter.ts";
import type { VectorMatch, VectorMetric, VectorQuery, VectorStore } from "../../kinds/vector-store.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { type Ask, storeCalls } from "../../wire/store-calls.ts";
import { type QdrantConnectionOptions, qdrantProtocol, type QdrantSend } from "./client.ts";
import { checkCollection, type CollectionShape, distances, toCollection } from "./collection.ts";
import { keyOf, toFilter } from "./filter.ts";
import { batchesOf, pointId, toEntry, toMatch, toPoint, toVector } from "./points.ts";
import { askedVector } from "./words.ts";

const service = "qdrant";

/** Dimensions of a vector at most (server, `VectorParams.size`). */
const maxDimensions = 65_535;
/** Ids of one request. */
const maxIds = 1_000;

const indexTypes = { string: "keyword", number: "float", boolean: "bool" } as const;

/** Of vectors in one collection. */
export interface QdrantOptions extends QdrantConnectionOptions {
  /** Up to 255 letters, digits, `_`, `-` and `.`. */
  readonly collection: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
  /** Are texts stored as words too, for hybrid queries? `false` for a collection that was made without. @default true */
  readonly hybrid?: boolean;
  /** Fields of the metadata that filters often ask for, and what they hold: `setup` makes an index of each. @default what `remember` and `namespaced` ask for */
  readonly filterFields?: Readonly<Record<string, "string" | "number" | "boolean">>;
  /** Milliseconds for one request, from sending to the last byte. @default 30_000 */
  readonly timeoutMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Stores vectors in a collection of Qdrant and finds the nearest.
 *
 * `setup()` makes the collection and the indexes of `filterFields`; nothing else does. Writes are waited for until reads see them. A
 * hybrid query ranks by any of the words of its text (BM25) and fuses that with the ranks of the vectors. More records than fit
 * into one request go in several, one after the other: a failure leaves those before it stored. Any text may be an id: points get the UUID of it.
 *
 * Throws: as every vector store; `conflict` when the collection holds other vectors than the options say; `unauthorized`,
 *         `rate_limited`, `unavailable`, `timeout`; `bad_response` for what is no answer of Qdrant's. Never a retry. Of a
 *         `Retry-After` the client keeps the first digit alone, so `retryAfterMs` may be too short.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using store = qdrant({ collection: "notes", dimensions: 2 });
 * await store.setup();
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(1, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function qdrant(options: QdrantOptions): VectorStore {
  if (typeof options !== "object" || options === null) throw invalidOption(service, "options", "an object", options);
  const { collection, metric = "cosine", hybrid = true, timeoutMs = 30_000, clock = systemClock } = options;
  const { filterFields = { source: "string", sourceHash: "string", sourceKey: "number", chunk: "number", namespace: "string" } } = options;
  if (typeof collection !== "string" || !/^[\w.-]{1,255}$/.test(collection) || /^\.+$/.test(collection)) {
    throw invalidOption(service, "collection", "1 to 255 letters, digits, '_', '-' and '.'", collection);
  }
  if (!Object.hasOwn(distances, metric)) throw invalidOption(service, "metric", "cosine, dot or l2", metric);
  if (typeof hybrid !== "boolean") throw invalidOption(service, "hybrid", "a boolean", hybrid);
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1, maxDimensions);
  for (const [field, type] of Object.entries(filterFields)) {
    if (!Object.hasOwn(indexTypes, type)) throw invalidOption(service, `filterFields.${field}`, "string, number or boolean", type);
  }
  const calls = storeCalls(qdrantProtocol(options), { timeoutMs, clock });
  const shape: CollectionShape = { service, dimensions, metric };
  const lacks: VectorStore["lacks"] = {
    ...(hybrid ? {} : { hybrid: "texts are not stored as words (hybrid: false)" }),
    replace: "the service applies one operation after the other, and readers see what is between them",
  };
  let isChecked = false;

  const result = async (ask: Ask<QdrantSend>, name: Parameters<QdrantSend>[0], what: string, request: object = {}, sent?: () => readonly string[]): Promise<unknown> => {
    const answer = await ask({
      what: `${what} of ${received(collection)}`,
      send: (send) => send(name, { collection_name: collection, ...request }),
      ...(sent === undefined ? {} : { sent }),
    });
    return fieldOf(fieldOf(answer, "data"), "result");
  };
  /** Is the collection there, and does it hold such vectors? Asked once. */
  const look = async (ask: Ask<QdrantSend>): Promise<void> => {
    if (isChecked) return;
    const info = await result(ask, "getCollection", "look").catch((error: unknown) => {
      if (!isMillraceError(error, "not_found")) throw error;
      const message = `${service}: there is no collection ${received(collection)}; setup() makes it`;
      throw new MillraceError("not_found", message, { service, status: 404, scope: "dependency", cause: error });
    });
    checkCollection(info, shape, hybrid, collection);
    isChecked = true;
  };
  const create = async (ask: Ask<QdrantSend>): Promise<void> => {
    await result(ask, "createCollection", "setup", toCollection(shape, hybrid)).catch((error: unknown) => {
      if (!isMillraceError(error, "conflict")) throw error; // somebody else was first
    });
  };
  const fused = async (ask: Ask<QdrantSend>, { vector, limit, filter, text = "", vectors = false }: VectorQuery): Promise<VectorMatch[]> => {
    const width = candidates(limit);
    const common = { limit: width, with_payload: true, with_vector: vectors, ...(filter === undefined ? {} : { filter: toFilter(filter) }) };
    const words = askedVector(text);
    const searches = [{ ...common, query: Array.from(vector) }, ...(words === undefined ? [] : [{ ...common, query: words, using: "words" }])];
    const [near, worded] = itemsOf(await result(ask, "queryBatchPoints", "query", { searches }, () => [text, JSON.stringify(filter ?? "")])).map((it) => itemsOf(shapeOf(it)?.["points"]));
    const matches = sorted((near ?? []).map((point) => toMatch(metric, point)));
    const byWords = (worded ?? []).map((point) => ({ ...toEntry(point), ...toVector(point), score: Number(shapeOf(point)?.["score"]) }));
    byWords.sort((a, b) => b.score - a.score || compareIds(a.id, b.id));
    const known = new Map<string, VectorMatch>([...byWords, ...matches].map((match) => [match.id, match]));
    return fuseRanks([matches.map(({ id }) => id), byWords.map(({ id }) => id)]).slice(0, limit).flatMap(({ id, score }) => {
      const match = known.get(id);
      return match === undefined ? [] : [{ ...match, score }];
    });
  };

  return {
    service,
    dimensions,
    metric,
    lacks,
    setup: (context) =>
      calls.run(async (ask) => {
        try {
          await look(ask);
        } catch (error) {
          if (!isMillraceError(error, "not_found")) throw error;
          await create(ask);
          await look(ask);
        }
        for (const [field, type] of Object.entries(filterFields)) {
          await result(ask, "createFieldIndex", "setup", { wait: true, field_name: keyOf(field), field_schema: indexTypes[type] });
        }
      }, context),
    upsert: (records, context) =>
      calls.run(async (ask) => {
        const points = await Promise.all(checkRecords(shape, records).map((record) => toPoint(record, hybrid)));
        if (points.length === 0) return;
        await look(ask);
        for (const batch of batchesOf(points)) {
          await result(ask, "upsertPoints", "upsert", { wait: true, points: batch }, () => batch.map(({ payload }) => JSON.stringify(payload)));
        }
      }, context),
    query: (query, context) =>
      calls.run(async (ask) => {
        const { vector, limit, filter, text, vectors = false } = checkQuery(shape, query, lacks);
        await look(ask);
        if (text !== undefined) return fused(ask, query);
        const request = { query: Array.from(vector), limit, with_payload: true, with_vector: vectors, ...(filter === undefined ? {} : { filter: toFilter(filter) }) };
        const found = await result(ask, "queryPoints", "query", request, () => [JSON.stringify(filter ?? "")]);
        return sorted(itemsOf(shapeOf(found)?.["points"]).map((point) => toMatch(metric, point)));
      }, context),
    get: (ids, context) =>
      calls.run(async (ask) => {
        checkIds(service, ids);
        const points = await Promise.all([...new Set(ids)].map(pointId));
        if (points.length === 0) return [];
        await look(ask);
        const entries = [];
        for (let at = 0; at < points.length; at += maxIds) {
          const found = await result(ask, "getPoints", "get", { ids: points.slice(at, at + maxIds), with_payload: true });
          entries.push(...itemsOf(found).map(toEntry));
        }
        return entries;
      }, context),
    delete: (selection, context) =>
      calls.run(async (ask) => {
        checkSelection(service, selection);
        await look(ask);
        if ("filter" in selection) {
          await result(ask, "deletePoints", "delete", { wait: true, filter: toFilter(selection.filter) }, () => [JSON.stringify(selection.filter)]);
          return;
        }
        const points = await Promise.all([...new Set(selection.ids)].map(pointId));
        for (let at = 0; at < points.length; at += maxIds) {
          await result(ask, "deletePoints", "delete", { wait: true, points: points.slice(at, at + maxIds) });
        }
      }, context),
    count: (filter, context) =>
      calls.run(async (ask) => {
        if (filter !== undefined) checkFilter(`${service}: count`, filter);
        await look(ask);
        const request = { exact: true, ...(filter === undefined ? {} : { filter: toFilter(filter) }) };
        const count = shapeOf(await result(ask, "countPoints", "count", request, () => [JSON.stringify(filter ?? "")]))?.["count"];
        if (typeof count === "number") return count;
        throw new MillraceError("bad_response", `${service}: answered a count of ${received(count)}`, { service });
      }, context),
    close: calls.close,
    [Symbol.asyncDispose]: calls.close,
  };
}

/** Closest first; equal ones in the order of their ids, of which the service knows nothing. */
function sorted(matches: VectorMatch[]): VectorMatch[] {
  return matches.sort((a, b) => (a.distance ?? 0) - (b.distance ?? 0) || compareIds(a.id, b.id));
}
