/**
 * What a worker does with the files of a queue: each is taken in whole, and what became of it is written down.
 *
 * @module
 */
import { consume, type ConsumeOptions, each, type Embedder, forget, isJson, isUri, json, type JsonValue, type Processor, status, type VectorStore, type Worker } from "millrace";
import { ingest, pathOf } from "./ingest.ts";
import type { Outcome, WorkQueue } from "./work-queue.ts";

/** What it needs. */
export interface FileWork {
  readonly work: Pick<WorkQueue, "files" | "note">;
  readonly root: string;
  readonly store: VectorStore;
  readonly embedder: Embedder;
  /** Text of images. */
  readonly ocr: Processor;
}

/** Takes files in, one at a time, until it is stopped. */
export function fileWorker({ work, ...about }: FileWork, options: Pick<ConsumeOptions, "clock" | "onEvent"> = {}): Worker {
  return consume(
    work.files,
    takeInFile(about),
    async (part, { delivery: { correlationId = "" }, signal }) => {
      if (isJson(part)) await work.note(correlationId, outcomeOf(part.value), signal);
    },
    {
      ...options,
      async deadLetter({ letter, parts: [address], delivery: { correlationId = "" }, signal }) {
        const path = address === undefined ? "?" : pathOf(address);
        await forget(about.store, [path], { signal }); // as `ingest` does with what cannot be read
        const reason = `given up after ${letter.attempt} attempts: ${letter.code}`;
        await work.note(correlationId, { path, reason, pages: 0, chunks: 0, stored: 0 }, signal);
      },
    },
  );
}

/**
 * One file, whole. What throws here is not the file's fault.
 *
 * It tells of what it counts, and of each call of the embedder, for which a book needs minutes: a worker gives up what makes no progress.
 */
function takeInFile({ root, store, embedder, ocr }: Omit<FileWork, "work">): Processor {
  return each(
    async function* (address, { signal }) {
      const path = pathOf(address);
      const counts = { files: 0, pages: 0, chunks: 0, stored: 0 };
      const left = new AbortController();
      const state = { isOver: false, moved: Promise.withResolvers<void>() };
      const count = (stage: keyof typeof counts): void => {
        counts[stage] += 1;
        state.moved.resolve();
      };
      const heard = hearing(embedder, () => state.moved.resolve());
      const stop = AbortSignal.any([signal, left.signal]);
      const working = ingest([address], { root, store, embedder: heard, ocr, concurrency: 1, signal: stop, count }).finally(() => {
        state.isOver = true;
        state.moved.resolve();
      });
      working.catch(() => {}); // thrown below
      try {
        for (;;) {
          await state.moved.promise;
          if (state.isOver) break;
          state.moved = Promise.withResolvers();
          yield status(`${path}: ${counts.pages} pages, ${counts.chunks} chunks`);
        }
        const { dead: [letter] } = await working;
        // asked for, as a worker that died may have stored it: this one had nothing to do then
        const stored = await store.count({ eq: ["source", path] }, { signal });
        const outcome: Outcome = { path, pages: counts.pages, chunks: counts.chunks, stored, ...(letter === undefined ? {} : { reason: letter.reason }) };
        yield json({ ...outcome });
      } finally {
        left.abort();
        await working.catch(() => {});
      }
    },
    { match: isUri, name: "take in" },
  );
}

/** The same embedder; hears of each call that was answered. */
function hearing(embedder: Embedder, onAnswer: () => void): Embedder {
  return {
    ...embedder,
    async embed(texts, context) {
      const vectors = await embedder.embed(texts, context);
      onAnswer();
      return vectors;
    },
  };
}

/** As `takeInFile` has made it. */
function outcomeOf(value: JsonValue): Outcome {
  return value as unknown as Outcome;
}
