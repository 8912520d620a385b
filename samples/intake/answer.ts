/**
 * A question to an answer with citations.
 *
 * @module
 */
import { type Embedder, extract, isJson, type Part, pipe, type Processor, retrieve, run, type VectorStore } from "millrace";
import { asPrompt } from "./passages.ts";

/** What answering needs. */
export interface Answering {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly model: Processor;
  readonly signal: AbortSignal;
  /** Where the text of the answer goes, as it comes. */
  readonly output: Processor;
}

/** Passages that a question is answered from. */
const limit = 6;

/** Answers, and gives the passages that were cited, by their numbers. */
export async function answer(question: string, { store, embedder, model, signal, output }: Answering): Promise<ReadonlyMap<number, Part>> {
  const found: Part[] = [];
  const cited = new Map<number, Part>();
  const answering = pipe(
    retrieve(store, embedder, { limit, hybrid: true }),
    asPrompt(found),
    model,
    output,
    extract(/\[(\d{1,3})\]/, { start: "[", end: "]" }),
  );
  await run(answering, question, { signal }).forEach((part) => {
    if (!isJson(part)) return;
    const number = numberOf(part.value);
    const passage = found[number - 1];
    if (passage !== undefined) cited.set(number, passage);
  });
  return cited;
}

/** The first capture of a match. */
function numberOf(value: unknown): number {
  const captures: unknown = typeof value === "object" && value !== null && "captures" in value ? value.captures : undefined;
  return Array.isArray(captures) ? Number(captures[0]) : Number.NaN;
}
