/**
 * The intake of many: files that have changed are handed out to workers, and it is waited for what becomes of them.
 *
 * A file is stored whole or not at all, so a run that was killed, its workers too, is gone on with by the next.
 *
 * @module
 */
import { forget, isMillraceError, isolate, type Part, pipe, publish, run, systemClock, type VectorStore } from "millrace";
import { changedFiles } from "./changes.ts";
import { type DeadLetter, type Ingested, pathOf } from "./ingest.ts";
import type { Stage } from "./read.ts";
import type { WorkQueue } from "./work-queue.ts";

/** Who does the work. */
export interface Workers {
  readonly queue: WorkQueue;
  /** Aborts when there is nobody left who could do it. */
  readonly signal: AbortSignal;
}

/** What handing out needs. */
export interface HandOut {
  readonly root: string;
  readonly store: VectorStore;
  readonly workers: Workers;
  readonly signal: AbortSignal;
  count(stage: Stage): void;
}

/** Messages on their way to the queue at once. */
const concurrency = 16;
/** Milliseconds between two looks at what has been done. */
const lookMs = 100;

/** As `ingest`, by others. */
export async function handOut(addresses: readonly Part[], { root, store, workers, signal: interrupt, count }: HandOut): Promise<Ingested> {
  const signal = AbortSignal.any([interrupt, workers.signal]);
  const id = crypto.randomUUID();
  const dead: DeadLetter[] = [];
  let unchanged = 0;
  const asking = pipe(
    isolate(
      changedFiles(root, store, () => {
        unchanged += 1;
        count("files");
      }),
      {
        onError(error, part) {
          dead.push({ path: pathOf(part), reason: isMillraceError(error) ? error.message : String(error) });
          count("files");
        },
      },
    ),
    publish(workers.queue.files, { concurrency }),
  );
  const waiting = new Set<string>();
  await run(asking, addresses, { signal, correlationId: id }).forEach((part) => void waiting.add(pathOf(part)));
  await forget(store, dead.map(({ path }) => path), { signal }); // the workers do so for what they cannot read or give up

  while (waiting.size > 0) {
    for (const { path, reason, pages, chunks, stored } of await workers.queue.take(id, signal)) {
      if (!waiting.delete(path)) continue; // two workers had it, one after the other
      if (reason !== undefined) dead.push({ path, reason });
      count("files");
      for (const [stage, times] of Object.entries({ pages, chunks, stored }) as [Stage, number][]) for (let at = 0; at < times; at += 1) count(stage);
    }
    if (waiting.size > 0) await systemClock.sleep(lookMs, signal);
  }
  return { unchanged, dead: dead.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}
