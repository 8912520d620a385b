/**
 * Tokens of parts, roughly: what a call takes is counted before it is made, and set right by the real usage after it.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { sizeOf } from "../../core/part-size.ts";

/** Bytes of UTF-8 a token, about: 4 for English text (OpenAI, "What are tokens"), and near enough for other scripts at 2 to 3 bytes a letter. */
const bytesPerToken = 4;
/** From here on, the radicals of CJK in Unicode, a letter is about a token. */
const firstCjk = 0x2e80;
/** What services add for each message. */
const tokensPerPart = 4;
/** An image or a page: services ask for 258 (Gemini) to some 1,600 (Anthropic, about a megapixel). */
const tokensPerMedium = 1_000;

/** Tokens that a part of the input costs. */
export function inputTokensOf(part: Part): number {
  if (part.kind === "bytes" || part.kind === "uri") return tokensPerMedium;
  return tokensPerPart + sizeOf(part) / bytesPerToken;
}

/** Tokens that a model made for a part of its answer. Of a delta the first letter tells the script: this is asked for each. */
export function outputTokensOf(part: Part): number {
  if (part.kind === "text") return part.text.charCodeAt(0) >= firstCjk ? part.text.length : part.text.length / bytesPerToken;
  return part.kind === "json" || part.kind === "toolCall" ? sizeOf(part) / bytesPerToken : 0;
}

/** What a service counted, where it is known. */
export interface Counted {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
}

/** The sum of what was counted; what neither knows stays unknown. */
export function addCounts(a: Counted, b: Counted): Counted {
  return { inputTokens: sum(a.inputTokens, b.inputTokens), outputTokens: sum(a.outputTokens, b.outputTokens) };
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : a + (b ?? 0);
}

/** What a usage, of a finish part or of what a cut stream had delivered, says. Nonsense is unknown. */
export function countsOf(usage: unknown): Counted {
  const { inputTokens, outputTokens } = (typeof usage === "object" && usage !== null ? usage : {}) as Record<keyof Counted, unknown>; // looked at next
  return { inputTokens: count(inputTokens), outputTokens: count(outputTokens) };
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** How long a service asked to keep away: an error that says `rate_limited`, unless it is a quota that no waiting fills. */
export function limitedFor(error: unknown): number | undefined {
  if (!isMillraceError(error, "rate_limited") || !error.retryable) return undefined;
  const { retryAfterMs = 0 } = error;
  return Number.isFinite(retryAfterMs) && retryAfterMs > 0 ? retryAfterMs : 0;
}
