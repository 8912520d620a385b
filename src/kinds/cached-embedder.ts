/**
 * Vectors that are kept by what they were made of.
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import { guarded } from "../core/guarded.ts";
import { type EmbedContext, type Embedder, requireEmbedder, vectorsOf } from "./embedder.ts";
import type { KeyValueStore } from "./key-value.ts";
import { vectorBytes, vectorKey, vectorOf } from "./vector-bytes.ts";

/** How vectors are kept. */
export interface CachedEmbedderOptions {
  /** Where: a store that others share is shared with all who may read and write vectors there. */
  readonly store: KeyValueStore;
  /** Names the model and whatever else decides what a vector is: part of each key, with the dimensions and a hash of the text. */
  readonly model: string;
  /** Milliseconds that a vector is kept. @default until the store needs the room */
  readonly ttlMs?: number;
  /** Reads and writes of the store in progress at most. @default 16 */
  readonly concurrency?: number;
  /** Hears what happens. It cannot break a call. */
  readonly onEvent?: (event: EmbedCacheEvent) => void;
}

/** What happened to a text: `coalesced` waits for a call that is under way, `corrupt` and `store_failed` are misses with a reason. */
export interface EmbedCacheEvent {
  readonly kind: "hit" | "miss" | "coalesced" | "corrupt" | "store_failed";
  readonly error?: unknown;
}

/**
 * An embedder that asks for each text once and keeps its vector: for `embed`, `remember` and `retrieve` alike.
 *
 * A call asks for what is not kept, each text once, in one call of the embedder; texts that another call has asked for are not asked
 * for again. Only vectors of calls that succeeded are kept. A store that fails or holds what is no such vector is a miss.
 *
 * Throws: `invalid_input` for bad options; `bad_response` for what are no vectors; `closed` after `close()`; whatever the embedder
 *         throws, to all who wait for that call; who aborts leaves, and another who waits for the same texts asks for them.
 * Closes: itself alone; embedder and store belong to the caller.
 *
 * @example
 * await using store = memoryKeyValue();
 * const embedder = cachedEmbedder(mockEmbedder(), { store, model: "mock" });
 * const [first] = await embedder.embed(["a text"]); // asked
 * const [again] = await embedder.embed(["a text"]); // kept
 * console.log(first?.every((number, at) => number === again?.[at])); // true
 */
export function cachedEmbedder(embedder: Embedder, options: CachedEmbedderOptions): Embedder {
  requireEmbedder("cachedEmbedder", embedder);
  const { store, model, ttlMs, concurrency = 16, onEvent } = options;
  if (typeof store?.get !== "function" || typeof store.set !== "function") throw invalidOption("cachedEmbedder", "store", "a key-value store", store);
  if (typeof model !== "string" || model === "") throw invalidOption("cachedEmbedder", "model", "the name of a model", model);
  if (ttlMs !== undefined) wholeNumber("cachedEmbedder", "ttlMs", ttlMs, 1);
  wholeNumber("cachedEmbedder", "concurrency", concurrency, 1);
  if (onEvent !== undefined && typeof onEvent !== "function") throw invalidOption("cachedEmbedder", "onEvent", "a function", onEvent);
  const { dimensions } = embedder;
  /** Calls under way, by the keys they will give. */
  const flights = new Map<string, Flight>();
  let closed = false;
  const tell = (kind: EmbedCacheEvent["kind"], error?: unknown): void => guarded(() => onEvent?.(error === undefined ? { kind } : { kind, error }));

  /** What is kept of these, else asked for and kept from now on. */
  const look = async (texts: ReadonlyMap<string, string>, context: EmbedContext): Promise<ReadonlyMap<string, Float32Array>> => {
    const found = new Map<string, Float32Array>();
    await eachOf([...texts.keys()], concurrency, async (key) => {
      try {
        const bytes = await store.get(key, context);
        const vector = bytes === undefined ? undefined : vectorOf(bytes, dimensions);
        tell(vector !== undefined ? "hit" : bytes === undefined ? "miss" : "corrupt");
        if (vector !== undefined) found.set(key, vector);
      } catch (error) {
        context.signal?.throwIfAborted();
        tell("store_failed", error);
      }
    });
    const missing = [...texts].filter(([key]) => !found.has(key));
    const vectors = await vectorsOf("cachedEmbedder", embedder, missing.map(([, text]) => text), context);
    await eachOf([...vectors.entries()], concurrency, async ([at, vector]) => {
      const key = missing[at]?.[0] ?? "";
      found.set(key, vector);
      await store.set(key, vectorBytes(vector), { ...context, ...(ttlMs === undefined ? {} : { ttlMs }) }).catch((error: unknown) => tell("store_failed", error));
    });
    return found;
  };
  const close = async (): Promise<void> => {
    closed = true;
  };

  return {
    dimensions,
    async embed(texts, context = {}) {
      const { signal } = context;
      if (closed) throw new MillraceError("closed", "cachedEmbedder: the embedder is closed");
      signal?.throwIfAborted();
      const keys = await Promise.all(texts.map((text) => vectorKey(model, dimensions, text)));
      const wanted = new Map(keys.map((key, at) => [key, texts[at] ?? ""]));
      const vectors = new Map<string, Float32Array>();
      while (vectors.size < wanted.size) {
        signal?.throwIfAborted();
        const open = [...wanted].filter(([key]) => !vectors.has(key));
        const others = new Set(open.flatMap(([key]) => flights.get(key) ?? []));
        const own = new Map(open.filter(([key]) => !flights.has(key)));
        for (const _ of open.slice(own.size)) tell("coalesced");
        const joined = [...others].map((flight) => joinedTo(flight, signal));
        const all = own.size === 0 ? joined : [takeOff(flights, own, () => look(own, context), signal), ...joined];
        for (const given of await Promise.all(all)) for (const [key, vector] of given) if (wanted.has(key)) vectors.set(key, vector);
      }
      signal?.throwIfAborted();
      return keys.map((key) => (vectors.get(key) ?? new Float32Array()).slice()); // a copy each: who changes one changes no other
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A call under way, and whether who made it has left. */
interface Flight {
  readonly vectors: Promise<ReadonlyMap<string, Float32Array>>;
  readonly signal: AbortSignal | undefined;
}

/** Begins a call that others may wait for. */
function takeOff(flights: Map<string, Flight>, own: ReadonlyMap<string, string>, look: () => Flight["vectors"], signal: AbortSignal | undefined): Flight["vectors"] {
  const vectors = look().finally(() => {
    for (const key of own.keys()) flights.delete(key);
  });
  for (const key of own.keys()) flights.set(key, { vectors, signal });
  return vectors;
}

/** Waits for the call of another; nothing where that one left, so that its texts are asked for anew. */
function joinedTo(flight: Flight, signal: AbortSignal | undefined): Flight["vectors"] {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const settled = (): void => signal?.removeEventListener("abort", abort);
    flight.vectors.then(
      (vectors) => {
        settled();
        resolve(vectors);
      },
      (error: unknown) => {
        settled();
        if (flight.signal?.aborted === true) resolve(new Map());
        else reject(error);
      },
    );
  });
}

/** Does this for each, so many at a time. */
async function eachOf<T>(items: readonly T[], concurrency: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values(); // one iterator for all lanes: each item is given out once
  const lane = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}
