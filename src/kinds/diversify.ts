/**
 * Maximal marginal relevance: an answer whose parts do not all say the same.
 *
 * Carbonell, Goldstein: "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries", SIGIR 1998,
 * https://doi.org/10.1145/290941.291025: the next is the one with the most of lambda · relevance - (1 - lambda) · likeness to the most
 * like of those chosen before.
 *
 * @module
 */

/** What may be chosen. */
export interface Candidate {
  readonly vector: Float32Array;
  /** Higher is better, on the scale of a cosine. */
  readonly relevance: number;
}

/** Which of the candidates are chosen, by their places, in the order they were chosen in; of equal ones the first. */
export function diversify(candidates: readonly Candidate[], limit: number, lambda: number): readonly number[] {
  const units = candidates.map(({ vector }) => unit(vector));
  /** The likeness to the most like of the chosen; nothing is like nothing. */
  const likeness = candidates.map(() => -Infinity);
  const left = new Set(candidates.keys());
  const chosen: number[] = [];
  while (chosen.length < limit && left.size > 0) {
    let best = -1;
    let most = -Infinity;
    for (const at of left) {
      const gain = lambda * (candidates[at]?.relevance ?? 0) - (chosen.length === 0 ? 0 : (1 - lambda) * (likeness[at] ?? 0));
      if (best !== -1 && gain <= most) continue;
      best = at;
      most = gain;
    }
    left.delete(best);
    chosen.push(best);
    for (const at of left) likeness[at] = Math.max(likeness[at] ?? 0, dot(units[at], units[best]));
  }
  return chosen;
}

/** The cosine of two vectors; 0 where one has no direction. */
export function cosine(a: Float32Array, b: Float32Array): number {
  return dot(unit(a), unit(b));
}

const none = new Float64Array();

/** In double precision, so that vectors that are one have a cosine of 1. */
function unit(vector: Float32Array): Float64Array {
  const numbers = Float64Array.from(vector);
  const length = Math.sqrt(dot(numbers, numbers));
  return length === 0 ? numbers : numbers.map((number) => number / length);
}

function dot(a: Float64Array = none, b: Float64Array = none): number {
  let sum = 0;
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
