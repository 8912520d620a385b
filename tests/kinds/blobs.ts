/**
 * What the tests of the blob verbs share: stores that write down what is done to them, and small helpers.
 *
 * @module
 */
import type { BlobChunks, BlobContent, BlobGetOptions, BlobInfo, BlobPutOptions, BlobStore } from "../../src/kinds/blob-store.ts";
import { isMillraceError, type Part } from "../../src/index.ts";

/** A store and its record. */
export interface WatchedStore extends BlobStore {
  /** Contents that were opened, closed at least once, and the chunks that were read. */
  readonly contents: { opened: number; closed: number; chunks: number };
  /** What `put` was told. */
  readonly puts: { readonly key: string; readonly options: BlobPutOptions }[];
  /** Calls of `get` and `put` in progress: now and at most. */
  readonly active: { now: number; most: number };
}

/** Steps in: `beforeGet` and `beforePut` run in each call, before the store does anything; `lacks` replaces the store's own. */
export interface Watching {
  readonly beforeGet?: (key: string) => Promise<unknown> | undefined;
  readonly beforePut?: (key: string) => Promise<unknown> | undefined;
  readonly lacks?: BlobStore["lacks"];
}

/** The same store, watched. */
export function watchedStore(store: BlobStore, { beforeGet, beforePut, lacks = store.lacks }: Watching = {}): WatchedStore {
  const contents = { opened: 0, closed: 0, chunks: 0 };
  const active = { now: 0, most: 0 };
  const puts: WatchedStore["puts"] = [];
  const counted = async <T>(call: () => Promise<T>): Promise<T> => {
    active.now += 1;
    active.most = Math.max(active.most, active.now);
    try {
      return await call();
    } finally {
      active.now -= 1;
    }
  };
  const watched = (content: BlobContent): BlobContent => {
    contents.opened += 1;
    let closed = false;
    return {
      info: content.info,
      async *[Symbol.asyncIterator]() {
        for await (const chunk of content) {
          contents.chunks += 1;
          yield chunk;
        }
      },
      async close() {
        if (!closed) contents.closed += 1;
        closed = true;
        await content.close();
      },
    };
  };
  return {
    ...store,
    lacks,
    contents,
    puts,
    active,
    get: (key: string, options?: BlobGetOptions) =>
      counted(async () => {
        await beforeGet?.(key);
        return watched(await store.get(key, options));
      }),
    put: (key: string, chunks: BlobChunks, options: BlobPutOptions = {}): Promise<BlobInfo> =>
      counted(async () => {
        puts.push({ key, options });
        await beforePut?.(key);
        return store.put(key, chunks, options);
      }),
  };
}

/** Bytes of a text in UTF-8. */
export const utf8 = (content: string): Uint8Array => new TextEncoder().encode(content);

/** All keys of a store, sorted. */
export async function keysOf(store: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list()) keys.push(key);
  return keys.sort();
}

/** The bytes under a key. */
export async function bytesAt(store: BlobStore, key: string): Promise<Uint8Array> {
  const content = await store.get(key);
  const whole = new Uint8Array(content.info.size);
  let at = 0;
  for await (const chunk of content) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** What a part says of its blob. */
export const blobOf = (part: Part | undefined): { readonly uri: string; readonly key: string; readonly size: number; readonly version?: string } =>
  part?.metadata["blob"] as ReturnType<typeof blobOf>;

/** Code and scope of the error that a promise rejects with. */
export async function fault(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return isMillraceError(error) ? `${error.code} ${error.scope}` : String(error);
  }
  return "no error";
}
