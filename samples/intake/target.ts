/**
 * What a folder, a file or a glob means: a root, and which files below it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, resolve, sep } from "node:path";
import { UsageError } from "./args.ts";

/** Files below a folder. */
export interface Target {
  readonly root: string;
  readonly pattern: string;
  /** Tells targets apart in the store. */
  readonly name: string;
}

/** Finds it on the disk. Throws `UsageError` where there is nothing. */
export async function findTarget(given: string): Promise<Target> {
  const path = resolve(given);
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory() === true) return named(path, "**/*");
  if (stats?.isFile() === true) return named(dirname(path), basename(path));
  const segments = path.split(sep);
  const first = segments.findIndex((segment) => /[*?[{]/.test(segment));
  if (first < 0) throw new UsageError(`there is no ${given}`);
  const root = segments.slice(0, first).join(sep) || sep;
  if ((await stat(root).catch(() => undefined))?.isDirectory() !== true) throw new UsageError(`there is no ${root}`);
  return named(root, segments.slice(first).join("/"));
}

function named(root: string, pattern: string): Target {
  return { root, pattern, name: createHash("sha256").update(`${root}\n${pattern}`).digest("hex").slice(0, 32) };
}
