/**
 * Values by key, bounded in bytes: the one that was used longest ago goes first, and each for its time only.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** Bytes that an entry costs besides its key and its value: a guess at what the engine needs for a map entry. */
const entryOverheadBytes = 128;

interface Entry<V> {
  readonly value: V;
  readonly cost: number;
  readonly untilMs: number;
}

/** A map that forgets. What is past its time is dropped when it is met; there is no timer. */
export class Lru<V> {
  private readonly entries = new Map<string, Entry<V>>(); // in the order of use
  private readonly maxBytes: number;
  private readonly clock: Clock;
  private used = 0;

  constructor(maxBytes: number, clock: Clock) {
    this.maxBytes = maxBytes;
    this.clock = clock;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Bytes in use, overhead included; never more than `maxBytes`. */
  get bytes(): number {
    return this.used;
  }

  get(key: string): V | undefined {
    const entry = this.drop(key);
    if (entry === undefined || entry.untilMs <= this.clock.now()) return undefined;
    this.put(key, entry);
    return entry.value;
  }

  /** Keeps a value, at the cost of those used longest ago; one that is larger than all there is, is not kept. */
  set(key: string, value: V, { bytes, ttlMs }: { readonly bytes: number; readonly ttlMs: number }): void {
    this.drop(key);
    const cost = bytes + 2 * key.length + entryOverheadBytes;
    if (cost > this.maxBytes) return;
    this.put(key, { value, cost, untilMs: this.clock.now() + ttlMs });
    for (const oldest of this.entries.keys()) {
      if (this.used <= this.maxBytes) return;
      this.drop(oldest);
    }
  }

  /** As the one used last. */
  private put(key: string, entry: Entry<V>): void {
    this.entries.set(key, entry);
    this.used += entry.cost;
  }

  private drop(key: string): Entry<V> | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    this.entries.delete(key);
    this.used -= entry.cost;
    return entry;
  }
}
