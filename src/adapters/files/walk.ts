/**
 * Going through a tree of files. Links are not followed, so no tree is endless and none leads out.
 *
 * @module
 */
import type { Dirent } from "node:fs";
import { failed, hasCode } from "./errors.ts";
import type { Root } from "./paths.ts";
import { isNameable } from "./paths.ts";

/** A file that was met: its path below the root, with `/`, and what it is. */
export interface Found {
  readonly path: string;
  readonly size: number;
  readonly modifiedMs: number;
  readonly version: string;
}

/** What decides the way. `S` is what the caller knows of a directory. */
export interface Way<S> {
  readonly start: S;
  /** Into this directory? `undefined` for no. */
  enter(state: S, name: string, path: string): S | undefined;
  /** This file? */
  take(state: S, name: string, path: string): boolean;
  /** In natural order (`2.txt` before `10.txt`), for the memory of the names of a directory. */
  readonly sorted: boolean;
}

/** One locale for all machines; code units decide between names that it holds for equal. */
const collator = new Intl.Collator("en", { numeric: true });

/** Names as a person would order them. */
export function naturalOrder(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/**
 * Yields the regular files below the root. Names that are no keys (`con`, a trailing dot, a backslash) are left out, as are
 * files that vanish meanwhile.
 */
export async function* walk<S>(who: string, root: Root, way: Way<S>): AsyncGenerator<Found> {
  yield* below(who, await root.real(), "", way.start, way);
}

async function* below<S>(who: string, directory: string, prefix: string, state: S, way: Way<S>): AsyncGenerator<Found> {
  const { lstat } = await import("node:fs/promises");
  const { join } = await import("node:path");
  for await (const entry of entries(who, directory, prefix, way.sorted)) {
    const path = prefix + entry.name;
    if (entry.isDirectory()) {
      const inner = way.enter(state, entry.name, path);
      if (inner !== undefined && isNameable(path)) yield* below(who, join(directory, entry.name), `${path}/`, inner, way);
    } else if (entry.isFile() && way.take(state, entry.name, path) && isNameable(path)) {
      try {
        const stats = await lstat(join(directory, entry.name), { bigint: true });
        if (stats.isFile()) yield { path, ...about(stats) };
      } catch (error) {
        if (!hasCode(error, "ENOENT")) throw failed(who, path, error);
      }
    }
  }
}

/** What is told of a file. The version changes with every write: a new file gets a new inode, an edit a new time. */
export function about(stats: { readonly size: bigint; readonly mtimeMs: bigint; readonly mtimeNs: bigint; readonly ino: bigint }): Omit<Found, "path"> {
  return { size: Number(stats.size), modifiedMs: Number(stats.mtimeMs), version: `${stats.mtimeNs}-${stats.size}-${stats.ino}` };
}

async function* entries(who: string, directory: string, prefix: string, sorted: boolean): AsyncGenerator<Dirent> {
  const { opendir, readdir, realpath } = await import("node:fs/promises");
  try {
    if ((await realpath(directory)) !== directory) return; // a link by now
    if (sorted) yield* (await readdir(directory, { withFileTypes: true })).sort((a, b) => naturalOrder(a.name, b.name));
    else yield* await opendir(directory); // its iterator closes it
  } catch (error) {
    if (prefix === "" || !hasCode(error, "ENOENT")) throw failed(who, prefix, error);
  }
}
