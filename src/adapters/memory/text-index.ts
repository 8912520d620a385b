/**
 * Full text in memory: Okapi BM25 over the words of each text.
 *
 * Robertson, Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, https://doi.org/10.1561/1500000019, with the
 * idf that stays positive, ln(1 + (N - n + 0.5) / (n + 0.5)), and the usual k1 = 1.2, b = 0.75. No stems and no stop words: it
 * works for every language written with spaces, and for no other.
 *
 * @module
 */

const k1 = 1.2;
const b = 0.75;

/** How often each word stands in a text. */
export interface TextTerms {
  readonly counts: ReadonlyMap<string, number>;
  readonly length: number;
}

/** Letters and digits in a row, in lower case. */
export function wordsOf(text: string): readonly string[] {
  return text.normalize("NFKC").toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** What is kept of a text. */
export function termsOf(text: string): TextTerms {
  const words = wordsOf(text);
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return { counts, length: words.length };
}

/** The BM25 score of each text for a query, in their order; 0 where no word of it occurs. */
export function bm25(texts: readonly TextTerms[], query: string): readonly number[] {
  const words = [...new Set(wordsOf(query))];
  const total = texts.reduce((sum, { length }) => sum + length, 0);
  const average = Math.max(1, total / Math.max(1, texts.length));
  const weights = words.map((word) => {
    const holding = texts.reduce((sum, { counts }) => sum + (counts.has(word) ? 1 : 0), 0);
    return { word, idf: Math.log(1 + (texts.length - holding + 0.5) / (holding + 0.5)) };
  });
  return texts.map(({ counts, length }) => {
    let score = 0;
    for (const { word, idf } of weights) {
      const count = counts.get(word) ?? 0;
      if (count > 0) score += (idf * count * (k1 + 1)) / (count + k1 * (1 - b + (b * length) / average));
    }
    return score;
  });
}
