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
import { namespaced, stopOnSignals } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { tesseract } from "millrace/adapters/tesseract";
import { databaseUrl, openServer } from "./database.ts";
import { fileWorker } from "./file-worker.ts";
import { findTarget } from "./target.ts";
import { openWorkQueue } from "./work-queue.ts";

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

const worker = fileWorker({ work, root, store: namespaced(database.store, name), embedder, ocr });
using _ = stopOnSignals(worker, { deadlineMs });
if (values["until-stdin-ends"] === true) process.stdin.once("end", () => void worker.stop({ deadlineMs })).resume();
await worker.finished;
process.stdin.destroy(); // it would keep the process
