/**
 * The index of a file of FAISS: flat, HNSW over flat, and either with ids.
 *
 * @module
 */
import { MillraceError, received } from "../../core/errors.ts";
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { type ByteSource, chunkBytes, damaged } from "./byte-source.ts";
import { kindsOfIndex, marked, metricNumbers } from "./file-layout.ts";
import type { HnswGraph } from "./hnsw-graph.ts";
import { readGraph } from "./read-graph.ts";
import { int, ints, length, word64 } from "./words.ts";

/** What the beginning of an index says. */
export interface IndexHeader {
  readonly dimensions: number;
  readonly count: number;
  /** Cosine is the inner product to FAISS. */
  readonly metric: Exclude<VectorMetric, "cosine">;
  /** Are our records behind the index? */
  readonly isMarked: boolean;
}

/** An index without its vectors. */
export interface FaissIndex extends IndexHeader {
  /** The ids of an `IndexIDMap`; else rows are numbered from 0. */
  readonly keys?: BigInt64Array;
  readonly graph?: HnswGraph;
}

/**
 * Reads an index; `open` is told what comes and gives what takes each vector.
 *
 * Throws: `invalid_input` for other kinds of index, `bad_response` for what is no whole index.
 */
export async function readIndex(source: ByteSource, open: (header: IndexHeader) => (vector: Float32Array) => void): Promise<FaissIndex> {
  const kind = await kindOf(source);
  if (kind === kindsOfIndex.idMap || kind === kindsOfIndex.idMap2) {
    const header = await readHeader(source);
    const inner = await readInner(source, await kindOf(source), open);
    requireSame(source, header, inner);
    const keys = new BigInt64Array((await ints(source, await length(source, 8), 2)).buffer);
    if (keys.length !== header.count) throw damaged(source.who, `${keys.length} ids of ${header.count} vectors`);
    return { ...inner, isMarked: header.isMarked, keys };
  }
  return readInner(source, kind, open);
}

async function readInner(source: ByteSource, kind: string, open: (header: IndexHeader) => (vector: Float32Array) => void): Promise<FaissIndex> {
  const header = await readHeader(source);
  if (kind === kindsOfIndex.hnswFlat) {
    const graph = await readGraph(source, header.count);
    const inner = await kindOf(source);
    requireFlat(source, inner);
    const flat = await readHeader(source);
    requireSame(source, header, flat);
    await readVectors(source, header, open(header));
    return { ...header, graph };
  }
  requireFlat(source, kind);
  await readVectors(source, header, open(header));
  return header;
}

async function kindOf(source: ByteSource): Promise<string> {
  const letters = await source.take(4);
  return String.fromCharCode(letters.getUint8(0), letters.getUint8(1), letters.getUint8(2), letters.getUint8(3));
}

function requireFlat({ who }: ByteSource, kind: string): void {
  const { flat, flatDot, flatL2 } = kindsOfIndex;
  if (kind === flat || kind === flatDot || kind === flatL2) return;
  const kinds = Object.values(kindsOfIndex).join(" ");
  throw new MillraceError("invalid_input", `${who} must hold an index of ${kinds}, got ${received(kind)}`, { service: "faiss", scope: "process" });
}

async function readHeader(source: ByteSource): Promise<IndexHeader> {
  const dimensions = await int(source);
  const count = Number(await word64(source));
  const isMarked = (await word64(source)) === marked;
  await word64(source);
  const trained = await source.take(1);
  const number = await int(source);
  if (dimensions < 1 || dimensions > 2 ** 20 || !Number.isSafeInteger(count) || count < 0 || trained.getUint8(0) > 1) {
    throw damaged(source.who, `${count} vectors of ${dimensions} dimensions`);
  }
  const metric = number === metricNumbers.l2 ? "l2" : number === metricNumbers.dot ? "dot" : undefined;
  if (metric === undefined) {
    throw new MillraceError("invalid_input", `${source.who} must be of the inner product or L2, got FAISS's metric ${number}`, { service: "faiss", scope: "process" });
  }
  return { dimensions, count, metric, isMarked };
}

function requireSame({ who }: ByteSource, outer: IndexHeader, inner: IndexHeader): void {
  if (outer.count !== inner.count || outer.dimensions !== inner.dimensions) throw damaged(who, "its parts are of different sizes");
}

async function readVectors(source: ByteSource, { dimensions, count }: IndexHeader, take: (vector: Float32Array) => void): Promise<void> {
  const numbers = await length(source, 4);
  if (numbers !== count * dimensions) throw damaged(source.who, `${numbers} numbers of ${count} vectors of ${dimensions} dimensions`);
  const perChunk = Math.max(1, Math.floor(chunkBytes / (4 * dimensions)));
  for (let row = 0; row < count; row += perChunk) {
    const some = Math.min(perChunk, count - row);
    const floats = new Float32Array((await ints(source, some * dimensions)).buffer);
    for (let i = 0; i < some; i += 1) take(floats.subarray(i * dimensions, (i + 1) * dimensions));
  }
}
