/**
 * Writing a file whole or not at all.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { MillraceError } from "../../core/errors.ts";
import { chunksOf } from "../../kinds/blob-chunks.ts";
import type { BlobChunks, BlobPutOptions } from "../../kinds/blob-store.ts";
import { failed, hasCode } from "./errors.ts";
import type { Root } from "./paths.ts";
import { temporary } from "./paths.ts";
import { about, type Found } from "./walk.ts";

/** Writes beside the target, syncs, then renames; with `ifAbsent` it links, which fails where a name is taken. */
export async function write(
  who: string,
  root: Root,
  path: string,
  chunks: BlobChunks,
  options: BlobPutOptions,
  ready: () => void,
): Promise<Omit<Found, "path">> {
  const { constants, link, lstat, open, realpath, rename, rm } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const name = path.slice(path.lastIndexOf("/") + 1);
  let draft: string | undefined;
  let handle: FileHandle | undefined;
  try {
    const parent = (await root.parent(path, true)) ?? "";
    const target = join(parent, name);
    if (options.ifAbsent === true && (await lstat(target).then(() => true, () => false))) throw taken(who, path);
    const beside = join(parent, temporary());
    handle = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    draft = beside;
    await root.confine(await realpath(draft), path); // the directory may have been swapped since
    for await (const chunk of chunksOf(who, chunks, options)) {
      for (let at = 0; at < chunk.byteLength; ) at += (await handle.write(chunk, at)).bytesWritten;
    }
    await handle.datasync(); // else a crash of the machine may leave the name with no content
    const stats = await handle.stat({ bigint: true });
    await handle.close();
    handle = undefined;
    ready();
    if (options.ifAbsent === true) await link(draft, target);
    else {
      await rename(draft, target);
      draft = undefined;
    }
    return about(stats);
  } catch (error) {
    if (hasCode(error, "EEXIST")) throw taken(who, path);
    if (hasCode(error, "EISDIR") || hasCode(error, "ENOTDIR") || hasCode(error, "ENOTEMPTY")) {
      throw new MillraceError("conflict", `${who}: "${path}": a directory or file is in the way`, { service: who, cause: error });
    }
    throw failed(who, path, error);
  } finally {
    await handle?.close();
    if (draft !== undefined) await rm(draft, { force: true });
  }
}

function taken(who: string, path: string): MillraceError {
  return new MillraceError("conflict", `${who}: there is a file "${path}" already`, { service: who });
}
