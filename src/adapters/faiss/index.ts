/**
 * Vectors in the process, in FAISS's own files: every one looked at, or by an HNSW graph.
 *
 * Kind: vector store. Nothing to install for the engines `exact` and `hnsw`; `usearch` 2 and `faiss-node` 0.5 (optional, loaded at
 * first use) for those of their names.
 * Source: https://github.com/facebookresearch/faiss (files of 1.15), https://github.com/unum-cloud/usearch
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { checkIds, checkQuery, checkRecords, checkSelection } from "../../kinds/vector-checks.ts";
import { checkFilter } from "../../kinds/vector-filter.ts";
import type { VectorContext, VectorMetric, VectorStore } from "../../kinds/vector-store.ts";
import { heard } from "../../wire/heard.ts";
import { lazyClient } from "../../wire/sdk.ts";
import { type Collection, collectionOf, plain } from "./collection.ts";
import { type EngineMaker, hnswEngine, usearchEngine } from "./engines.ts";
import { faissEngine, loadFaissNode } from "./faiss-node.ts";
import type { Stamp } from "./file-stamp.ts";
import type { HnswOptions } from "./hnsw-graph.ts";
import { loadFile } from "./load-file.ts";
import { vectorRows } from "./rows.ts";
import { saveFile } from "./save-file.ts";
import { fileBytes } from "./write-index.ts";

const service = "faiss";

/** As FAISS has it for the header of an index; a row is then 4 MiB. */
const maxDimensions = 1_048_576;

/** What an engine needs. */
const packages: Readonly<Record<NonNullable<FaissOptions["engine"]>, string>> = { exact: "", hnsw: "", usearch: "usearch@^2", faiss: "faiss-node@^0.5" };

/** Of vectors in the process. */
export interface FaissOptions {
  /** The file, as `faiss.write_index` makes it and `faiss.read_index` takes it. @default none: all is gone with the process */
  readonly path?: string;
  /** Numbers in each vector. */
  readonly dimensions: number;
  /** To FAISS, `cosine` is the inner product of vectors of length 1: they are kept so. @default "cosine" */
  readonly metric?: VectorMetric;
  /**
   * `exact` looks at every vector; the others keep a graph, find most of the nearest, and take longer to add than to ask. `hnsw` and
   * `faiss` (FAISS itself, by the package `faiss-node`) keep it in the file; that of `usearch` is built when the file is opened. Both
   * packages hold the vectors once more. @default "exact"
   */
  readonly engine?: "exact" | "hnsw" | "usearch" | "faiss";
  /** How a graph is built and searched. */
  readonly hnsw?: HnswOptions;
}

/** A vector store that can be written to its file. */
export interface FaissStore extends VectorStore {
  /** Writes the file, if anything has changed. Reads go on meanwhile, writes wait. Throws: `missing_config` without a `path`. */
  save(context?: VectorContext): Promise<void>;
}

/**
 * Keeps vectors in the process and finds the nearest; a file of FAISS is opened at first use and written by `save()` and `close()`.
 *
 * An index made in Python opens here (`IndexFlatL2`, `IndexFlatIP`, `IndexHNSWFlat`, each also within `IndexIDMap`): its numbers are
 * the ids. A file written here opens in Python; an id that is a number up to 2^53 is that number there, another gets one above. Texts
 * and metadata stand behind the index, where FAISS does not look; they are gone once FAISS has written the file anew.
 *
 * Filtered queries look at every vector that the filter lets through, with every engine. Adding to a graph, and looking at very many
 * vectors, keep the thread busy. One process at a time may write a file; texts are kept and not searched.
 *
 * Throws: as every vector store; `conflict` when the file holds other vectors than the options say, or was changed by somebody else
 *         before it was saved; `bad_response` for a damaged file, `invalid_input` for one of another kind of index; `too_large` when
 *         the vectors would take more than 4 GiB.
 * Closes: saves what has changed, and forgets it.
 *
 * @example
 * await using store = faiss({ dimensions: 2, engine: "hnsw" });
 * await store.upsert([{ id: "a", vector: Float32Array.of(1, 0), text: "east" }, { id: "b", vector: Float32Array.of(0, 1), text: "north" }]);
 * const [nearest] = await store.query({ vector: Float32Array.of(0.9, 0.1), limit: 1 });
 * console.log(nearest?.text); // east
 */
export function faiss(options: FaissOptions): FaissStore {
  const { path, metric = "cosine", engine = "exact" } = options;
  if (metric !== "cosine" && metric !== "dot" && metric !== "l2") throw invalidOption(service, "metric", "cosine, dot or l2", metric);
  if (!Object.hasOwn(packages, engine)) throw invalidOption(service, "engine", "exact, hnsw, usearch or faiss", engine);
  if (path !== undefined && (typeof path !== "string" || path === "" || path.includes("\0"))) throw invalidOption(service, "path", "the path of a file", path);
  const dimensions = wholeNumber(service, "dimensions", options.dimensions, 1, maxDimensions);
  const graph = checkedHnsw(options.hnsw);
  const shape = { service, dimensions, metric };
  const lacks: VectorStore["lacks"] = { hybrid: "texts are kept, and not searched" };
  let collection: Collection | undefined;
  /** The file as it was read or written last, and what had been changed then. */
  let stamp: Stamp | undefined;
  let savedVersion = 0;
  let closing: Promise<void> | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  const opened = lazyClient<Collection>({
    service,
    install: packages[engine],
    async open() {
      const makeEngine = await engineMaker(engine, graph);
      const file = path === undefined ? undefined : await loadFile(path, shape);
      stamp = file?.stamp;
      collection = collectionOf(file ?? { rows: vectorRows(service, dimensions, metric), entries: [] }, makeEngine);
      return collection;
    },
  });
  const ready = (): void => {
    if (closing !== undefined) throw new MillraceError("closed", `${service}: the store is closed`, { service });
  };
  const read = (signal: AbortSignal | undefined): Promise<Collection> => {
    ready();
    return opened.get(signal);
  };
  /** Changes and savings one after the other, in the order of the calls: a file is of one moment, and closing comes last. */
  const inTurn = (signal: AbortSignal | undefined, work: (collection: Collection) => Promise<void> | void): Promise<void> => {
    ready();
    const done = turn.then(async () => work(await opened.get(signal)));
    turn = done.catch(() => {});
    return heard(done, signal);
  };
  const write = async (from: Collection, signal?: AbortSignal): Promise<void> => {
    if (path === undefined || (stamp !== undefined && from.version === savedVersion)) return;
    stamp = await saveFile(service, path, fileBytes(from), stamp, signal);
    savedVersion = from.version;
  };
  const close = (): Promise<void> => {
    closing ??= turn.then(async () => {
      if (collection !== undefined && collection.version !== savedVersion) await write(collection);
      collection = undefined;
      await opened.close(); // which forgets it too
    });
    return closing;
  };

  return {
    service,
    dimensions,
    metric,
    lacks,
    async setup({ signal } = {}) {
      await read(signal);
    },
    async upsert(records, { signal } = {}) {
      const checked = checkRecords(shape, records);
      await inTurn(signal, (it) => it.put(checked));
    },
    async query(query, { signal } = {}) {
      checkQuery(shape, query, lacks);
      return (await read(signal)).nearest(query);
    },
    async get(ids, { signal } = {}) {
      checkIds(service, ids);
      const held = await read(signal);
      return [...new Set(ids)].flatMap((id) => held.get(id) ?? []).map(plain);
    },
    async delete(selection, { signal } = {}) {
      checkSelection(service, selection);
      await inTurn(signal, (it) => it.remove("ids" in selection ? selection.ids : it.holding(selection.filter).map(({ id }) => id)));
    },
    async count(filter, { signal } = {}) {
      if (filter !== undefined) checkFilter(`${service}: count`, filter);
      const held = await read(signal);
      return filter === undefined ? held.size : held.holding(filter).length;
    },
    async replace(filter, records, { signal } = {}) {
      checkFilter(`${service}: replace`, filter);
      const checked = checkRecords(shape, records);
      const after = new Set(checked.map(({ id }) => id));
      await inTurn(signal, (it) => {
        const before = it.holding(filter).map(({ id }) => id);
        it.put(checked); // first: it may refuse, and then nothing has gone
        it.remove(before.filter((id) => !after.has(id)));
      });
    },
    async save({ signal } = {}) {
      if (path === undefined) throw new MillraceError("missing_config", `${service}: save needs the option path`, { service });
      await inTurn(signal, (it) => write(it, signal));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkedHnsw({ m = 32, efConstruction = 100, efSearch = 64 }: HnswOptions = {}): Required<HnswOptions> {
  return {
    m: wholeNumber(service, "hnsw.m", m, 2, 256),
    efConstruction: wholeNumber(service, "hnsw.efConstruction", efConstruction, 1, 10_000),
    efSearch: wholeNumber(service, "hnsw.efSearch", efSearch, 1, 10_000),
  };
}

async function engineMaker(engine: NonNullable<FaissOptions["engine"]>, options: Required<HnswOptions>): Promise<EngineMaker | undefined> {
  if (engine === "exact") return undefined;
  if (engine === "hnsw") return hnswEngine(options);
  if (engine === "faiss") return faissEngine(await loadFaissNode(), options);
  return usearchEngine(await import("usearch"), options);
}
