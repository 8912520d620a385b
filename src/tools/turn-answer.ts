/**
 * The answer in a model's words: the text of its last turn, of however many turns there are.
 *
 * @module
 */
import { json } from "../core/constructors.ts";
import { MillraceError } from "../core/errors.ts";
import { type FinishPart, type JsonValue, type Metadata, noMetadata, type Part, type TextPart } from "../core/part.ts";
import { utf8Length } from "../core/part-size.ts";
import { isReset } from "../core/reset.ts";
import { withoutFence } from "./answer-text.ts";
import { PartialJson } from "./partial-json.ts";

/** How the turns are read. */
export interface TurnSettings {
  /** UTF-8 bytes of an answer at most. */
  readonly maxBytes: number;
  /** Gives the value as it grows too. */
  readonly partial: boolean;
}

/** The last turn, and its finish part where that has not gone out. */
export interface LastTurn {
  readonly turn: TurnAnswer;
  readonly end: FinishPart | undefined;
}

/** Hands on the turns of a model but for the text of the last one and its end, which are given back. `said` gets all but the ends. */
export async function* turnsOf({ maxBytes, partial }: TurnSettings, parts: AsyncIterable<Part>, said: Part[]): AsyncGenerator<Part, LastTurn, undefined> {
  let turn = new TurnAnswer(maxBytes);
  let end: FinishPart | undefined;
  for await (const part of parts) {
    if (end !== undefined) yield end; // it was not the last
    end = undefined;
    if (isReset(part)) {
      said.length = 0;
      turn = new TurnAnswer(maxBytes);
      yield part;
      continue;
    }
    const spoken = isAnswerText(part);
    const called = part.kind === "toolCall" && part.substream === "";
    if (turn.finish !== undefined && (spoken || called || part.kind === "finish")) turn = new TurnAnswer(maxBytes);
    if ((called || (part.kind === "finish" && part.reason === "tool_calls")) && !turn.calls) yield* turn.release();
    if (part.kind === "finish") {
      turn.finish = part;
      if (turn.calls) yield part;
      else end = part;
      continue;
    }
    said.push(part);
    if (!spoken || turn.calls) {
      yield part;
      continue;
    }
    turn.add(part);
    const value = partial ? turn.grown(part) : undefined;
    if (value !== undefined) yield json(value, { role: "assistant", substream: "partial", metadata: { structured: { partial: true } } });
  }
  return { turn, end };
}

/** Text of a model on the main stream. */
function isAnswerText(part: Part): part is TextPart {
  return part.kind === "text" && part.substream === "" && part.role === "assistant";
}

/** One turn. Its text is held: with a call behind it, it is talk that goes out after all; else it is the answer. */
export class TurnAnswer {
  /** It calls tools, so that it is not the last and its text no answer. */
  calls = false;
  /** How it ended; undefined where it does not say. */
  finish: FinishPart | undefined = undefined;
  private readonly held: TextPart[] = [];
  private readonly maxBytes: number;
  private bytes = 0;
  private readonly unfenced: (delta: string) => string = withoutFence();
  private readonly json = new PartialJson();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Holds a text. Throws `too_large`. */
  add(part: TextPart): void {
    this.bytes += utf8Length(part.text);
    if (this.bytes > this.maxBytes) throw new MillraceError("too_large", `structured: the answer is longer than maxBytes, ${this.maxBytes}`);
    this.held.push(part);
  }

  /** What there is of the value, now that this text has come; undefined where that is no more than before. */
  grown({ text }: TextPart): JsonValue | undefined {
    return this.json.push(this.unfenced(text)) ? this.json.value() : undefined;
  }

  /** It calls: the text before the call, to go out as it came. */
  release(): readonly Part[] {
    this.calls = true;
    return this.held.splice(0);
  }

  get text(): string {
    return this.held.map((part) => part.text).join("");
  }

  /** What the service said about the text, for the part that stands for it: it may want it back. */
  get metadata(): Metadata {
    const all = new Map<string, unknown>();
    for (const { metadata } of this.held) {
      for (const [name, about] of Object.entries(metadata)) {
        const before = all.get(name);
        all.set(name, isObject(before) && isObject(about) ? { ...before, ...about } : about);
      }
    }
    return all.size === 0 ? noMetadata : Object.fromEntries(all);
  }

  /** An answer that cannot be taken, with what there is of it. */
  error(code: "truncated" | "refused" | "bad_response", message: string, attempts: number, retryable?: boolean): MillraceError {
    const partial = { parts: this.held.length, text: this.text, ...(this.finish === undefined ? {} : { usage: this.finish.usage }) };
    return new MillraceError(code, `structured: ${message}`, { partial, attempts, ...(retryable === undefined ? {} : { retryable }) });
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
