/**
 * Writing a file whole or not at all.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { MillraceError } from "../../core/errors.ts";
import { chunkBytes } from "./byte-source.ts";
import { fileFault, type Stamp, stampOf } from "./file-stamp.ts";

/**
 * Writes the bytes and their SHA-256 beside the file, syncs, and renames: whoever is killed meanwhile leaves the old file, and one
 * `.…tmp` beside it. Gives the stamp of the new file.
 *
 * Throws: `conflict` when the file is not `expected` any more; whatever the file system has; the signal's reason until the rename.
 */
export async function saveFile(service: string, path: string, bytes: Iterable<Uint8Array>, expected: Stamp | undefined, signal: AbortSignal | undefined): Promise<Stamp> {
  const { open, rename, rm, stat } = await import("node:fs/promises");
  const { basename, dirname, join } = await import("node:path");
  const { createHash, randomUUID } = await import("node:crypto");
  const who = `${service}: "${basename(path)}"`;
  const draft = join(dirname(path), `.${basename(path)}-${randomUUID()}.tmp`);
  const hash = createHash("sha256");
  let handle: FileHandle | undefined;
  let isThere = false;
  try {
    handle = await open(draft, "wx", 0o600);
    isThere = true;
    for (const chunk of joined(bytes)) {
      signal?.throwIfAborted();
      hash.update(chunk);
      await writeAll(handle, chunk);
    }
    await writeAll(handle, hash.digest());
    await handle.sync(); // else a crash of the machine may leave the name with no content
    const stamp = stampOf(await handle.stat({ bigint: true }));
    await handle.close();
    handle = undefined;
    const now = await stat(path, { bigint: true }).then(stampOf, (error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    });
    if (now !== expected) {
      throw new MillraceError("conflict", `${who} was changed by somebody else since it was read`, { service, scope: "process" });
    }
    signal?.throwIfAborted();
    await rename(draft, path);
    isThere = false;
    await syncDirectory(dirname(path));
    return stamp;
  } catch (error) {
    throw fileFault(who, error);
  } finally {
    await handle?.close();
    if (isThere) await rm(draft, { force: true });
  }
}

/** Small pieces put together: a call of the system for each would take longer than the writing. */
function* joined(bytes: Iterable<Uint8Array>): Generator<Uint8Array> {
  let buffer = new Uint8Array(chunkBytes);
  let used = 0;
  for (const piece of bytes) {
    if (used + piece.length > buffer.length) {
      yield buffer.subarray(0, used);
      buffer = new Uint8Array(chunkBytes);
      used = 0;
    }
    if (piece.length > buffer.length) yield piece;
    else {
      buffer.set(piece, used);
      used += piece.length;
    }
  }
  yield buffer.subarray(0, used);
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength; ) at += (await handle.write(chunk, at)).bytesWritten;
}

/** Makes the new name last. Where a directory cannot be opened as a file, as on Windows, the system sees to it itself. */
async function syncDirectory(directory: string): Promise<void> {
  const { open } = await import("node:fs/promises");
  const handle = await open(directory, "r").catch(() => undefined);
  if (handle === undefined) return;
  try {
    await handle.sync();
  } catch {
    // a file system that cannot sync a directory
  } finally {
    await handle.close();
  }
}
