/**
 * Values in memory: the reference of the key-value kind, and a cache of its own for one process.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { MillraceError, wholeNumber } from "../../core/errors.ts";
import { utf8Length } from "../../core/part-size.ts";
import { checkValue, checkValueKey, type KeyValueSetOptions, type MarkStore } from "../../kinds/key-value.ts";
import { advanceMarks, checkSteps } from "../../kinds/marks.ts";

const service = "memory";

/** Keys of marks between two looks for those that are past. */
const sweepEvery = 1_024;

/** Of a key-value store in memory. */
export interface MemoryKeyValueOptions {
  /** Bytes of keys and values at most; above it, what was not used for longest goes. @default 67_108_864 (64 MiB) */
  readonly maxBytes?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

interface Entry {
  readonly value: Uint8Array;
  readonly size: number;
  readonly untilMs: number;
}

/**
 * Keeps values in memory, the most recently used ones; no timer runs.
 *
 * Throws: as every key-value store; `too_large` for a value that alone is above `maxBytes`.
 * Closes: forgets all it holds.
 *
 * @example
 * await using store = memoryKeyValue({ maxBytes: 1_000_000 });
 * await store.set("greeting", new TextEncoder().encode("hello"), { ttlMs: 60_000 });
 * console.log((await store.get("greeting"))?.byteLength); // 5
 */
export function memoryKeyValue(options: MemoryKeyValueOptions = {}): MarkStore {
  const { clock = systemClock } = options;
  const maxBytes = wholeNumber(service, "maxBytes", options.maxBytes ?? 67_108_864, 1);
  const entries = new Map<string, Entry>(); // least recently used first
  const marks = new Map<string, Map<string, number>>();
  let bytes = 0;
  let earliestMs = Infinity; // no entry is past before
  let steps = 0;
  let closed = false;

  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: the store is closed`, { service });
    signal?.throwIfAborted();
  };
  const forget = (key: string): void => {
    const entry = entries.get(key);
    if (entry === undefined) return;
    entries.delete(key);
    bytes -= entry.size;
  };
  const find = (key: string): Entry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined || entry.untilMs > clock.now()) return entry;
    forget(key);
    return undefined;
  };
  /** Values that are past make room first, then those not used for longest. */
  const makeRoom = (): void => {
    const nowMs = clock.now();
    if (earliestMs <= nowMs) {
      earliestMs = Infinity;
      for (const [key, { untilMs }] of entries) {
        if (untilMs <= nowMs) forget(key);
        else earliestMs = Math.min(earliestMs, untilMs);
      }
    }
    for (const key of entries.keys()) {
      if (bytes <= maxBytes) return;
      forget(key);
    }
  };
  const sweepMarks = (): void => {
    steps += 1;
    if (steps % sweepEvery !== 0) return;
    for (const [key, named] of marks) if ([...named.values()].every((atMs) => atMs <= clock.now())) marks.delete(key);
  };
  const close = async (): Promise<void> => {
    closed = true;
    entries.clear();
    marks.clear();
    bytes = 0;
  };

  return {
    service,
    lacks: {},
    async get(key, { signal } = {}) {
      ready(signal);
      const entry = find(checkValueKey(service, key));
      if (entry === undefined) return undefined;
      entries.delete(key);
      entries.set(key, entry); // used last
      return new Uint8Array(entry.value);
    },
    async set(key, value, set: KeyValueSetOptions = {}) {
      ready(set.signal);
      checkValueKey(service, key);
      checkValue(service, value, set);
      const size = utf8Length(key) + value.byteLength;
      if (size > maxBytes) throw new MillraceError("too_large", `${service}: a value of ${size} bytes with its key, the store holds ${maxBytes}`, { service });
      if (set.ifAbsent === true && find(key) !== undefined) return false;
      forget(key);
      const untilMs = set.ttlMs === undefined ? Infinity : clock.now() + set.ttlMs;
      entries.set(key, { value: new Uint8Array(value), size, untilMs }); // a copy: the slice of a Buffer is none
      bytes += size;
      earliestMs = Math.min(earliestMs, untilMs);
      if (bytes > maxBytes) makeRoom();
      return true;
    },
    async delete(key, { signal } = {}) {
      ready(signal);
      forget(checkValueKey(service, key));
    },
    async advance(key, moves, { signal } = {}) {
      ready(signal);
      checkValueKey(service, key);
      checkSteps(service, moves);
      sweepMarks();
      const named = marks.get(key) ?? new Map<string, number>();
      const advanced = advanceMarks(named, moves, clock.now());
      if (named.size === 0) marks.delete(key);
      else marks.set(key, named);
      return advanced;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
