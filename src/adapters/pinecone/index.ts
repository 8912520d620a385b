/**
 * Vectors in a namespace of a Pinecone index, API version 2026-07.
 *
 * Kind: vector store. Client: `@pinecone-database/pinecone` 9 (optional peer, loaded at first use).
 * Source: https://docs.pinecone.io/reference/api, and for limits https://docs.pinecone.io/reference/api/database-limits/operation-limits
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { compareIds } from "../../kinds/rank-fusion.ts";
import { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "../../kinds/vector-checks.ts";
import { checkFilter } from "../../kinds/vector-filter.ts";
import type { VectorMatch, VectorMetric, VectorStore } from "../../kinds/vector-store.ts";
import { shapeOf } from "../../wire/json-shape.ts";
import { type Ask, storeCalls } from "../../wire/store-calls.ts";
import { type PineconeClient, type PineconeConnectionOptions, type PineconeIndex, pineconeProtocol } from "./client.ts";
import { toFilter } from "./filter.ts";
import { type IndexShape, lookUp, type Serverless, setUp } from "./lookup.ts";
import { addressesOf, batchesOf, deletionsOf, matchesIn, recordId, toEntry, toMatch, toRecord } from "./records.ts";

const service = "pinecone";

/** Dimensions of a dense vector at most. */
const maxDimensions = 20_000;

const lacks: VectorStore["lacks"] = {
  hybrid: "an index of dense vectors keeps no words: those need sparse vectors of a model, in an index of their own",
  replace: "the service has no step that deletes and stores",
  countFilter: "the service counts the records of a namespace, not those of a filter",
};

/** Of vectors in one namespace of an index. */
export interface PineconeOptions extends PineconeConnectionOptions {
  /** The index: up to 45 small letters, digits and hyphens. */
  readonly index: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
  /** Whose records: nobody sees those of another. Letters, digits, `_`, `-` and `.`. @default the index's default one */
  readonly namespace?: string;
  /** The index's own address, where it is known: saves looking it up, and with that the look at the metric. */
  readonly host?: string;
  /** Where `setup` makes a serverless index if there is none; it costs. @default it makes none */
  readonly create?: Serverless;
  /** Milliseconds for one request, from sending to the last byte. @default 30_000 */
  readonly timeoutMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Stores vectors in a namespace of a Pinecone index and finds the nearest.
 *
 * The service is eventually consistent: what was written is seen by reads a little later, and counted later still. `setup()` looks
 * whether the index will do, makes it where `create` says, and waits until it is ready. More records than fit into one request go in
 * several, one after the other: a failure leaves those before it stored. Text and metadata of a record take 40 KiB at most.
 *
 * Throws: as every vector store; `conflict` when the index holds other vectors than the options say; `too_large` before any I/O for
 *         more text and metadata than the service keeps; `unauthorized`, `rate_limited`, `unavailable`, `timeout`. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using store = pinecone({ index: "notes", dimensions: 1_536, namespace: "ours" });
 * await store.setup();
 * const found = await store.query({ vector: new Float32Array(1_536).fill(0.1), limit: 3, filter: { eq: ["lang", "de"] } });
 * for (const match of found) console.log(match.id, match.score);
 */
export function pinecone(options: PineconeOptions): VectorStore {
  if (typeof options !== "object" || options === null) throw invalidOption(service, "options", "an object", options);
  const { index, metric = "cosine", namespace, host, create, timeoutMs = 30_000, clock = systemClock } = options;
  if (typeof index !== "string" || !/^[a-z0-9](?:[a-z0-9-]{0,43}[a-z0-9])?$/.test(index)) {
    throw invalidOption(service, "index", "up to 45 small letters, digits and hyphens", index);
  }
  if (metric !== "cosine" && metric !== "dot" && metric !== "l2") throw invalidOption(service, "metric", "cosine, dot or l2", metric);
  if (namespace !== undefined && (typeof namespace !== "string" || !/^[\w.-]{1,512}$/.test(namespace))) {
    throw invalidOption(service, "namespace", "1 to 512 letters, digits, '_', '-' and '.'", namespace);
  }
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1, maxDimensions);
  const calls = storeCalls(pineconeProtocol(options), { timeoutMs, clock, fetch: options.fetch });
  const shape: VectorShape = { service, dimensions, metric };
  const wanted: IndexShape = { index, dimensions, metric, host };
  let known: string | undefined;

  /** The index's address, once it is known that it holds such vectors. Asked once. */
  const look = async (ask: Ask<PineconeClient>): Promise<string> => (known ??= await lookUp(ask, wanted));
  const at = async (ask: Ask<PineconeClient>): Promise<(what: string, send: (index: PineconeIndex) => PromiseLike<unknown>, sent?: () => readonly string[]) => Promise<unknown>> => {
    const address = await look(ask);
    const target = { host: address, ...(namespace === undefined ? {} : { namespace }) };
    return (what, send, sent = () => []) => ask({ what: `${what} of ${received(index)}`, send: (client) => send(client.index(target)), sent });
  };

  return {
    service,
    dimensions,
    metric,
    lacks,
    setup: (context) =>
      calls.run(async (ask, signal) => {
        known = await setUp(ask, wanted, create, clock, signal);
      }, context),
    upsert: (records, context) =>
      calls.run(async (ask) => {
        const kept = await Promise.all(checkRecords(shape, records).map(toRecord));
        if (kept.length === 0) return;
        const request = await at(ask);
        for (const batch of batchesOf(kept)) {
          await request("upsert", (it) => it.upsert({ records: batch }), () => batch.map(({ metadata }) => JSON.stringify(metadata)));
        }
      }, context),
    query: (query, context) =>
      calls.run(async (ask) => {
        const { vector, limit, filter, vectors = false } = checkQuery(shape, query, lacks);
        const request = await at(ask);
        const condition = filter === undefined ? true : toFilter(filter);
        if (condition === false) return [];
        const asked = { vector: Array.from(vector), topK: limit, includeMetadata: true, includeValues: vectors, ...(condition === true ? {} : { filter: condition }) };
        const answer = await request("query", (it) => it.query(asked), () => [JSON.stringify(condition)]);
        return sorted(matchesIn(answer).map((match) => toMatch(metric, match)));
      }, context),
    get: (ids, context) =>
      calls.run(async (ask) => {
        checkIds(service, ids);
        const own = await Promise.all([...new Set(ids)].map(recordId));
        if (own.length === 0) return [];
        const request = await at(ask);
        const entries = [];
        for (const group of addressesOf(own)) {
          const answer = await request("get", (it) => it.fetch({ ids: group }), () => group);
          entries.push(...Object.values(shapeOf(shapeOf(answer)?.["records"]) ?? {}).map(toEntry));
        }
        return entries;
      }, context),
    delete: (selection, context) =>
      calls.run(async (ask) => {
        checkSelection(service, selection);
        const request = await at(ask);
        const remove = async (send: (index: PineconeIndex) => PromiseLike<unknown>, sent: () => readonly string[]): Promise<void> => {
          await request("delete", send, sent).catch((error: unknown) => {
            if (!isMillraceError(error, "not_found")) throw error; // a namespace comes with its first record: nothing is there
          });
        };
        if ("ids" in selection) {
          const own = await Promise.all([...new Set(selection.ids)].map(recordId));
          for (const ids of deletionsOf(own)) await remove((it) => it.deleteMany({ ids }), () => ids);
          return;
        }
        const filter = toFilter(selection.filter);
        if (filter === true) await remove((it) => it.deleteAll(), () => []);
        else if (filter !== false) await remove((it) => it.deleteMany({ filter }), () => [JSON.stringify(filter)]);
      }, context),
    count: (filter, context) =>
      calls.run(async (ask) => {
        if (filter !== undefined) {
          checkFilter(`${service}: count`, filter);
          throw new MillraceError("invalid_input", `${service}: count with a filter: ${lacks.countFilter ?? ""}`);
        }
        const request = await at(ask);
        const spaces = shapeOf(shapeOf(await request("count", (it) => it.describeIndexStats()))?.["namespaces"]) ?? {};
        // the default namespace has two names, by version
        const own = namespace === undefined ? (spaces["__default__"] ?? spaces[""]) : Object.hasOwn(spaces, namespace) ? spaces[namespace] : undefined;
        const count = shapeOf(own)?.["recordCount"] ?? 0;
        if (typeof count === "number") return count;
        throw new MillraceError("bad_response", `${service}: answered a count of ${received(count)}`, { service });
      }, context),
    close: calls.close,
    [Symbol.asyncDispose]: calls.close,
  };
}

/** Closest first; equal ones in the order of their ids. */
function sorted(matches: VectorMatch[]): VectorMatch[] {
  return matches.sort((a, b) => (a.distance ?? 0) - (b.distance ?? 0) || compareIds(a.id, b.id));
}
