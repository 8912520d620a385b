/**
 * The commit point: until the first content is handed on a call can be made again unseen, afterwards it cannot.
 *
 * @module
 */
import { type Delivered, isMillraceError, MillraceError } from "../../core/errors.ts";
import type { Part, Usage } from "../../core/part.ts";
import { isReset } from "../../core/reset.ts";

/** Characters of text that are kept for `partial`: answers are shorter, and a stream without end must not gather. */
const maxPartialChars = 1_048_576;

/** Would handing it on commit the call? Everything but an empty text delta does; reserved parts never come here. */
export function isContent(part: Part): boolean {
  return part.kind !== "text" || part.text !== "";
}

/** Deltas that are joined at a time: the rest of a stream holds no part of its past, and one string in so many is made. */
const joinedAtOnce = 64;

/** Counts the content that was handed on. */
export class Tally {
  parts = 0;
  private text = "";
  private readonly deltas: string[] = [];
  private usage: Usage | undefined = undefined;
  /** A tool call was handed on: somebody may have acted on it. */
  called = false;

  add(part: Part): void {
    const { kind } = part;
    if (kind === "json" && isReset(part)) return this.clear();
    if (!isContent(part)) return;
    this.parts += 1;
    if (kind === "text" && part.substream === "") {
      if (this.deltas.push(part.text) === joinedAtOnce) this.join();
      return;
    }
    if (kind === "toolCall") this.called = true;
    else if (kind === "finish") this.usage = part.usage;
  }

  /** What was handed on has been taken back. */
  clear(): void {
    this.parts = 0;
    this.text = "";
    this.deltas.length = 0;
    this.usage = undefined;
  }

  private join(): void {
    if (this.text.length < maxPartialChars) this.text += this.deltas.join("");
    this.deltas.length = 0;
  }

  get delivered(): Delivered {
    this.join();
    const { parts, text, usage } = this;
    return usage === undefined ? { parts, text } : { parts, text, usage };
  }
}

/** A failure after the commit point, for the consumer. One that is `interrupted` already says more, and is kept. */
export function interrupted(who: string, error: unknown, tally: Tally, attempts: number): MillraceError {
  if (isMillraceError(error, "interrupted")) return error;
  const why = error instanceof Error ? error.message : String(error);
  const service = isMillraceError(error) && error.service !== undefined ? { service: error.service } : {};
  const message = `${who}: broke off after ${tally.parts} parts: ${why}`;
  return new MillraceError("interrupted", message, { ...service, cause: error, partial: tally.delivered, attempts });
}

/** Causes that are looked through at most. */
const maxDepth = 8;

/**
 * The failure behind an `interrupted` error. What an inner stage had delivered went no further than this call, which is open
 * still: so it is judged by what broke, not by how far the inner stage had come.
 */
export function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < maxDepth && isMillraceError(root, "interrupted") && root.cause !== undefined; depth += 1) {
    root = root.cause instanceof AggregateError ? root.cause.errors.at(-1) : root.cause; // of all that failed, the last is the failure
  }
  return root;
}

/** Notes on an error how many requests were made; an error that cannot be written on stays as it is. */
export function noteAttempts(error: unknown, attempts: number): void {
  if (isMillraceError(error)) Reflect.set(error, "attempts", attempts);
}
