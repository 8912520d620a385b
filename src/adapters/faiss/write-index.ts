/**
 * An index as the bytes of a file.
 *
 * @module
 */
import { chunkBytes } from "./byte-source.ts";
import type { Collection, Entry } from "./collection.ts";
import { kindsOfIndex, marked, metricNumbers, recordsVersion, unmarked } from "./file-layout.ts";
import type { HnswGraph } from "./hnsw-graph.ts";
import type { VectorRows } from "./rows.ts";

/** The key of a row without a record: what FAISS itself answers where it has found nothing. */
const noKey = -1n;

/**
 * An `IndexIDMap2` over the index of the engine, if it has one, or an `IndexFlat`; then the records. Rows of an engine's index keep
 * their places, those without a record included; of a flat index they are left out. The collection must not change meanwhile.
 */
export function* fileBytes({ rows, entries, index }: Collection): Generator<Uint8Array> {
  const numbers = [...entries.keys()].filter((row) => index !== undefined || entries[row] !== undefined);
  yield* header(kindsOfIndex.idMap2, rows, numbers.length, marked);
  yield* index === undefined ? flatBytes(rows, numbers) : index();
  yield u64(numbers.length);
  yield bytesOf(BigInt64Array.from(numbers, (row) => entries[row]?.key ?? noKey));
  yield* recordBytes(rows, numbers.map((row) => entries[row]));
}

/** An `IndexHNSWFlat` of the rows that are in a graph, which is all of them or none. */
export function* hnswBytes(rows: VectorRows, graph: HnswGraph): Generator<Uint8Array> {
  yield* header(kindsOfIndex.hnswFlat, rows, graph.count);
  yield* graphBytes(graph);
  yield* flatBytes(rows, Array.from({ length: graph.count }, (_, row) => row));
}

function* flatBytes(rows: VectorRows, numbers: readonly number[]): Generator<Uint8Array> {
  yield* header(rows.metric === "l2" ? kindsOfIndex.flatL2 : kindsOfIndex.flatDot, rows, numbers.length);
  yield u64(numbers.length * rows.dimensions);
  const perChunk = Math.max(1, Math.floor(chunkBytes / (4 * rows.dimensions)));
  for (let first = 0; first < numbers.length; first += perChunk) {
    const some = numbers.slice(first, first + perChunk);
    const chunk = new Float32Array(some.length * rows.dimensions);
    for (const [i, row] of some.entries()) chunk.set(rows.at(row), i * rows.dimensions);
    yield bytesOf(chunk);
  }
}

function* header(kind: string, { dimensions, metric }: VectorRows, count: number, mark: bigint = unmarked): Generator<Uint8Array> {
  yield new TextEncoder().encode(kind);
  const fields = new DataView(new ArrayBuffer(33));
  fields.setInt32(0, dimensions, true);
  fields.setBigInt64(4, BigInt(count), true);
  fields.setBigInt64(12, mark, true);
  fields.setBigInt64(20, unmarked, true);
  fields.setUint8(28, 1); // trained
  fields.setInt32(29, metricNumbers[metric], true);
  yield bytesOf(fields);
}

function* graphBytes(graph: HnswGraph): Generator<Uint8Array> {
  const { probabilities, cumulative, levels, offsets, neighbors, count } = graph;
  const used = count === 0 ? 0 : (offsets[count] ?? 0);
  for (const array of [probabilities, cumulative, levels.subarray(0, count)]) {
    yield u64(array.length);
    yield bytesOf(array);
  }
  yield u64(count + 1);
  yield bytesOf(BigUint64Array.from(offsets.subarray(0, count + 1), BigInt));
  yield u64(used);
  yield bytesOf(neighbors.subarray(0, used));
  yield bytesOf(Int32Array.of(graph.entry, graph.maxLevel, graph.efConstruction, graph.efSearch, 1)); // 1: a field that is not used any more
}

/** Version, what the vectors mean, then each record of the rows in their order as its length and JSON; 0 where there is none. */
function* recordBytes({ metric }: VectorRows, entries: readonly (Entry | undefined)[]): Generator<Uint8Array> {
  yield bytesOf(Uint32Array.of(recordsVersion));
  yield* sized({ metric });
  for (const entry of entries) {
    if (entry === undefined) yield bytesOf(Uint32Array.of(0));
    else yield* sized([entry.id, entry.metadata, ...(entry.text === undefined ? [] : [entry.text])]);
  }
}

function* sized(value: unknown): Generator<Uint8Array> {
  const json = new TextEncoder().encode(JSON.stringify(value));
  yield bytesOf(Uint32Array.of(json.length));
  yield json;
}

function u64(value: number): Uint8Array {
  return bytesOf(BigUint64Array.of(BigInt(value)));
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
