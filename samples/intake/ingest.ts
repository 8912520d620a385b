/**
 * Takes documents in: files, read by their type, split, embedded, remembered.
 *
 * @module
 */
import { type Embedder, forget, isMillraceError, isolate, type Part, pipe, type Processor, remember, run, type VectorStore } from "millrace";
import { changedFiles } from "./changes.ts";
import { readDocuments, type Stage } from "./read.ts";

/** A file that could not be read, and why. */
export interface DeadLetter {
  readonly path: string;
  readonly reason: string;
}

/** What a run needs. */
export interface Ingest {
  readonly root: string;
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly ocr: Processor;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  count(stage: Stage): void;
}

/** How it went. */
export interface Ingested {
  readonly unchanged: number;
  readonly dead: readonly DeadLetter[];
}

/** Runs over the addresses of files. What throws is no file's fault: an abort, a database that is away. */
export async function ingest(addresses: readonly Part[], { root, store, embedder, ocr, concurrency, signal, count }: Ingest): Promise<Ingested> {
  const dead: DeadLetter[] = [];
  let unchanged = 0;
  const intake = pipe(
    isolate(
      pipe(
        changedFiles(root, store, () => {
          unchanged += 1;
          count("files");
        }),
        readDocuments({ root, ocr, concurrency, count }),
      ),
      {
        onError(error, part) {
          dead.push({ path: pathOf(part), reason: isMillraceError(error) ? error.message : String(error) });
          count("files");
        },
      },
    ),
    remember(store, embedder, { concurrency }),
  );
  await run(intake, addresses, { signal }).forEach(() => count("stored"));
  await forget(store, dead.map(({ path }) => path), { signal }); // what an earlier version of the file said is not so any more
  return { unchanged, dead: dead.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

/** The name of a file below the root. */
export function pathOf(part: Part): string {
  const { file } = part.metadata;
  return typeof file === "object" && file !== null && "path" in file ? String(file.path) : "?";
}
