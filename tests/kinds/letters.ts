/**
 * An embedder that needs no model: a vector says how often each letter stands in a text, and it writes down what it was asked.
 *
 * @module
 */
import { MillraceError } from "../../src/core/errors.ts";
import type { Embedder } from "../../src/kinds/embedder.ts";

export interface LetterEmbedder extends Embedder {
  /** The texts of each call. */
  readonly calls: string[][];
  /** Calls in progress: now and at most. */
  readonly active: { now: number; most: number };
}

/** `before` runs in each call, before it answers. */
export function letters(before: (texts: readonly string[], signal?: AbortSignal) => Promise<void> | void = () => {}): LetterEmbedder {
  const calls: string[][] = [];
  const active = { now: 0, most: 0 };
  let closed = false;
  const close = async (): Promise<void> => {
    closed = true;
  };
  return {
    dimensions: 28,
    calls,
    active,
    async embed(texts, { signal } = {}) {
      if (closed) throw new MillraceError("closed", "letters: the embedder is closed");
      signal?.throwIfAborted();
      if (texts.length === 0) return [];
      calls.push([...texts]);
      active.now += 1;
      active.most = Math.max(active.most, active.now);
      try {
        await before(texts, signal);
        return texts.map(countLetters);
      } finally {
        active.now -= 1;
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The last number is 0.1 always, so that no text is without direction. */
function countLetters(text: string): Float32Array {
  const vector = new Float32Array(28);
  vector[27] = 0.1;
  for (const letter of text.toLowerCase()) {
    const at = letter.charCodeAt(0) - 97;
    const place = at >= 0 && at < 26 ? at : 26;
    vector[place] = (vector[place] ?? 0) + 1;
  }
  return vector;
}
