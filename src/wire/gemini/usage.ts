/**
 * Token counts of Gemini in our words: thoughts and tool prompts are counted beside the rest there, and within it here.
 *
 * @module
 */
import type { Usage } from "../../core/part.ts";
import { compact, countOf, shapeOf } from "../json-shape.ts";

/** Reads `usageMetadata`; a count that is no count is left out. */
export function usageOf(raw: unknown): Usage {
  const usage = shapeOf(raw);
  if (usage === undefined) return {};
  const inputTokens = sum(countOf(usage.promptTokenCount), countOf(usage.toolUsePromptTokenCount));
  const total = countOf(usage.totalTokenCount);
  const reasoningTokens = countOf(usage.thoughtsTokenCount);
  const rest = total === undefined || inputTokens === undefined || total < inputTokens ? undefined : total - inputTokens;
  return compact<Usage>({
    inputTokens,
    outputTokens: rest ?? sum(countOf(usage.candidatesTokenCount), reasoningTokens),
    cacheReadTokens: countOf(usage.cachedContentTokenCount),
    reasoningTokens,
  });
}

function sum(first: number | undefined, second: number | undefined): number | undefined {
  return first === undefined ? second : first + (second ?? 0);
}
