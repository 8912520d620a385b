/**
 * The files that were taken in before, so that what is said of those that are gone is forgotten.
 *
 * @module
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The list of one target, kept beside the database. */
export interface KnownFiles {
  /** Those that are no longer there; they stay on the list until `keep`. */
  gone(present: readonly string[]): Promise<readonly string[]>;
  /** Only these are known from now on. */
  keep(present: readonly string[]): Promise<void>;
}

/** Opens the list; there may be none yet. */
export async function knownFiles(folder: string, name: string): Promise<KnownFiles> {
  const path = join(folder, `${name}.json`);
  const write = async (files: Iterable<string>): Promise<void> => {
    await mkdir(folder, { recursive: true });
    await writeFile(`${path}.new`, JSON.stringify([...files]));
    await rename(`${path}.new`, path);
  };
  const text = await readFile(path, "utf8").catch(() => "[]");
  const known: unknown = JSON.parse(text);
  const before = new Set(Array.isArray(known) ? known.map(String) : []);
  return {
    async gone(present) {
      const now = new Set(present);
      await write(new Set([...before, ...now])); // also after a crash, what was stored is on the list
      return [...before].filter((path) => !now.has(path));
    },
    keep: write,
  };
}
