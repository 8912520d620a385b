/**
 * Where answers are kept: in this process, or in a store that others share. A store that is slow, down or full of garbage costs
 * a miss and an event, never a run.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { packEntry, unpackEntry } from "./cache-entry.ts";
import type { Digest } from "./cache-key.ts";
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

/** What a shelf is made of. */
export interface ShelfOptions {
  readonly digest: Digest;
  /** Milliseconds that an answer is kept, ten percent more or less. */
  readonly ttlMs: number;
  readonly maxEntryBytes: number;
  readonly storeTimeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly tell: (event: CacheEvent) => void;
}

/** Answers by key. Neither call ever rejects. */
export class Shelf {
  private readonly store: Lru | CacheStore;
  private readonly options: ShelfOptions;

  constructor(store: Lru | CacheStore, options: ShelfOptions) {
    this.store = store;
    this.options = options;
  }

  /** The parts kept under a key, new ones at each call. */
  async find(key: string): Promise<Part[] | undefined> {
    const { digest, tell } = this.options;
    try {
      const found: unknown = await this.inTime((store, signal) => store.get(key, { signal }));
      if (found === undefined || found === null) return undefined;
      const parts = found instanceof Uint8Array ? await unpackEntry(key, found, digest) : undefined;
      if (parts === undefined) tell({ kind: "corrupt" });
      return parts;
    } catch (error) {
      tell({ kind: "store_failed", error });
      return undefined;
    }
  }

  /** Keeps parts, unless they are no data or too many. */
  async keep(key: string, parts: readonly Part[]): Promise<void> {
    const { digest, tell, ttlMs, random, maxEntryBytes } = this.options;
    let entry: Uint8Array;
    try {
      entry = await packEntry(key, parts, digest);
    } catch (error) {
      return tell({ kind: "skipped", reason: "not encodable", error });
    }
    if (entry.byteLength > maxEntryBytes) return tell({ kind: "skipped", reason: "too large" });
    // what was stored together must not expire together
    const lifeMs = Math.max(1, Math.round(ttlMs * (0.9 + 0.2 * random())));
    try {
      await this.inTime((store, signal) => store.set(key, entry, { ttlMs: lifeMs, signal }));
      tell({ kind: "stored", ...(this.store instanceof Lru ? { entries: this.store.size, bytes: this.store.bytes } : {}) });
    } catch (error) {
      tell({ kind: "store_failed", error });
    }
  }

  /** Asks the store; one that others share not for longer than a run would bear. */
  private async inTime(ask: (store: Lru | CacheStore, signal: AbortSignal) => unknown): Promise<unknown> {
    const { storeTimeoutMs, clock } = this.options;
    const stop = new AbortController();
    const asked = ask(this.store, stop.signal);
    if (this.store instanceof Lru) return asked;
    return new Promise((resolve, reject) => {
      const cancel = clock.timeout(storeTimeoutMs, () => {
        const late = new MillraceError("timeout", `cache: the store did not answer in ${storeTimeoutMs} ms`, { phase: "total" });
        reject(late);
        stop.abort(late);
      });
      Promise.resolve(asked).then(resolve, reject).finally(cancel).catch(ignore);
    });
  }
}
