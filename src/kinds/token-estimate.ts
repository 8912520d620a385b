/**
 * Tokens of parts by rules of thumb: for limits that are set right by real usage later, and for histories that need not be exact.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";

/** Bytes of UTF-8 a token, about: 4 for English text (OpenAI, "What are tokens"), and near enough for other scripts at 2 to 3 bytes a letter. */
const bytesPerToken = 4;
/** From here on, the radicals of CJK in Unicode, a letter is about a token. */
const firstCjk = 0x2e80;
/** What services add for each message. */
export const tokensPerMessage = 4;
/** An image or a page: services ask for 258 (Gemini) to some 1,600 (Anthropic, about a megapixel). */
export const tokensPerMedium = 1_000;

/** Tokens of what a part says. */
export function contentTokensOf(part: Part): number {
  return part.kind === "bytes" || part.kind === "uri" ? tokensPerMedium : sizeOf(part) / bytesPerToken;
}

/** Tokens that a part of the input costs, taken for a message of its own. */
export function inputTokensOf(part: Part): number {
  return contentTokensOf(part) + (part.kind === "bytes" || part.kind === "uri" ? 0 : tokensPerMessage);
}

/** Tokens that a model made for a part of its answer. Of a delta the first letter tells the script: this is asked for each. */
export function outputTokensOf(part: Part): number {
  if (part.kind === "text") return part.text.charCodeAt(0) >= firstCjk ? part.text.length : part.text.length / bytesPerToken;
  return part.kind === "json" || part.kind === "toolCall" ? contentTokensOf(part) : 0;
}
