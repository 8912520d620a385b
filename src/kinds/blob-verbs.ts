/**
 * What the verbs of blob stores share.
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError } from "../core/errors.ts";
import type { BlobAbility, BlobContent, BlobGetOptions, BlobInfo, BlobStore } from "./blob-store.ts";

/** Where a blob is and which one it was, as `metadata.blob`. */
export interface BlobPlace {
  readonly uri: string;
  readonly key: string;
  /** Bytes of the whole blob. */
  readonly size: number;
  /** Of the content that was read or written, where the store has such a thing. */
  readonly version?: string;
}

/** What a part says of its blob. Never a signed address: metadata is no place for secrets. */
export function placeOf(store: BlobStore, { key, size, version }: BlobInfo): BlobPlace {
  return { uri: store.uriOf(key), key, size, ...(version === undefined ? {} : { version }) };
}

/** Refuses anything but a blob store, when the stage is built. */
export function requireBlobStore(who: string, store: unknown): asserts store is BlobStore {
  if (typeof store === "object" && store !== null && "keyOf" in store && "put" in store && typeof store.keyOf === "function") return;
  throw invalidOption(who, "store", "a blob store", store);
}

/** Refuses what the store says it cannot do, when the stage is built. */
export function requireAbility(who: string, store: BlobStore, ability: BlobAbility, asking: string): void {
  const reason = store.lacks[ability];
  if (reason !== undefined) throw new MillraceError("invalid_input", `${who}: ${asking} is not for ${store.service}: ${reason}`);
}

/**
 * An error of a store, as far as it is about the one blob that a part names: `not_found` and `conflict` get scope `part`, so that
 * `isolate` sets the part aside. What a store says of its own place (a missing bucket has scope `dependency`) and of an outage
 * stays as it is.
 */
export function asFaultOfPart(error: unknown): unknown {
  if (!isMillraceError(error) || error.scope !== "delivery" || error.retryable) return error;
  if (error.code !== "not_found" && error.code !== "conflict") return error;
  const { code, message, service, status } = error;
  const known = { ...(service === undefined ? {} : { service }), ...(status === undefined ? {} : { status }) };
  return new MillraceError(code, message, { ...known, scope: "part", cause: error });
}

/** Opens a blob that a part names. */
export async function opened(store: BlobStore, key: string, options: BlobGetOptions): Promise<BlobContent> {
  try {
    return await store.get(key, options);
  } catch (error) {
    throw asFaultOfPart(error);
  }
}

/** The same content under another mime type. */
export function retyped(content: BlobContent, mimeType: string): BlobContent {
  return {
    info: { ...content.info, mimeType },
    close: () => content.close(),
    [Symbol.asyncIterator]: () => content[Symbol.asyncIterator](),
  };
}
