/**
 * Token counts of the Messages API in our words: there, what came from and went to the cache is not part of the input.
 *
 * @module
 */
import type { Usage } from "../../core/part.ts";
import { compact, countOf, type Shape, shapeOf } from "../json-shape.ts";

/** What came at the start with what came later on top: the counts are totals each time, and null means nothing new. */
export function laterUsage(before: Shape | undefined, later: unknown): Shape | undefined {
  const usage = shapeOf(later);
  if (usage === undefined) return before;
  return { ...before, ...Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null && value !== undefined)) };
}

/** Totals that include their shares; a count that is no count is left out. */
export function usageOf(usage: Shape | undefined): Usage {
  const uncached = countOf(usage?.input_tokens);
  const cacheReadTokens = countOf(usage?.cache_read_input_tokens);
  const cacheWriteTokens = countOf(usage?.cache_creation_input_tokens);
  return compact<Usage>({
    inputTokens: uncached === undefined ? undefined : uncached + (cacheReadTokens ?? 0) + (cacheWriteTokens ?? 0),
    outputTokens: countOf(usage?.output_tokens),
    cacheReadTokens,
    cacheWriteTokens,
    reasoningTokens: countOf(shapeOf(usage?.output_tokens_details)?.thinking_tokens),
  });
}
