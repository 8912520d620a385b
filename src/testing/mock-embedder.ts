/**
 * An embedder that knows words but not what they mean: texts are near each other as far as they share words and pieces of words.
 *
 * @module
 */
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import type { Embedder } from "../kinds/embedder.ts";

/** Of a mock embedder. */
export interface MockEmbedderOptions {
  /** Fewer make strangers look alike: words share the numbers. @default 256 */
  readonly dimensions?: number;
}

/** An embedder and its record. */
export interface MockEmbedder extends Embedder {
  /** The texts of every call, in order. */
  readonly calls: readonly (readonly string[])[];
}

/** What three letters in a row weigh beside a whole word: enough that `cat` and `cats` are not strangers. */
const pieceWeight = 0.3;

/** Letters from which on a word weighs all it can: short words are in every text, and say little. */
const longWord = 6;

/**
 * Makes an embedder whose vectors depend on the text alone, the same on every machine.
 *
 * Vectors have length 1; a text without letters or digits gets a direction of its own.
 *
 * @example
 * const [a, b, c] = await mockEmbedder().embed(["harbour cranes", "the cranes of the harbour", "tax forms"]);
 * const cosine = (x = a, y = b): number => x?.reduce((sum, value, i) => sum + value * (y?.[i] ?? 0), 0) ?? 0;
 * console.log(cosine(a, b) > 0.5, cosine(a, c) < 0.2); // true true
 */
export function mockEmbedder(options: MockEmbedderOptions = {}): MockEmbedder {
  const dimensions = wholeNumber("mockEmbedder", "dimensions", options.dimensions ?? 256, 1);
  const calls: (readonly string[])[] = [];
  let closed = false;
  const close = async (): Promise<void> => {
    closed = true;
  };
  return {
    dimensions,
    calls,
    async embed(texts, context = {}) {
      if (closed) throw new MillraceError("closed", "mock-embedder: was closed");
      context.signal?.throwIfAborted();
      if (!Array.isArray(texts)) throw invalidOption("mock-embedder", "texts", "a list of texts", texts);
      if (texts.length === 0) return [];
      calls.push([...texts]);
      return texts.map((text: unknown) => {
        if (typeof text !== "string") throw new MillraceError("invalid_input", `mock-embedder: needs texts, got ${received(text)}`);
        return vectorOf(text, dimensions);
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function vectorOf(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  const add = (feature: string, weight: number): void => {
    const hash = hashOf(feature);
    const at = hash % dimensions;
    vector[at] = (vector[at] ?? 0) + (hash & 0x8000_0000 ? -weight : weight); // signs, so that words that meet here cancel out on average
  };
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    const weight = Math.min(word.length, longWord) / longWord;
    add(word, weight);
    const framed = `<${word}>`;
    for (let at = 0; at + 3 <= framed.length; at += 1) add(framed.slice(at, at + 3), weight * pieceWeight);
  }
  if (vector.every((value) => value === 0)) add(`no word: ${text}`, 1);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

/** A text as 32 bits (FNV-1a over UTF-16 units, mixed once more: the low bits of FNV alone are uneven). */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
