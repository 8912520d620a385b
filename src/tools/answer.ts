/**
 * What becomes of a model's answer in a history, tools and all, while it comes.
 *
 * @module
 */
import { toolResult } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { type FinishPart, noMetadata, type Part, type ToolCallPart, type ToolResultPart } from "../core/part.ts";
import { resultOfMedium } from "../core/result-media.ts";
import { isReset } from "../core/reset.ts";
import { isSaid } from "../kinds/said.ts";

/** Substreams of a model that are its own words; others are about them, or somebody's who watches. */
const ownWords: ReadonlySet<string> = new Set(["", "reasoning", "sources"]);

/** On what was cut: `metadata.conversation`. */
const interrupted = { conversation: { interrupted: true } };

/** A turn of a model, of one round or, with tools, of several: what it said and called, then all results. */
export class Answer {
  /** Token counts of the finish parts. */
  readonly usages: unknown[] = [];
  /** Has anything come that is content? */
  isEmpty = true;
  readonly #rounds: Part[] = [];
  /** Of the round that goes on. */
  #said: Part[] = [];
  /** By call: the result, and media behind it. */
  #results = new Map<ToolCallPart, Part[]>();
  #finished = false;
  /** The service took its turn back: nobody runs what was called in it. */
  #withheld = false;

  add(part: Part): void {
    if (part.kind === "finish") {
      this.usages.push(part.usage);
      this.#finished = true;
      this.#withheld = part.reason === "refusal" || part.reason === "content_filter";
      if (isRejected(part)) this.#said = [];
      return;
    }
    if (!isSaid(part)) return;
    this.isEmpty = false;
    if (isReset(part)) this.#said = []; // never after a call: what was called cannot be taken back
    else if (part.kind === "toolResult") this.#answer(part);
    else if (resultOfMedium(part) !== undefined) this.#attach(part);
    else if (part.role === "assistant" && ownWords.has(part.substream)) this.#say(part);
  }

  /** Nothing is missing: whoever reads no further has all of it. */
  get isWhole(): boolean {
    return this.#finished && (this.#withheld || this.#open.length === 0);
  }

  /** All of it, when it has ended; calls that the caller is to answer are the last. */
  get parts(): readonly Part[] {
    return [...this.#rounds, ...this.#said, ...this.#resultsInOrder(this.#withheld ? unanswered : undefined)];
  }

  /**
   * What can be kept of one that was cut: whole rounds; of the last one its words; all of it where a tool has answered, since that cannot
   * be undone. The other calls are answered for: a call without a result is refused everywhere.
   */
  get cutParts(): readonly Part[] {
    if (this.#results.size > 0) return [...this.#rounds, ...this.#said, ...this.#resultsInOrder(unanswered)];
    const words = this.#said.filter((part) => part.kind === "text" && part.substream === "");
    return [...this.#rounds, ...words.map((part) => derive(part, { metadata: interrupted }))];
  }

  get #open(): readonly ToolCallPart[] {
    return this.#said.filter((part): part is ToolCallPart => part.kind === "toolCall" && !this.#results.has(part));
  }

  #say(part: Part): void {
    this.#finished = false;
    if (part.kind === "text" && part.text === "" && part.metadata === noMetadata) return;
    const last = this.#said.at(-1);
    const joins = part.kind === "text" && last?.kind === "text" && last.substream === part.substream && last.mimeType === part.mimeType && last.metadata === noMetadata && part.metadata === noMetadata;
    if (joins) this.#said[this.#said.length - 1] = derive(last, { text: last.text + part.text }); // an answer in deltas is one text
    else this.#said.push(part);
  }

  /** A result of no call of this round is no part of a conversation. */
  #answer(result: ToolResultPart): void {
    const call = this.#open.find(({ id }) => id === result.id);
    if (call === undefined) return;
    this.#results.set(call, [result]);
    this.#finished = false; // the model goes on with it
    if (this.#open.length > 0) return;
    this.#rounds.push(...this.#said, ...this.#resultsInOrder());
    this.#said = [];
    this.#results = new Map();
  }

  /** The last result of a round ends it, and media come behind. */
  #attach(medium: Part): void {
    const id = resultOfMedium(medium);
    const open = [...this.#results.values()].find(([result]) => result?.kind === "toolResult" && result.id === id);
    if (open !== undefined) return void open.push(medium);
    const result = this.#rounds.findLastIndex((part) => part.kind === "toolResult" && part.id === id);
    if (result === -1) return;
    let at = result + 1;
    while (at < this.#rounds.length && resultOfMedium(this.#rounds[at] ?? medium) === id) at += 1;
    this.#rounds.splice(at, 0, medium);
  }

  #resultsInOrder(otherwise?: (call: ToolCallPart) => ToolResultPart): Part[] {
    return this.#said.flatMap((part) => (part.kind === "toolCall" ? (this.#results.get(part) ?? otherwise?.(part) ?? []) : []));
  }
}

/** An answer of `structured` that did not fit, and was asked for again. */
function isRejected({ metadata }: FinishPart): boolean {
  const about: unknown = metadata.structured;
  return typeof about === "object" && about !== null && "rejected" in about && about.rejected === true;
}

function unanswered({ id, name }: ToolCallPart): ToolResultPart {
  return toolResult({ id, name, result: "Interrupted before it answered.", isError: true }, { metadata: interrupted });
}
