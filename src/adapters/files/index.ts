/**
 * Files below one directory: a blob store, and a source.
 *
 * Kind: blob store. Client: `node:fs`, on Node, Bun and Deno.
 * A file has no place for a mime type or metadata, so the ending of its name decides the one, and the other is not kept.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { mimeTypeOfName } from "../../core/mime-types.ts";
import type { BlobEntry, BlobGetOptions, BlobInfo, BlobPutOptions, BlobStore } from "../../kinds/blob-store.ts";
import { boundsOf, checkMetadata } from "../../kinds/blob-store.ts";
import { failed, hasCode } from "./errors.ts";
import { opened } from "./open.ts";
import { addressOf, checkPath, Root } from "./paths.ts";
import { walk } from "./walk.ts";
import { write } from "./write.ts";

export type { ReadFilesOptions } from "./read-files.ts";
export { readFiles } from "./read-files.ts";

const service = "files";

/** Of a blob store in a directory. */
export interface FilesOptions {
  /** The directory; it must exist. Nothing outside it is read or written, whatever links say. */
  readonly root: string;
  /** Stands in addresses, `files://<name>/<path>`, and tells stores apart. @default "" */
  readonly name?: string;
}

/**
 * Keeps blobs as files below a directory, the key being the path.
 *
 * A write goes to a temporary file beside its target (mode 0600), is synced, and takes its name at the end; so a reader sees
 * the old content or the new, and a crash leaves no half file under a key. Links inside the directory are followed when a key
 * names them, and not listed; pipes, sockets and devices are refused.
 *
 * Throws: as every blob store; `refused` for a path that leads out; `unauthorized`, `unavailable` for what the system refuses.
 * Closes: the files still open.
 *
 * @example
 * await using store = files({ root: "./reports" });
 * for await (const part of run(load(store), uri(store.uriOf("2026/may.pdf"), "application/pdf"))) console.log(part.kind); // bytes
 */
export function files(options: FilesOptions): BlobStore {
  const { name = "" } = options;
  const root = new Root(service, options.root);
  const open = new Set<() => Promise<void>>();
  let closed = false;
  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: the store is closed`, { service });
    signal?.throwIfAborted();
  };
  const close = async (): Promise<void> => {
    closed = true;
    await Promise.all([...open].map((close) => close()));
  };
  return {
    service,
    lacks: {
      metadata: "a file has no place for metadata",
      mimeType: "the ending of a file's name decides its mime type",
    },
    uriOf: (key) => addressOf(name, checkPath(service, key)),
    keyOf(uri) {
      const base = addressOf(name, "");
      if (!uri.startsWith(base)) return undefined;
      try {
        return decodeURIComponent(uri.slice(base.length));
      } catch {
        return undefined; // a broken escape is nobody's address
      }
    },
    async get(key, { signal, range, ifVersion }: BlobGetOptions = {}) {
      ready(signal);
      const handle = await root.open(checkPath(service, key));
      const bounds = (info: BlobInfo): { readonly start: number; readonly end: number } => {
        ready(signal); // the store may have been closed while the file was opened
        if (ifVersion !== undefined && ifVersion !== info.version) {
          throw new MillraceError("conflict", `${service}: "${key}" has changed since version ${ifVersion}`, { service });
        }
        return boundsOf(service, range, info.size);
      };
      return opened(service, handle, { key, mimeType: mimeTypeOfName(key) }, bounds, () => ready(signal), open);
    },
    async put(key, chunks, options: BlobPutOptions = {}) {
      ready(options.signal);
      checkPath(service, key);
      checkMetadata(service, options.metadata);
      return { key, mimeType: mimeTypeOfName(key), metadata: {}, ...(await write(service, root, key, chunks, options, () => ready(options.signal))) };
    },
    async *list({ signal, prefix = "" } = {}) {
      ready(signal);
      const below = walk<true>(service, root, {
        start: true,
        enter: (_, __, path) => (prefix.startsWith(`${path}/`) || path.startsWith(prefix) || `${path}/`.startsWith(prefix) ? true : undefined),
        take: (_, __, path) => path.startsWith(prefix),
        sorted: false,
      });
      for await (const { path, ...about } of below) {
        yield { key: path, ...about } satisfies BlobEntry;
        ready(signal);
      }
    },
    async delete(keys, { signal } = {}) {
      ready(signal);
      for (const key of [...keys].map((key) => checkPath(service, key))) await remove(root, key);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A link is removed, not what it points at; a directory is no blob. */
async function remove(root: Root, key: string): Promise<void> {
  const { lstat, unlink } = await import("node:fs/promises");
  const { join } = await import("node:path");
  try {
    const parent = await root.parent(key, false);
    if (parent === undefined) return;
    const target = join(parent, key.slice(key.lastIndexOf("/") + 1));
    if (!(await lstat(target)).isDirectory()) await unlink(target);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw failed(service, key, error);
  }
}
