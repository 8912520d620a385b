/**
 * Vectors row by row in one growing memory, where the kernels reach them.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { VectorMetric } from "../../kinds/vector-store.ts";
import { type Kernel, kernels, stepBytes } from "./kernel.ts";

/** Rows that one call of the kernel takes at most: their results and numbers stay in the processor's first cache. */
export const blockRows = 4_096;

const pageBytes = 65_536;
/** One page under the 4 GiB that an address of 32 bits reaches, so that the end of the last row is an address too. */
const maxPages = 65_535;

/** What is compared with rows: one of them, or the vector that was placed. */
export const placed = -1;

/** Vectors, each under a number from 0. */
export interface VectorRows {
  readonly dimensions: number;
  readonly metric: VectorMetric;
  readonly count: number;
  /** No row is longer; it is not taken back when rows go. */
  readonly longest: number;
  /** Bytes of a row: its numbers and zeros behind them. */
  readonly stride: number;
  /** Where `measure` reads row numbers and writes nearness, less being closer. Other arrays after each `append`. */
  readonly list: Uint32Array;
  readonly out: Float32Array;
  /** Copies a vector behind the others, under cosine at length 1, and gives its number. Throws: `too_large` from 4 GiB on. */
  append(vector: Float32Array): number;
  /** The numbers of a row, in place. */
  at(row: number): Float32Array;
  /** Puts the vector that `placed` stands for. */
  place(vector: Float32Array): void;
  /** Compares a row, or what was placed, with the first `count` rows of `list`. */
  measure(from: number, count: number): void;
  /** Copies one row over another. */
  copy(from: number, to: number): void;
  /** Forgets the rows from this number on. */
  shorten(count: number): void;
}

/** No rows yet. */
export function vectorRows(service: string, dimensions: number, metric: VectorMetric): VectorRows {
  const stride = Math.ceil((dimensions * 4) / stepBytes) * stepBytes;
  const listAt = stride;
  const outAt = listAt + blockRows * 4;
  const base = outAt + blockRows * 4;
  const memory = new WebAssembly.Memory({ initial: Math.ceil((base + stride) / pageBytes) });
  const both = kernels(memory);
  const kernel: Kernel = metric === "l2" ? both.l2 : both.dot;
  let floats = new Float32Array(memory.buffer);
  let list = new Uint32Array(memory.buffer, listAt, blockRows);
  let out = new Float32Array(memory.buffer, outAt, blockRows);
  let count = 0;
  let longest = 0;

  const grow = (): void => {
    const pages = memory.buffer.byteLength / pageBytes;
    const needed = Math.ceil((base + (count + 1) * stride) / pageBytes);
    if (needed <= pages) return;
    try {
      if (needed > maxPages) throw new RangeError("4 GiB are full");
      memory.grow(Math.min(maxPages, Math.max(needed, Math.ceil(pages * 1.5))) - pages);
    } catch (cause) {
      throw new MillraceError("too_large", `${service}: no memory for more than ${count} vectors of ${dimensions} dimensions`, { service, scope: "process", cause });
    }
    floats = new Float32Array(memory.buffer);
    list = new Uint32Array(memory.buffer, listAt, blockRows);
    out = new Float32Array(memory.buffer, outAt, blockRows);
  };
  const addressOf = (row: number): number => (row === placed ? 0 : base + row * stride);
  const put = (address: number, vector: Float32Array): void => {
    const start = address / 4;
    floats.set(vector, start);
    const length = metric === "cosine" ? lengthOf(vector) : 1;
    if (length !== 1 && length !== 0) for (let i = 0; i < dimensions; i += 1) floats[start + i] = (vector[i] ?? 0) / length;
  };

  return {
    dimensions,
    metric,
    stride,
    get count() {
      return count;
    },
    get longest() {
      return longest;
    },
    get list() {
      return list;
    },
    get out() {
      return out;
    },
    append(vector) {
      grow();
      put(addressOf(count), vector);
      longest = Math.max(longest, metric === "cosine" ? 1 : lengthOf(vector));
      count += 1;
      return count - 1;
    },
    at: (row) => floats.subarray(addressOf(row) / 4, addressOf(row) / 4 + dimensions),
    place(vector) {
      put(0, vector);
    },
    measure(from, length) {
      kernel(addressOf(from), base, stride, listAt, length, outAt);
    },
    copy(from, to) {
      floats.copyWithin(addressOf(to) / 4, addressOf(from) / 4, (addressOf(from) + stride) / 4);
    },
    shorten(length) {
      count = length;
    },
  };
}

/** In double precision, as the distances below: sums of products of single-precision numbers lose too much of their own. */
export function lengthOf(vector: Float32Array): number {
  return Math.sqrt(dot(vector, vector));
}

/** The distance that belongs to a metric. A vector without direction, which only a file may hold, is far from everything by 1. */
export function distanceOf(metric: VectorMetric, a: Float32Array, b: Float32Array): number {
  if (metric === "dot") return 0 - dot(a, b);
  if (metric === "cosine") {
    const lengths = lengthOf(a) * lengthOf(b);
    return lengths === 0 ? 1 : 1 - Math.max(-1, Math.min(1, dot(a, b) / lengths));
  }
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
