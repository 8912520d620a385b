/**
 * The key-value kind: bytes under keys for a while, and marks that are moved in one atomic step.
 *
 * Values are bytes because that is what every store can keep unchanged; parts go through the codec. Marks (`marks.ts`) are what
 * limits and counts of several processes need: one step on the clock of the store, so that no two clocks are compared. Used by
 * `cache`, `rateLimit` and `circuitBreaker`; every store passes `testing/contracts/key-value.ts`.
 *
 * @module
 */
import { utf8Length } from "../core/part-size.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import type { Advanced, MarkSteps } from "./marks.ts";

/** What not every store can do. */
export type KeyValueAbility = "ifAbsent" | "advance";

/** What a call may be told. */
export interface KeyValueContext {
  readonly signal?: AbortSignal;
}

/** What `set` may be told. */
export interface KeyValueSetOptions extends KeyValueContext {
  /** Milliseconds after which the value is gone, by the store's clock. @default never, unless the store needs the room */
  readonly ttlMs?: number;
  /** Sets nothing when there is a value already, whoever comes first. */
  readonly ifAbsent?: boolean;
}

/**
 * Keeps bytes under keys.
 *
 * Errors: `invalid_input` before any I/O for a key that is not 1 to 512 bytes of text without NUL, a value that is no bytes, a
 * bad `ttlMs`, bad steps and what the store lacks; `too_large` for a value that the store can't hold; `closed` after `close()`;
 * an abort is the signal's reason.
 */
export interface KeyValueStore extends AsyncDisposable {
  /** For messages: `redis`, `memory`. */
  readonly service: string;
  /** What the store cannot do, each with the reason. */
  readonly lacks: Readonly<Partial<Record<KeyValueAbility, string>>>;
  /** The value, or `undefined` where there is none (any more). */
  get(key: string, context?: KeyValueContext): Promise<Uint8Array | undefined>;
  /** Sets a value and its time to live anew, both. `false` only where `ifAbsent` found a value. */
  set(key: string, value: Uint8Array, options?: KeyValueSetOptions): Promise<boolean>;
  /** Deletes a value; one that is not there is fine. */
  delete(key: string, context?: KeyValueContext): Promise<void>;
  /**
   * Moves the marks of a key in one atomic step, by the store's clock. They are apart from values, `delete` does not touch
   * them, and they are gone once they are past. Absent where the store lacks `advance`.
   */
  advance?(key: string, steps: MarkSteps, context?: KeyValueContext): Promise<Advanced>;
  close(): Promise<void>;
}

/** Refuses keys that not every store could hold. Gives the key back. */
export function checkValueKey(who: string, key: string): string {
  if (typeof key === "string" && key !== "" && !key.includes("\0") && key.isWellFormed() && utf8Length(key) <= 512) return key;
  throw invalidOption(who, "key", "1 to 512 bytes of text without NUL", key);
}

/** Refuses what `set` can't take. */
export function checkValue(who: string, value: Uint8Array, { ttlMs }: KeyValueSetOptions): void {
  if (!(value instanceof Uint8Array)) throw invalidOption(who, "value", "a Uint8Array", value);
  if (ttlMs !== undefined) wholeNumber(who, "ttlMs", ttlMs, 1);
}

/** A store with marks: what is shared between processes needs them. */
export type MarkStore = KeyValueStore & Required<Pick<KeyValueStore, "advance">>;

/** Refuses what is no key-value store, or lacks an ability, when a stage is built. */
export function requireMarkStore(who: string, store: unknown): asserts store is MarkStore {
  if (typeof store !== "object" || store === null || !("get" in store) || !("set" in store)) throw invalidOption(who, "store", "a key-value store", store);
  const { lacks, service } = store as KeyValueStore; // it has `get` and `set`; what it lacks is asked next
  if (!("advance" in store) || typeof store.advance !== "function") {
    throw invalidOption(who, "store", "a key-value store that can advance marks", `${service}: ${lacks?.advance ?? "no advance"}`);
  }
}
