/**
 * Token counts of OpenAI's two APIs in our words. Their totals are inclusive already.
 *
 * @module
 */
import type { Usage } from "../../core/part.ts";
import { compact, countOf, shapeOf } from "../json-shape.ts";

/** Reads either form; a count that is no count is left out. */
export function usageOf(raw: unknown): Usage {
  const usage = shapeOf(raw);
  if (usage === undefined) return {};
  const input = shapeOf(usage.input_tokens_details ?? usage.prompt_tokens_details);
  const output = shapeOf(usage.output_tokens_details ?? usage.completion_tokens_details);
  return compact<Usage>({
    inputTokens: countOf(usage.input_tokens ?? usage.prompt_tokens),
    outputTokens: countOf(usage.output_tokens ?? usage.completion_tokens),
    cacheReadTokens: countOf(input?.cached_tokens),
    cacheWriteTokens: countOf(input?.cache_write_tokens),
    reasoningTokens: countOf(output?.reasoning_tokens),
  });
}
