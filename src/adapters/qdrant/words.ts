/**
 * Texts as sparse vectors of their words, so that hybrid queries rank by BM25 without a model.
 *
 * A word is a dimension, by its hash. The weight in a text is the part of BM25 that belongs to the text, with the mean length taken
 * for 256 words; how rare a word is the server adds itself (modifier `idf`), from what the collection holds.
 * Source: Robertson, Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, §3.5;
 * https://qdrant.tech/documentation/concepts/indexing/#idf-modifier; FNV-1a, RFC 9923
 *
 * @module
 */

/** A sparse vector as the service takes it. */
export interface SparseVector {
  readonly indices: readonly number[];
  readonly values: readonly number[];
}

const saturation = 1.2;
const lengthWeight = 0.75;
const meanWords = 256;

/** The words of a stored text; undefined where it has none. */
export function textVector(text: string): SparseVector | undefined {
  const counts = new Map<number, number>();
  let length = 0;
  for (const word of wordsIn(text)) {
    const index = hash(word);
    counts.set(index, (counts.get(index) ?? 0) + 1);
    length += 1;
  }
  const damping = saturation * (1 - lengthWeight + (lengthWeight * length) / meanWords);
  return sparse([...counts].map(([index, count]) => [index, (count * (saturation + 1)) / (count + damping)]));
}

/** The words that are asked for; undefined where there are none. */
export function askedVector(text: string): SparseVector | undefined {
  return sparse([...new Set([...wordsIn(text)].map(hash))].map((index) => [index, 1]));
}

function sparse(weights: readonly (readonly [index: number, weight: number])[]): SparseVector | undefined {
  if (weights.length === 0) return undefined;
  return { indices: weights.map(([index]) => index), values: weights.map(([, weight]) => weight) };
}

/** Runs of letters and digits, in one form and case. */
function* wordsIn(text: string): Generator<string> {
  for (const [word] of text.normalize("NFKC").toLowerCase().matchAll(/[\p{L}\p{M}\p{N}]+/gu)) yield word;
}

/** FNV-1a of 32 bits over UTF-16 units: two words of one text in a million meet, and then count as one. */
function hash(word: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < word.length; at += 1) {
    const unit = word.charCodeAt(at);
    state = Math.imul(state ^ (unit & 0xff), 0x01000193);
    state = Math.imul(state ^ (unit >> 8), 0x01000193);
  }
  return state >>> 0;
}
