/**
 * The token counter kind: how much of a model's window parts take, as the input of one turn.
 *
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { isSaid } from "./said.ts";
import { contentTokensOf, tokensPerMedium, tokensPerMessage } from "./token-estimate.ts";

/** What a call may be told. */
export interface CountContext {
  readonly signal?: AbortSignal;
}

/** Counts the tokens of parts: by rule of thumb, with a tokenizer, by asking the service. An abort rejects with the signal's reason. */
export type TokenCounter = (parts: readonly Part[], context?: CountContext) => number | Promise<number>;

/** A counter that asks a service. Nothing to send, no request: that is 0. Errors are those of the service's model. */
export interface ServiceTokenCounter extends AsyncDisposable {
  (parts: readonly Part[], context?: CountContext): Promise<number>;
  /** Ends running counts with code `closed`; further ones are refused. Twice is fine. */
  close(): Promise<void>;
}

/** Makes a counter of a function that asks and what closes it. */
export function serviceTokenCounter(count: (parts: readonly Part[], context?: CountContext) => Promise<number>, close: () => Promise<void>): ServiceTokenCounter {
  return Object.assign((parts: readonly Part[], context?: CountContext) => count(parts, context), { close, [Symbol.asyncDispose]: close });
}

/** What is asked of a tokenizer: `js-tiktoken`, `gpt-tokenizer` and others have it. */
export interface Tokenizer {
  encode(text: string): { readonly length: number };
}

/**
 * Tokens by rule of thumb: four bytes of UTF-8 each, 4 for a message, 1,000 for an image or a file. Off by half in either direction is
 * usual, so leave room. Reasoning counts by its words, whatever the service seals them into.
 *
 * @example
 * console.log(approximateTokens([text("What did we decide on Tuesday?")])); // 12
 */
export function approximateTokens(parts: readonly Part[]): number {
  return tally(parts, contentTokensOf);
}

/**
 * Counts with a tokenizer: text, JSON, calls and results by their text, names included; 4 for a message and 1,000 for an image or a
 * file, as `approximateTokens` does.
 *
 * Throws: `invalid_input` for what is no tokenizer; what the tokenizer throws. Those for OpenAI's models refuse texts that hold a special
 *         token such as `<|endoftext|>` unless they are told otherwise: pass `{ encode: (text) => encoding.encode(text, [], []) }`.
 *
 * @example
 * const count = tokenCounter({ encode: (text) => text.split(" ") });
 * console.log(await count([text("one two three"), image(new Uint8Array(8))])); // 1007
 */
export function tokenCounter(tokenizer: Tokenizer): TokenCounter {
  if (typeof tokenizer !== "object" || tokenizer === null || typeof tokenizer.encode !== "function") throw invalidOption("tokenCounter", "tokenizer", "one with encode", tokenizer);
  return (parts) =>
    tally(parts, (part) => {
      const words = wordsOf(part);
      if (words === undefined) return tokensPerMedium;
      return words === "" ? 0 : tokenizer.encode(words).length;
    });
}

/** Neighbours of one role are one message. */
function tally(parts: readonly Part[], tokensOf: (part: Part) => number): number {
  let tokens = 0;
  let speaker: string | undefined;
  for (const part of parts) {
    if (!isSaid(part)) continue;
    if (part.role !== speaker) tokens += tokensPerMessage;
    speaker = part.role;
    tokens += tokensOf(part);
  }
  return Math.ceil(tokens);
}

function wordsOf(part: Part): string | undefined {
  switch (part.kind) {
    case "text":
      return part.text;
    case "json":
      return JSON.stringify(part.value);
    case "toolCall":
      return `${part.name} ${JSON.stringify(part.arguments)}`;
    case "toolResult":
      return `${part.name} ${typeof part.result === "string" ? part.result : JSON.stringify(part.result)}`;
    default:
      return undefined;
  }
}
