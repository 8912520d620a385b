/**
 * Where answers are kept: in this process, or in a store that others share. A store that is slow, down or full of garbage costs
 * a miss and an event, never a run.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import { packEntry, unpackEntry } from "./cache-entry.ts";
import type { Digest } from "./cache-key.ts";
import { decodeParts, encodedBytes, type EncodedParts, encodeParts } from "./encoded-parts.ts";
import { Lru } from "./lru.ts";

/** What a store must do: a key-value store does. */
export interface CacheStore {
  get(key: string, options?: { readonly signal?: AbortSignal }): Promise<Uint8Array | undefined>;
  set(key: string, value: Uint8Array, options?: { readonly ttlMs?: number; readonly signal?: AbortSignal }): Promise<unknown>;
}

/** What happened at a cache. */
export interface CacheEvent {
  /**
   * `hit`; `miss`; `coalesced`: a call joined one that was under way; `bypass`: the call has no key or its input is too large;
   * `stored`; `skipped`: the answer was complete but is not kept; `corrupt`: an entry was not readable; `store_failed`: the store
   * did not answer.
   */
  readonly kind: "hit" | "miss" | "coalesced" | "bypass" | "stored" | "skipped" | "corrupt" | "store_failed";
  /** Why it was bypassed or skipped. */
  readonly reason?: string;
  readonly error?: unknown;
  /** Entries and bytes of a cache in this process, after this. */
  readonly entries?: number;
  readonly bytes?: number;
}

/** Where answers are kept. Neither call ever rejects. */
export interface Shelf {
  /** The parts kept under a key, new ones at each call; nothing at once when the call is left. */
  find(key: string, call: Pick<Context, "signal">): Promise<Part[] | undefined>;
  /** Keeps parts, unless they are no data or too many. */
  keep(key: string, parts: readonly Part[]): Promise<void>;
}

/** What shelves have in common. */
export interface ShelfOptions {
  /** Milliseconds that an answer is kept, ten percent more or less. */
  readonly ttlMs: number;
  readonly maxEntryBytes: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tell: (event: CacheEvent) => void;
}

/** What was stored together must not expire together. */
function lifeMs({ ttlMs, random }: ShelfOptions): number {
  return Math.max(1, Math.round(ttlMs * (0.9 + 0.2 * random())));
}

/** A shelf in the memory of this process. */
export function memoryShelf(maxBytes: number, options: ShelfOptions): Shelf {
  const { clock, maxEntryBytes, tell } = options;
  const entries = new Lru<EncodedParts>(maxBytes, clock);
  return {
    async find(key) {
      const found = entries.get(key);
      try {
        return found === undefined ? undefined : decodeParts(found);
      } catch (error) {
        tell({ kind: "corrupt", error }); // more metadata than the codec lets in, for one
        return undefined;
      }
    },
    async keep(key, parts) {
      let entry: EncodedParts;
      try {
        entry = encodeParts(parts);
      } catch (error) {
        return tell({ kind: "skipped", reason: "not encodable", error });
      }
      const bytes = encodedBytes(entry);
      if (bytes > maxEntryBytes) return tell({ kind: "skipped", reason: "too large" });
      entries.set(key, entry, { bytes, ttlMs: lifeMs(options) });
      tell({ kind: "stored", entries: entries.size, bytes: entries.bytes });
    },
  };
}

/** A shelf in a store that others share; it is asked for not longer than a run would bear. */
export function sharedShelf(store: CacheStore, { digest, storeTimeoutMs, ...options }: ShelfOptions & { readonly digest: Digest; readonly storeTimeoutMs: number }): Shelf {
  const { clock, maxEntryBytes, tell } = options;
  const inTime = async (ask: (signal: AbortSignal) => Promise<unknown>, left?: AbortSignal): Promise<unknown> => {
    const stop = new AbortController();
    const asked = ask(stop.signal);
    return new Promise((resolve, reject) => {
      const giveUp = (why: unknown): void => {
        cancel();
        reject(why);
        stop.abort(why);
      };
      const cancel = clock.timeout(storeTimeoutMs, () => {
        giveUp(new MillraceError("timeout", `cache: the store did not answer in ${storeTimeoutMs} ms`, { phase: "total" }));
      });
      left?.addEventListener("abort", () => giveUp(left.reason)); // the signal of one call: it goes with its listener
      void Promise.resolve(asked).then(resolve, reject).finally(cancel);
    });
  };
  return {
    async find(key, { signal: left }) {
      try {
        const found = await inTime((signal) => store.get(key, { signal }), left);
        if (found === undefined || found === null) return undefined;
        const parts = found instanceof Uint8Array ? await unpackEntry(key, found, digest) : undefined;
        if (parts === undefined) tell({ kind: "corrupt" });
        return parts;
      } catch (error) {
        if (!left.aborted) tell({ kind: "store_failed", error });
        return undefined;
      }
    },
    async keep(key, parts) {
      let entry: Uint8Array;
      try {
        entry = await packEntry(key, parts, digest);
      } catch (error) {
        return tell({ kind: "skipped", reason: "not encodable", error });
      }
      if (entry.byteLength > maxEntryBytes) return tell({ kind: "skipped", reason: "too large" });
      try {
        await inTime((signal) => store.set(key, entry, { ttlMs: lifeMs(options), signal }));
        tell({ kind: "stored" });
      } catch (error) {
        tell({ kind: "store_failed", error });
      }
    },
  };
}
