import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { each, type Embedder, isImage, isText, pipe, type Processor, publish, remember, run, text, type VectorStore, type Worker, type WorkerEvent } from "millrace";
import { readFiles } from "millrace/adapters/files";
import { memoryQueue, memoryVectorStore } from "millrace/adapters/memory";
import { type FakeClock, fakeClock, mockEmbedder } from "millrace/testing";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { fileWorker } from "../../samples/intake/file-worker.ts";
import type { Outcome } from "../../samples/intake/work-queue.ts";
import { root } from "../scripts/side-folder.ts";

mkdirSync(join(root, ".cache"), { recursive: true });
const folder = mkdtempSync(join(root, ".cache", "intake-file-worker-test-"));
writeFileSync(join(folder, "scan.png"), "pixels");
writeFileSync(join(folder, "table.csv"), `id,name\n${Array.from({ length: 130 }, (_, row) => `${row},name of ${row}`).join("\n")}\n`);
writeFileSync(join(folder, "note.txt"), "What it says now.");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Milliseconds of a page or of a call of the embedder: less than a worker waits for progress, and twice as much is more. */
const longMs = 200_000;

/** Waits until it holds, for files are really read; the time limit of the test is its own. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Sleeps that are asked for one by one: time goes on only while somebody sleeps, not while files are read. */
function sleeper(clock: FakeClock) {
  let slept = 0;
  return {
    async sleep(signal: AbortSignal | undefined): Promise<void> {
      slept += 1;
      await clock.sleep(longMs, signal);
    },
    async pass(times: number): Promise<void> {
      for (let time = 1; time <= times; time += 1) {
        await until(() => slept >= time);
        await clock.advance(longMs);
      }
    },
  };
}

describe("a worker of the intake", () => {
  const started: { readonly worker: Worker; readonly clock: FakeClock }[] = [];
  /** Stops what was started; a file in progress is given some time, of the fake kind. */
  async function stopAll(): Promise<void> {
    for (const { worker, clock } of started.splice(0)) {
      const stopping = worker.stop({ deadlineMs: 0 });
      await clock.advance(1_000);
      await stopping;
    }
  }
  afterEach(stopAll);

  interface Given {
    readonly clock?: FakeClock;
    readonly store?: VectorStore;
    readonly embedder?: Embedder;
    readonly ocr?: Processor;
  }
  /** Has a file taken in; `noted` is what was written down of it, with what was stored of it then. */
  async function takingIn(pattern: string, { clock = fakeClock(), store = memoryVectorStore(), embedder = mockEmbedder(), ocr = pipe() }: Given) {
    const files = memoryQueue({ name: "files" });
    const noted: (readonly [run: string, outcome: Outcome, stored: number])[] = [];
    const events: WorkerEvent[] = [];
    await run(pipe(publish(files)), readFiles({ root: folder, pattern, as: "uri" }), { correlationId: "run-1" }).collect();
    const note = async (id: string, outcome: Outcome): Promise<void> => void noted.push([id, outcome, await store.count({ eq: ["source", outcome.path] })]);
    started.push({ clock, worker: fileWorker({ work: { files, note }, root: folder, store, embedder, ocr }, { clock, onEvent: (event) => void events.push(event) }) });
    const told = (): unknown[] => events.flatMap((event) => (event.kind === "status" && isText(event.part) ? [event.part.text] : []));
    const kinds = (): string[] => events.map(({ kind }) => kind).filter((kind) => kind !== "status");
    return { noted, events, told, kinds };
  }

  test("is given the time that a long scan takes: it tells of each page, and notes the outcome alone", async () => {
    const clock = fakeClock();
    const reading = sleeper(clock);
    const ocr = each(async function* (part, { signal }) {
      for (const page of [1, 2, 3]) {
        await reading.sleep(signal);
        yield text(`Words of page ${page}.`, { metadata: part.metadata });
      }
    }, { match: isImage });
    const { noted, told, kinds } = await takingIn("scan.png", { clock, ocr });
    await reading.pass(3);
    await until(() => kinds().length > 0);
    expect(kinds()).toEqual(["acked"]);
    expect(noted).toEqual([["run-1", { path: "scan.png", pages: 3, chunks: 3, stored: 3 }, 3]]);
    expect(told()).toEqual(expect.arrayContaining([expect.stringMatching(/^scan\.png: 1 pages/), expect.stringMatching(/^scan\.png: 2 pages/)]));
  });

  test("is given the time that many chunks take to embed", async () => {
    const clock = fakeClock();
    const [embedding, mock] = [sleeper(clock), mockEmbedder()];
    const embedder: Embedder = {
      ...mock,
      async embed(texts, context) {
        await embedding.sleep(context?.signal);
        return mock.embed(texts, context);
      },
    };
    const { noted, kinds } = await takingIn("table.csv", { clock, embedder });
    await embedding.pass(3); // 130 chunks, 64 a call
    await until(() => kinds().length > 0);
    expect(kinds()).toEqual(["acked"]);
    expect(noted).toEqual([["run-1", { path: "table.csv", pages: 1, chunks: 130, stored: 130 }, 130]]);
  });

  test("ends what it does with a file when it is stopped", async () => {
    const clock = fakeClock();
    const stopped: unknown[] = [];
    const ocr = each(async (_, { signal }) => {
      stopped.push("began");
      await clock.sleep(longMs, signal).catch(() => stopped.push("ended"));
      signal.throwIfAborted();
    }, { match: isImage });
    const { noted, kinds } = await takingIn("scan.png", { clock, ocr });
    await until(() => stopped.length === 1);
    await stopAll();
    await until(() => stopped.length === 2);
    expect([noted, kinds()]).toEqual([[], ["stopped"]]);
  });

  test("forgets what an earlier version of a file said before it notes that it gave the file up", async () => {
    const [clock, store, mock] = [fakeClock(), memoryVectorStore(), mockEmbedder()];
    const earlier = ["note.txt", "other.txt"].map((path) => text("What it said before.", { metadata: { file: { path } } }));
    await run(remember(store, mock), earlier).collect();
    const embedder: Embedder = { ...mock, embed: () => Promise.reject(new TypeError("the model is broken")) };
    const { noted, events, kinds } = await takingIn("note.txt", { clock, store, embedder });
    for (let retried = 1; retried < 5; retried += 1) {
      await until(() => kinds().length === retried);
      const last = events.at(-1);
      await clock.advance(last?.kind === "retried" ? last.delayMs : 0);
    }
    await until(() => kinds().length === 5);
    expect(kinds()).toEqual(["retried", "retried", "retried", "retried", "dead_letter"]);
    expect(noted).toEqual([["run-1", { path: "note.txt", reason: "given up after 5 attempts: unknown:TypeError", pages: 0, chunks: 0, stored: 0 }, 0]]);
    expect(await store.count({ eq: ["source", "other.txt"] })).toBe(1);
  });
});
