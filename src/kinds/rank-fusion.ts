/**
 * Reciprocal rank fusion: one order out of several, by ranks alone, so that scores of different scales need no calibration.
 *
 * Cormack, Clarke, Büttcher: "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009,
 * https://doi.org/10.1145/1571941.1572114: the score of a document is the sum over the lists of 1 / (k + rank), rank from 1, k = 60.
 *
 * @module
 */

/** The constant of the paper: how little the very first ranks weigh more than those after them. */
export const rankConstant = 60;

/** Records of each list that are worth fusing for an answer of `limit`: what is further down in one list must win by another. */
export function candidates(limit: number): number {
  return Math.min(1_000, Math.max(limit * 4, 50));
}

/** The ids of all lists, best first, with the fused score; equal ones in the order of their ids. */
export function fuseRanks(lists: readonly (readonly string[])[]): readonly { readonly id: string; readonly score: number }[] {
  const scores = new Map<string, number>();
  for (const list of lists) {
    for (const [index, id] of list.entries()) scores.set(id, (scores.get(id) ?? 0) + 1 / (rankConstant + index + 1));
  }
  return [...scores].map(([id, score]) => ({ id, score })).sort((a, b) => b.score - a.score || compareIds(a.id, b.id));
}

/** The order of ids everywhere: by code point, as databases with a C collation have it. */
export function compareIds(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    // surrogates stand for code points above all others, though their units are below U+E000
    return (x >= 0xd800 && x < 0xe000 ? x + 0x2000 : x >= 0xe000 ? x - 0x800 : x) - (y >= 0xd800 && y < 0xe000 ? y + 0x2000 : y >= 0xe000 ? y - 0x800 : y);
  }
  return a.length - b.length;
}
