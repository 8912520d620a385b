/**
 * The embedder kind: texts to vectors.
 *
 * The verb is `embed` in `embed.ts`; every embedder passes `testing/contracts/embedder.ts`.
 *
 * @module
 */
import { invalidOption, MillraceError, received } from "../core/errors.ts";

/** What a call may be told. */
export interface EmbedContext {
  readonly signal?: AbortSignal;
}

/**
 * Turns texts into vectors.
 *
 * Errors: `closed` after `close()`; an abort is the signal's reason, before any I/O when the signal has already aborted.
 */
export interface Embedder extends AsyncDisposable {
  /** Numbers in each vector, where it is known before the first call. */
  readonly dimensions: number | undefined;
  /** One vector a text, in the order of the texts. No texts, no call: an empty list gives an empty list. */
  embed(texts: readonly string[], context?: EmbedContext): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** Refuses what is no embedder, when a stage is built. */
export function requireEmbedder(who: string, embedder: unknown): asserts embedder is Embedder {
  if (typeof embedder === "object" && embedder !== null && "embed" in embedder && typeof embedder.embed === "function") return;
  throw invalidOption(who, "embedder", "an embedder", embedder);
}

/**
 * Asks an embedder, and checks what it answers before anybody stores it.
 *
 * Throws: `bad_response` for fewer or more vectors than texts, for what is no `Float32Array`, for vectors of another length than
 * `dimensions` or than each other, and for numbers that are not finite; whatever the embedder throws.
 */
export async function vectorsOf(who: string, embedder: Embedder, texts: readonly string[], context: EmbedContext = {}): Promise<Float32Array[]> {
  if (texts.length === 0) return [];
  const vectors: unknown = await embedder.embed(texts, context);
  context.signal?.throwIfAborted();
  if (!Array.isArray(vectors)) throw bad(`${who}: the embedder must answer with an array of vectors, got ${received(vectors)}`);
  if (vectors.length !== texts.length) throw bad(`${who}: the embedder answered ${vectors.length} vectors for ${texts.length} texts`);
  let dimensions = embedder.dimensions;
  return vectors.map((vector: unknown, index) => {
    if (!(vector instanceof Float32Array)) throw bad(`${who}: vector ${index} must be a Float32Array, got ${received(vector)}`);
    dimensions ??= vector.length;
    if (vector.length !== dimensions || dimensions === 0) {
      throw bad(`${who}: vector ${index} has ${vector.length} dimensions, the embedder's have ${dimensions}`);
    }
    if (!vector.every(Number.isFinite)) throw bad(`${who}: vector ${index} holds a number that is not finite`);
    return vector;
  });
}

function bad(message: string): MillraceError {
  return new MillraceError("bad_response", message);
}
