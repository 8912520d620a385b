/**
 * Asks the shipped questions and counts the answers that hold the expected fact and cite the right file and page:
 * `npm run intake:check`.
 *
 * @module
 */
import { join } from "node:path";
import { isText, namespaced, tap } from "millrace";
import { localEmbedder } from "millrace/adapters/local-embedder";
import { answer } from "./answer.ts";
import { openDatabase } from "./database.ts";
import { pathOf } from "./ingest.ts";
import { openAnswerer } from "./model.ts";
import { pageOf } from "./passages.ts";
import questions from "./questions.json" with { type: "json" };
import { takeIn } from "./take-in.ts";
import { findTarget } from "./target.ts";

/** Of twenty. */
const needed = 17;

const [data = join(import.meta.dirname, "..", "..", ".cache", "intake")] = process.argv.slice(2);
const { signal } = new AbortController();
const target = await findTarget(join(import.meta.dirname, "inbox"));
await using embedder = localEmbedder();
await using database = await openDatabase(data, embedder.dimensions);
await using answerer = await openAnswerer();
const store = namespaced(database.store, target.name);
await takeIn(target, { store, embedder, data, fresh: false, signal, progress: process.stderr });

console.log(`Answers by ${answerer.name}\n`);
let right = 0;
for (const { question, fact, source, page } of questions) {
  let said = "";
  const output = tap((part) => {
    if (isText(part) && part.substream === "") said += part.text;
  });
  const cited = [...(await answer(question, { store, embedder, model: answerer.model, signal, output })).values()];
  const hasFact = said.includes(fact);
  const hasSource = cited.some((passage) => pathOf(passage) === source && (page === undefined || pageOf(passage) === page));
  if (hasFact && hasSource) right += 1;
  const verdict = hasFact ? (hasSource ? "right" : "wrong source") : "wrong";
  console.log(`${verdict.padEnd(13)} ${question}\n${" ".repeat(14)}${said.replaceAll("\n", " ")}`);
}
console.log(`\n${right} of ${questions.length} right, ${needed} needed`);
process.exitCode = right >= needed ? 0 : 1;
