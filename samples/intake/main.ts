/**
 * Takes a folder of documents in, and answers questions about them: `npm start`, `npm start -- --help`.
 *
 * @module
 */
import { join, relative } from "node:path";
import { type Embedder, isText, namespaced, pipe, run, type VectorStore } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { abortOnInterrupt, terminalInput, terminalOutput } from "millrace/adapters/terminal";
import { answer } from "./answer.ts";
import { type Args, help, readArgs, UsageError } from "./args.ts";
import { databaseName, databaseUrl, openDatabase } from "./database.ts";
import { openAnswerer } from "./model.ts";
import { placeOf } from "./passages.ts";
import shipped from "./questions.json" with { type: "json" };
import { report, type Totals } from "./report.ts";
import { type TakeIn, takeIn } from "./take-in.ts";
import { findTarget, type Target } from "./target.ts";
import { openWorkQueue } from "./work-queue.ts";
import { startWorkers } from "./worker-processes.ts";

const here = import.meta.dirname;
/** What is still open after an interrupt gets this long to close. */
const closingMs = 700;

using interrupt = abortOnInterrupt();
const { signal } = interrupt;
signal.addEventListener("abort", () => setTimeout(() => process.exit(130), closingMs).unref(), { once: true });
try {
  const args = readArgs(process.argv.slice(2), join(here, "inbox"), join(here, "..", "..", ".cache", "intake"));
  if (args === undefined) console.log(help);
  else await main(args);
} catch (error) {
  process.exitCode = signal.aborted ? 130 : error instanceof UsageError ? 2 : 1;
  if (signal.aborted) console.error("interrupted");
  else if (error instanceof UsageError) console.error(`${error.message}\nSee --help.`);
  else console.error(error instanceof Error ? error.message : error);
}

async function main(args: Args): Promise<void> {
  const { data, fresh, workers: count } = args;
  const url = databaseUrl();
  if (count !== undefined && url === undefined) throw new UsageError("--workers needs DATABASE_URL: a Postgres with pgvector, which all of them reach");
  const target = await findTarget(args.target);
  console.log(`Taking ${relative(process.cwd(), args.target) || "."} into ${databaseName(data)}\n`);
  await using embedder = localEmbedder();
  await using database = await openDatabase(data, embedder.dimensions);
  signal.throwIfAborted();
  const store = namespaced(database.store, target.name);
  const about = { store, embedder, data, fresh, signal, progress: process.stderr };
  const alone = count === undefined || url === undefined;
  console.log(report(await (alone ? takeIn(target, about) : takeInByWorkers(target, about, { given: args.target, count, url }))));
  if (args.ask !== "none") await askAll(args, store, embedder);
}

interface ByWorkers {
  /** The target, as it was given to this program. */
  readonly given: string;
  readonly count: number;
  readonly url: string;
}

/** Takes it in by workers, which end with this process. */
async function takeInByWorkers(target: Target, about: TakeIn, { given, count, url }: ByWorkers): Promise<Totals> {
  await using queue = await openWorkQueue(url, target.name);
  await using processes = startWorkers(given, count);
  console.log(count === 0 ? "Waiting for workers that were started elsewhere\n" : `Workers: ${processes.pids.join(", ")}\n`);
  const totals = await takeIn(target, { ...about, workers: { queue, signal: processes.signal } });
  if (processes.lost.length > 0) console.log(`Lost workers: ${processes.lost.join(", ")}\n`);
  return totals;
}

async function askAll({ ask, questions }: Args, store: VectorStore, embedder: Embedder): Promise<void> {
  await using answerer = await openAnswerer();
  console.log(`\nAnswers by ${answerer.name}`);
  const typed = ask === "prompt";
  const lines = typed ? terminalInput({ prompt: "\n? " }) : ask === "given" ? questions : shipped.map(({ question }) => question);
  for await (const line of run(pipe(), lines, { signal })) {
    if (!isText(line) || line.text.trim() === "") continue;
    if (!typed || !process.stdin.isTTY) console.log(`\n? ${line.text}`);
    const cited = await answer(line.text, { store, embedder, model: answerer.model, output: terminalOutput(), signal });
    if (!process.stdout.isTTY) console.log();
    for (const [number, passage] of cited) console.log(`  [${number}] ${placeOf(passage)}`);
  }
}
