/**
 * The nearest of all rows: every one is looked at, in single precision, and whatever rounding may have misplaced once more in double.
 *
 * Bound of the rounding: Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1: a sum in which no term passes more
 * than n roundings is off by at most n u times the sum of the absolute terms, u = 2^-24.
 *
 * @module
 */
import { stepBytes } from "./kernel.ts";
import { heap } from "./heap.ts";
import { blockRows, lengthOf, placed, type VectorRows } from "./rows.ts";

const unitRoundoff = 2 ** -24;
/** Roundings beside those of the running sums: difference, product, the sum of four lanes of four sums, the query at length 1. */
const fixedRoundings = 9;
/** The smallest difference of two singles: products under it vanish. */
const smallest = 2 ** -149;

/**
 * Rows that hold the nearest `limit` of those wanted, and as many more as single precision cannot tell from them; in no order.
 */
export function nearestRows(rows: VectorRows, query: Float32Array, limit: number, isWanted: (row: number) => boolean): readonly number[] {
  const widen = widening(rows, query);
  const nearest = heap(); // the largest of the `limit` smallest first, so with negative keys
  const kept: number[] = [];
  const values: number[] = [];
  let bound = Number.POSITIVE_INFINITY;
  const { count, list, out } = rows;
  rows.place(query);
  for (let next = 0; next < count; ) {
    let size = 0;
    for (; next < count && size < blockRows; next += 1) {
      if (!isWanted(next)) continue;
      list[size] = next;
      size += 1;
    }
    rows.measure(placed, size);
    for (let i = 0; i < size; i += 1) {
      const value = out[i] ?? 0;
      if (value > bound && value !== Number.POSITIVE_INFINITY) continue;
      kept.push(list[i] ?? 0);
      values.push(value);
      if (!Number.isFinite(value)) continue; // too large for single precision: double will tell
      nearest.push(0 - value, 0);
      if (nearest.size > limit) nearest.pop();
      if (nearest.size === limit) bound = widen(0 - nearest.key);
    }
  }
  return kept.filter((_, i) => !((values[i] ?? 0) > bound) || values[i] === Number.POSITIVE_INFINITY);
}

/** Up to where a value may be off and still belong to the nearest: the error of the last of them and its own. */
function widening({ metric, stride, longest }: VectorRows, query: Float32Array): (value: number) => number {
  const error = (stride / stepBytes + fixedRoundings) * unitRoundoff;
  const vanished = 2 * (stride / 4) * smallest;
  if (metric === "l2") return (value) => value * (1 + 3 * error) + vanished;
  const margin = 2 * error * (metric === "cosine" ? 1 : lengthOf(query)) * longest * 1.01 + vanished; // 1.01: lengths are rounded too
  return (value) => value + margin;
}
