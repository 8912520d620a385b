/**
 * The history of a conversation, here and in a store: there it is one value, JSON in UTF-8.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { JsonValue, Part } from "../core/part.ts";
import { checkValueKey, type KeyValueContext, type KeyValueStore } from "../kinds/key-value.ts";

/** What is asked of a store. */
export type HistoryStore = Pick<KeyValueStore, "service" | "get" | "set">;

const version = 1;

/** What a model is shown before the next input. */
export class KeptHistory {
  /** Never changed: another array takes its place. */
  parts: readonly Part[];
  readonly #store: HistoryStore | undefined;
  readonly #key: string;
  #isLoaded: boolean;
  #saved: Promise<unknown> = Promise.resolve();

  constructor(who: string, parts: readonly Part[], store: HistoryStore | undefined, id: string) {
    this.parts = [...parts];
    this.#store = store;
    this.#key = store === undefined ? "" : checkValueKey(who, `conversation:${id}`); // apart from those of caches and limits
    this.#isLoaded = store === undefined;
  }

  /** Reads what the store has, behind the system parts that are here. Once. */
  async load(context: KeyValueContext): Promise<readonly Part[]> {
    if (this.#isLoaded || this.#store === undefined) return this.parts;
    const read = await readHistory(this.#store, this.#key, context);
    if (this.#isLoaded) return this.parts; // whoever asked at the same time may have gone on with it
    this.#isLoaded = true;
    if (read !== undefined) this.parts = [...this.parts.filter(({ role }) => role === "system"), ...read];
    return this.parts;
  }

  /** At once here, then in the store; there in this order too, whatever became of earlier ones. */
  replace(parts: readonly Part[]): Promise<unknown> {
    this.parts = parts;
    const saving = this.#saved.catch(ignore).then(() => this.#store?.set(this.#key, encodeHistory(parts)));
    saving.catch(ignore); // who replaced it hears of it
    this.#saved = saving;
    return saving;
  }
}

/** System parts are left out: they would come back as data, which no model takes for system text. */
function encodeHistory(parts: readonly Part[]): Uint8Array {
  const value: JsonValue = { v: version, parts: parts.filter(({ role }) => role !== "system").map((part) => codec.encode(part)) };
  return new TextEncoder().encode(JSON.stringify(value));
}

async function readHistory(store: HistoryStore, key: string, context: KeyValueContext): Promise<Part[] | undefined> {
  const bytes = await store.get(key, context);
  if (bytes === undefined) return undefined;
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as { readonly v?: unknown; readonly parts?: unknown } | null; // looked at next
    if (value?.v === version && Array.isArray(value.parts)) return value.parts.map((part) => codec.decode(part));
  } catch (cause) {
    throw noHistory(store, key, cause);
  }
  throw noHistory(store, key, undefined);
}

function noHistory({ service }: HistoryStore, key: string, cause: unknown): MillraceError {
  return new MillraceError("bad_response", `conversation: ${service} holds under ${key} what is no history of version ${version}`, { service, ...(cause === undefined ? {} : { cause }) });
}
