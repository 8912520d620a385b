/**
 * Blobs in memory: the reference of the kind, for tests and small things.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { unknownMimeType } from "../../core/mime-types.ts";
import { chunksOf } from "../../kinds/blob-chunks.ts";
import { checkKey } from "../../kinds/blob-keys.ts";
import type { BlobContent, BlobGetOptions, BlobInfo, BlobPutOptions, BlobStore } from "../../kinds/blob-store.ts";
import { boundsOf, checkMetadata } from "../../kinds/blob-store.ts";
export { memoryKeyValue, type MemoryKeyValueOptions } from "./key-value.ts";
export { type MemoryQueue, memoryQueue, type MemoryQueueOptions } from "./queue.ts";
export { memoryVectorStore, type MemoryVectorStoreOptions } from "./vector-store.ts";

const service = "memory";

/** Of a blob store in memory. */
export interface MemoryBlobStoreOptions {
  /** Stands in addresses, `memory://<name>/<key>`, and tells stores apart. @default "blobs" */
  readonly name?: string;
}

interface Entry {
  readonly info: BlobInfo;
  readonly chunks: readonly Uint8Array[];
}

/**
 * Keeps blobs in memory. What is put is copied, what is got is not to be written to.
 *
 * Throws: as every blob store.
 * Closes: forgets all it holds.
 *
 * @example
 * await using store = memoryBlobStore();
 * await store.put("a.txt", [new TextEncoder().encode("hello")], { mimeType: "text/plain" });
 * for await (const { key, size } of store.list()) console.log(key, size); // a.txt 5
 */
export function memoryBlobStore(options: MemoryBlobStoreOptions = {}): BlobStore {
  const base = `memory://${encodeURIComponent(options.name ?? "blobs")}/`;
  const entries = new Map<string, Entry>();
  let closed = false;
  let writes = 0;
  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: the store is closed`, { service });
    signal?.throwIfAborted();
  };
  const refuseTaken = (key: string): void => {
    if (entries.has(key)) throw new MillraceError("conflict", `${service}: there is a blob "${key}" already`, { service });
  };
  const close = async (): Promise<void> => {
    closed = true;
    entries.clear();
  };
  return {
    service,
    lacks: {},
    uriOf: (key) => base + checkKey(service, key).split("/").map(encodeURIComponent).join("/"),
    keyOf(uri) {
      if (!uri.startsWith(base)) return undefined;
      try {
        return decodeURIComponent(uri.slice(base.length));
      } catch {
        return undefined; // a broken escape is nobody's address
      }
    },
    async get(key, { signal, range, ifVersion }: BlobGetOptions = {}) {
      ready(signal);
      const entry = entries.get(checkKey(service, key));
      if (entry === undefined) throw new MillraceError("not_found", `${service}: no blob "${key}"`, { service });
      if (ifVersion !== undefined && ifVersion !== entry.info.version) {
        throw new MillraceError("conflict", `${service}: "${key}" has changed since version ${ifVersion}`, { service });
      }
      const { start, end } = boundsOf(service, range, entry.info.size);
      return content(entry, start, end, () => ready(signal));
    },
    async put(key, chunks, options: BlobPutOptions = {}) {
      const { signal, mimeType = unknownMimeType, ifAbsent } = options;
      ready(signal);
      checkKey(service, key);
      const metadata = checkMetadata(service, options.metadata);
      if (ifAbsent === true) refuseTaken(key);
      const copies: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of chunksOf(service, chunks, options)) {
        copies.push(new Uint8Array(chunk));
        size += chunk.byteLength;
      }
      ready(signal);
      if (ifAbsent === true) refuseTaken(key); // somebody may have come first meanwhile
      writes += 1;
      const info: BlobInfo = { key, size, mimeType, modifiedMs: Date.now(), version: String(writes), metadata };
      entries.set(key, { info, chunks: copies });
      return info;
    },
    async *list({ signal, prefix = "" } = {}) {
      ready(signal);
      for (const [key, { info }] of entries) {
        if (!key.startsWith(prefix)) continue;
        yield info;
        ready(signal);
      }
    },
    async delete(keys, { signal } = {}) {
      ready(signal);
      for (const key of [...keys].map((key) => checkKey(service, key))) entries.delete(key);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function content(entry: Entry, start: number, end: number, ready: () => void): BlobContent {
  const iterator = slices(entry.chunks, start, end, ready);
  return {
    info: entry.info,
    [Symbol.asyncIterator]: () => iterator,
    async close() {
      await iterator.return(undefined);
    },
  };
}

async function* slices(chunks: readonly Uint8Array[], start: number, end: number, ready: () => void): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const chunk of chunks) {
    ready();
    const piece = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
    if (piece.byteLength > 0) yield piece;
    at += chunk.byteLength;
    if (at >= end) return;
  }
}
