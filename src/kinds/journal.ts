/**
 * What was made once is not made again: outputs are recorded, complete, before the first of them is handed on.
 *
 * A model asked twice answers twice. When the first attempt has written outputs 0 to 2 of one answer and dies, the second would write
 * 3 and 4 of another, and what is stored is an answer that nobody gave. With a journal the second attempt writes the same outputs.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import type { JsonValue, Part } from "../core/part.ts";
import type { KeyValueStore } from "./key-value.ts";

/** Makes parts once per key. */
export interface Journal {
  /**
   * The parts of the record of this key; without one, what `make` gives, recorded as a whole before the first part is handed on.
   * Of several that record at once the first wins, and all hand on its parts. An attempt that fails, or is left, records nothing.
   */
  once(key: string, make: () => AsyncIterable<Part>): AsyncIterable<Part>;
}

/** Of a journal in a key-value store. */
export interface JournalOptions {
  /** Begins every key. @default "journal:" */
  readonly prefix?: string;
  /** Milliseconds for which a record is kept: longer than a message may be on its way. @default 604_800_000 (7 days) */
  readonly ttlMs?: number;
  /** Bytes of a record at most: it is held in memory until it is complete. @default 8_388_608 (8 MiB) */
  readonly maxBytes?: number;
}

/**
 * Keeps records in a key-value store. It is as durable as the store: one in memory is for tests.
 *
 * Throws: `invalid_input` for bad options and a store that cannot set a value once; from `once`, `too_large` for a record above
 * `maxBytes`, `bad_response` for a record that cannot be read, and what the store throws.
 * Closes: nothing; the store belongs to the caller.
 *
 * @example
 * await using store = memoryKeyValue();
 * const answers = journal(store);
 * let asked = 0;
 * const ask = (): AsyncIterable<Part> => from(`answer ${(asked += 1)}`);
 * for (const _ of [1, 2]) console.log(await run(pipe(), answers.once("jobs/1", ask)).text()); // answer 1  answer 1
 */
export function journal(store: KeyValueStore, options: JournalOptions = {}): Journal {
  const { prefix = "journal:" } = options;
  if (typeof prefix !== "string") throw invalidOption("journal", "prefix", "a string", prefix);
  const ttlMs = wholeNumber("journal", "ttlMs", options.ttlMs ?? 604_800_000, 1);
  const maxBytes = wholeNumber("journal", "maxBytes", options.maxBytes ?? 8_388_608, 1);
  if (typeof store !== "object" || store === null || typeof store.set !== "function") throw invalidOption("journal", "store", "a key-value store", store);
  if (store.lacks.ifAbsent !== undefined) throw invalidOption("journal", "store", "one that sets a value once", `${store.service}: ${store.lacks.ifAbsent}`);
  return {
    async *once(name, make) {
      const key = await keyOf(prefix, name);
      let record = await store.get(key);
      if (record === undefined) {
        const made = await recordOf(make(), maxBytes);
        record = (await store.set(key, made, { ifAbsent: true, ttlMs })) ? made : ((await store.get(key)) ?? made);
      }
      yield* partsIn(record); // also the first time: what is handed on is what will be handed on again
    },
  };
}

/** Version of records. One of another version is not taken for ours. */
const version = 1;

async function recordOf(parts: AsyncIterable<Part>, maxBytes: number): Promise<Uint8Array> {
  const encoded: string[] = [];
  let size = 0;
  for await (const part of parts) {
    const json = JSON.stringify(codec.encode(part));
    size += json.length; // of characters; of bytes it is as much or more, and checked below
    if (size > maxBytes) throw tooLarge(maxBytes, size);
    encoded.push(json);
  }
  const record = new TextEncoder().encode(`{"v":${version},"parts":[${encoded.join(",")}]}`);
  if (record.byteLength > maxBytes) throw tooLarge(maxBytes, record.byteLength);
  return record;
}

function partsIn(record: Uint8Array): Part[] {
  try {
    const { v, parts } = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(record)) as { readonly v?: JsonValue; readonly parts?: JsonValue };
    if (v !== version || !Array.isArray(parts)) throw new MillraceError("bad_response", "journal: no record of this version");
    return parts.map(codec.decode);
  } catch (cause) {
    throw new MillraceError("bad_response", `journal: a record of ${record.byteLength} bytes cannot be read`, { cause, retryable: false });
  }
}

/** Ids of deliveries may be longer than keys; those that are not stay readable. */
async function keyOf(prefix: string, name: string): Promise<string> {
  const encoded = new TextEncoder().encode(name);
  if (encoded.byteLength <= 400) return prefix + name;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", encoded));
  return `${prefix}sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function tooLarge(maxBytes: number, size: number): MillraceError {
  return new MillraceError("too_large", `journal: a record may have ${maxBytes} bytes, got at least ${size}`);
}
