/**
 * Vectors in Chroma, HTTP API v2.
 *
 * Kind: vector store. Client: `chromadb` 3 (optional peer, loaded at first use), or a ready client.
 * Source: https://docs.trychroma.com/reference/js/collection, https://docs.trychroma.com/cloud/quotas-limits
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import { checkIds, checkQuery, checkRecords, checkSelection, type VectorShape } from "../../kinds/vector-checks.ts";
import { checkFilter } from "../../kinds/vector-filter.ts";
import type { VectorEntry, VectorMetric, VectorRecord, VectorStore } from "../../kinds/vector-store.ts";
import { compact, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { type ChromaAddressOptions, toAddress } from "./address.ts";
import { type Ask, chromaCalls, type ChromaClient, type ChromaCollection } from "./calls.ts";
import { always, type ChromaWhere, toWhere } from "./filter.ts";
import { toEntries, toIds, toKeys, toMatches, toRows } from "./rows.ts";

export type { ChromaAddressOptions } from "./address.ts";
export type { ChromaClient, ChromaCollection, ChromaEmbeddingFunction } from "./calls.ts";

const service = "chroma";

/** Records of one request: what Chroma Cloud writes and reads at once. A server of one's own takes some thousands. */
const recordsPerRequest = 300;
/** Where the collection keeps its dimensions: the server knows them from the first record on, and its client does not tell. */
const dimensionsKey = "millrace:dimensions";
/** The server's words for metrics. */
const spaces = { cosine: "cosine", dot: "ip", l2: "l2" } as const;

const lacks = { hybrid: "Chroma's server ranks by vectors alone; words only filter", replace: "Chroma has no transactions" };

/** Of vectors in one collection. */
export interface ChromaOptions extends ChromaAddressOptions {
  /** 3 to 512 letters, digits, `.`, `_` and `-`, with a letter or digit at both ends. */
  readonly collection: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** @default "cosine" */
  readonly metric?: VectorMetric;
  /** How the index is built and searched. @default maxNeighbors 16, efConstruction 100, efSearch 100, as the server has it */
  readonly hnsw?: { readonly maxNeighbors?: number; readonly efConstruction?: number; readonly efSearch?: number };
  /** Milliseconds for a request. @default 30000 */
  readonly timeoutMs?: number;
  /** A ready client, instead of what says where and as whom. It is not closed, and its requests cannot be interrupted. */
  readonly client?: ChromaClient;
  readonly clock?: Clock;
}

/**
 * Stores vectors in a collection of Chroma and finds the nearest by its HNSW index, so answers are approximate.
 *
 * `setup()` makes the collection; nothing else does. Writes are read first, to take away what the new record does not have, and go
 * in steps of 300 records, so a write that fails half-way has stored whole steps. Two processes that write one id at the same moment may
 * leave fields of both. `count` with a filter reads the ids. `not` over a range holds for all records that others have written: they
 * lack the list of numeric fields that it looks at. Chroma Cloud gives 300 matches at most.
 *
 * Throws: as every vector store; `conflict` when the collection holds other vectors than the options say; `timeout`; by what the
 *         server answered `unauthorized`, `rate_limited`, `unavailable`.
 * Closes: nothing of a ready client; calls in progress reject with `closed`.
 *
 * @example
 * await using store = chroma({ collection: "notes", dimensions: 2 });
 * await store.setup();
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(1, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function chroma(options: ChromaOptions): VectorStore {
  if (typeof options !== "object" || options === null) throw invalidOption(service, "options", "an object", options);
  const { collection, metric = "cosine", hnsw = {}, clock = systemClock } = options;
  if (typeof collection !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]$/.test(collection)) {
    throw invalidOption(service, "collection", "3 to 512 letters, digits, '.', '_' and '-', with a letter or digit at both ends", collection);
  }
  if (!Object.hasOwn(spaces, metric)) throw invalidOption(service, "metric", "cosine, dot or l2", metric);
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1);
  const timeoutMs = wholeNumber(service, "timeoutMs", options.timeoutMs ?? 30_000, 1);
  for (const name of ["maxNeighbors", "efConstruction", "efSearch"] as const) if (hnsw[name] !== undefined) wholeNumber(service, `hnsw.${name}`, hnsw[name], 1);
  const calls = chromaCalls(service, options.client ?? toAddress(service, options), timeoutMs, clock);
  const shape: VectorShape = { service, dimensions, metric };
  /** The collection's id, once it was looked at. */
  let known: string | undefined;
  /** The last write. Two writes of one id at a time would each miss the other's fields. */
  let lastWrite: Promise<unknown> = Promise.resolve();

  /** Looks at a collection once: does it hold what the options say? */
  const fit = async (ask: Ask, { id, configuration, metadata }: ChromaCollection): Promise<string> => {
    const space = spaceOf(configuration);
    let size = shapeOf(metadata)?.[dimensionsKey];
    if (typeof size !== "number") {
      const some = shapeOf(await ask((client) => client.collection(id).get({ limit: 1, include: ["embeddings"] })));
      const [first] = itemsOf(some?.["embeddings"]);
      size = Array.isArray(first) ? first.length : dimensions;
    }
    if (space !== spaces[metric] || size !== dimensions) {
      const message = `${service}: ${collection} holds vectors of ${String(size)} dimensions by ${String(space)}, the options say ${dimensions} by ${spaces[metric]}`;
      throw new MillraceError("conflict", message, { service, scope: "process" });
    }
    known = id;
    return id;
  };
  const look = async (ask: Ask): Promise<string> => {
    if (known !== undefined) return known;
    try {
      return await fit(ask, await ask((client) => client.getCollection({ name: collection, embeddingFunction: never })));
    } catch (error) {
      throw isMillraceError(error, "not_found") ? missing(error) : error;
    }
  };
  const missing = (cause: MillraceError): MillraceError =>
    new MillraceError("not_found", `${service}: there is no collection ${collection}; setup() makes it`, { service, scope: "dependency", cause: cause.cause });
  /** A request about the collection. One that was deleted is looked for again by the next call: its successor has another id. */
  type Within = <T>(request: (collection: ChromaCollection) => Promise<T>) => Promise<T>;
  const call = <T>(what: string, work: (within: Within, signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined, sent?: () => readonly string[]): Promise<T> =>
    calls.run(what, async (ask, stopped) => {
      const id = await look(ask);
      try {
        return await work((request) => ask((client) => request(client.collection(id))), stopped);
      } catch (error) {
        if (!isMillraceError(error, "not_found")) throw error;
        known = undefined;
        throw missing(error);
      }
    }, signal, sent);
  /** Nothing to do, but a closed store and an aborted call are told so all the same. */
  const nothing = (signal: AbortSignal | undefined): Promise<void> => calls.run("call", async () => {}, signal);

  const write = (within: Within, records: readonly VectorRecord[], signal: AbortSignal): Promise<void> => {
    const turn = lastWrite.then(async () => {
      for (const some of slices(records)) {
        signal.throwIfAborted();
        const before = await within(async (it) => toKeys(await it.get({ ids: some.map(({ id }) => id), include: ["metadatas"] })));
        await within((it) => it.upsert(toRows(some, before)));
      }
    });
    lastWrite = turn.catch(() => {}); // who waits for it hears it
    return turn;
  };
  const close = (): Promise<void> => calls.close();

  return {
    service,
    dimensions,
    metric,
    lacks,
    async setup({ signal } = {}) {
      await calls.run("setup", async (ask) => {
        const space = spaces[metric];
        const made = await ask((client) =>
          client.getOrCreateCollection({ name: collection, configuration: { hnsw: { ...hnsw, space } }, metadata: { [dimensionsKey]: dimensions }, embeddingFunction: null }),
        );
        await fit(ask, made);
      }, signal);
    },
    async upsert(records, { signal } = {}) {
      const kept = checkRecords(shape, records);
      if (kept.length === 0) return nothing(signal);
      await call("upsert", (within, stopped) => write(within, kept, stopped), signal, () => kept.flatMap(({ id, text = "", metadata }) => [id, text, JSON.stringify(metadata)]));
    },
    async query(query, { signal } = {}) {
      const { vector, limit, filter, vectors = false } = checkQuery(shape, query, lacks);
      const where = filter === undefined || toWhere(filter);
      return call("query", async (within) => {
        if (where === false) return [];
        const answer = await within((it) =>
          it.query(compact({ queryEmbeddings: [[...vector]], nResults: limit, where: condition(where), include: ["metadatas", "documents", "distances", ...(vectors ? (["embeddings"] as const) : [])] })),
        );
        return toMatches(metric, answer);
      }, signal, () => [JSON.stringify(filter ?? "")]);
    },
    async get(ids, { signal } = {}) {
      checkIds(service, ids);
      const entries: VectorEntry[] = [];
      if (ids.length === 0) await nothing(signal);
      else {
        await call("get", async (within) => {
          for (const some of slices([...new Set(ids)])) entries.push(...toEntries(await within((it) => it.get({ ids: some, include: ["documents", "metadatas"] }))));
        }, signal, () => ids);
      }
      return entries;
    },
    async delete(selection, { signal } = {}) {
      checkSelection(service, selection);
      await call("delete", async (within) => {
        if ("ids" in selection) {
          for (const ids of slices([...new Set(selection.ids)])) await within((it) => it.delete({ ids }));
          return;
        }
        const where = toWhere(selection.filter);
        if (where !== false) await within((it) => it.delete({ where: where === true ? always : where }));
      }, signal, () => [JSON.stringify(selection)]);
    },
    async count(filter, { signal } = {}) {
      if (filter !== undefined) checkFilter(`${service}: count`, filter);
      const where = filter === undefined || toWhere(filter);
      return call("count", async (within) => {
        if (where === false) return 0;
        if (where === true) return toCount(await within((it) => it.count()));
        let count = 0;
        for (;;) {
          const offset = count;
          const found = toIds(await within((it) => it.get({ where, include: [], limit: recordsPerRequest, offset }))).length;
          count += found;
          if (found < recordsPerRequest) return count;
        }
      }, signal, () => [JSON.stringify(filter ?? "")]);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Given to the client with each collection: without one it would load the model that the collection was made with. */
const never = {
  generate: async (): Promise<number[][]> => {
    throw new MillraceError("invalid_input", `${service}: texts are embedded by an embedder, never by the collection`);
  },
};

/** The metric of a collection: a server of one's own indexes by HNSW, Chroma Cloud by SPANN. */
function spaceOf(configuration: unknown): unknown {
  const all = shapeOf(configuration);
  return shapeOf(all?.["hnsw"])?.["space"] ?? shapeOf(all?.["spann"])?.["space"];
}

function condition(where: ChromaWhere | true): ChromaWhere | undefined {
  return where === true ? undefined : where;
}

function toCount(answer: unknown): number {
  if (typeof answer === "number" && Number.isSafeInteger(answer) && answer >= 0) return answer;
  throw new MillraceError("bad_response", `${service}: count answered no number`, { service });
}

function slices<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / recordsPerRequest) }, (_, at) => items.slice(at * recordsPerRequest, (at + 1) * recordsPerRequest));
}
