/**
 * A worker of the intake: takes files from the queue of a target, as many as there are of it, on as many machines as see the same files
 * below the same path: `DATABASE_URL=… node --conditions=millrace-source samples/intake/worker.ts FOLDER|FILE|GLOB`.
 *
 * A file is acknowledged once its chunks are stored and its outcome is written down. A worker may be killed at any moment: its file is
 * another's after some seconds, and what had been stored of it is found to be so, or stored again in its place.
 *
 * Ends at SIGTERM, at SIGINT, and with `--until-stdin-ends` when whoever started it is gone.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { consume, each, isJson, isUri, json, type JsonValue, namespaced, stopOnSignals } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { tesseract } from "millrace/adapters/tesseract";
import { databaseUrl, openServer } from "./database.ts";
import { ingest, pathOf } from "./ingest.ts";
import { findTarget } from "./target.ts";
import { type Outcome, openWorkQueue } from "./work-queue.ts";

/** For the file at hand, when the worker is to end; what is not done by then is another's at once. */
const deadlineMs = 3_000;

const { values, positionals } = parseArgs({ options: { "until-stdin-ends": { type: "boolean" } }, allowPositionals: true });
const [given] = positionals;
const url = databaseUrl();
if (given === undefined || url === undefined) {
  console.error("usage: DATABASE_URL=postgres://… worker.ts FOLDER|FILE|GLOB [--until-stdin-ends]");
  process.exit(2);
}
const { root, name } = await findTarget(given);
await using embedder = localEmbedder();
await using database = await openServer(url, embedder.dimensions);
await using work = await openWorkQueue(url, name);
await using ocr = tesseract({ workers: 1 });
const store = namespaced(database.store, name);

/** One file, whole. What throws here is not the file's fault. */
const takeIn = each(
  async (address, { signal }) => {
    const path = pathOf(address);
    const counts = { files: 0, pages: 0, chunks: 0, stored: 0 };
    const { dead: [letter] } = await ingest([address], { root, store, embedder, ocr, concurrency: 1, signal, count: (stage) => void (counts[stage] += 1) });
    // asked for, as a worker that died may have stored it: this one had nothing to do then
    const stored = await store.count({ eq: ["source", path] }, { signal });
    const outcome: Outcome = { path, pages: counts.pages, chunks: counts.chunks, stored, ...(letter === undefined ? {} : { reason: letter.reason }) };
    return json({ ...outcome });
  },
  { match: isUri, name: "take in" },
);

const worker = consume(
  work.files,
  takeIn,
  async (part, { delivery: { correlationId = "" }, signal }) => {
    if (isJson(part)) await work.note(correlationId, outcomeOf(part.value), signal);
  },
  {
    async deadLetter({ letter, parts: [address], delivery: { correlationId = "" }, signal }) {
      const reason = `given up after ${letter.attempt} attempts: ${letter.code}`;
      await work.note(correlationId, { path: address === undefined ? "?" : pathOf(address), reason, pages: 0, chunks: 0, stored: 0 }, signal);
    },
  },
);
using _ = stopOnSignals(worker, { deadlineMs });
if (values["until-stdin-ends"] === true) process.stdin.once("end", () => void worker.stop({ deadlineMs })).resume();
await worker.finished;
process.stdin.destroy(); // it would keep the process

/** As `takeIn` has made it. */
function outcomeOf(value: JsonValue): Outcome {
  return value as unknown as Outcome;
}
