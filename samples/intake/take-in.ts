/**
 * One intake of a target: what is new or changed is read, what is gone is forgotten.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { type Embedder, forget, pipe, run, type VectorStore } from "millrace";
import { readFiles } from "millrace/adapters/files";
import { tesseract } from "millrace/adapters/tesseract";
import { handOut, type Workers } from "./hand-out.ts";
import { ingest, type Ingested, pathOf } from "./ingest.ts";
import { knownFiles } from "./known-files.ts";
import { progress, type ProgressOutput } from "./progress.ts";
import type { Stage } from "./read.ts";
import type { Totals } from "./report.ts";
import type { Target } from "./target.ts";

/** Where to, and how. */
export interface TakeIn {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  /** Where the lists of known files are. */
  readonly data: string;
  /** Forget everything first. */
  readonly fresh: boolean;
  /** Who does it. @default this process */
  readonly workers?: Workers | undefined;
  readonly signal: AbortSignal;
  readonly progress: ProgressOutput;
}

/** Takes the files in; on an abort what was done so far stays. */
export async function takeIn({ root, pattern, name }: Target, { store, embedder, data, fresh, workers, signal, progress: output }: TakeIn): Promise<Totals> {
  const start = performance.now();
  const known = await knownFiles(data, name);
  const files = await run(pipe(), readFiles({ root, pattern, as: "uri" }), { signal }).collect();
  const paths = files.map(pathOf);
  const gone = await known.gone(paths);
  await forget(store, fresh ? [...gone, ...paths] : gone, { signal });

  const bars = progress<Stage>(["files", "pages", "chunks", "stored"], output);
  bars.total("files", files.length);
  const ingestHere = async (): Promise<Ingested> => {
    const concurrency = Math.min(4, availableParallelism());
    await using ocr = tesseract({ workers: concurrency });
    return await ingest(files, { root, store, embedder, ocr, concurrency, signal, count: bars.count });
  };
  try {
    const ingested = await (workers === undefined ? ingestHere() : handOut(files, { root, store, workers, signal, count: bars.count }));
    await known.keep(paths);
    return { ...ingested, counts: bars.counts, removed: gone.length, seconds: (performance.now() - start) / 1_000 };
  } finally {
    bars.close();
  }
}
