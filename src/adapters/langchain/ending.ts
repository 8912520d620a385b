/**
 * How an answer ended and what it took, as the packages of the services say it: each in words and places of its own.
 *
 * @module
 */
import type { FinishReason, Usage } from "../../core/part.ts";
import { compact, countOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";

/** Where the reason stands: OpenAI and its like, Google, Anthropic, Bedrock, Ollama. */
const places = ["finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason"] as const;

/** The service's own word for why the answer ended, once it has. */
export function rawReasonOf(message: Shape): string | undefined {
  const metadata = shapeOf(message.response_metadata) ?? {};
  for (const fields of [metadata, shapeOf(metadata.messageStop), shapeOf(message.additional_kwargs)]) {
    const word = places.map((place) => wordsOf(fields?.[place])).find((found) => found !== undefined);
    if (word !== undefined) return word;
  }
  // OpenAI's Responses have a status, which is there from the beginning.
  if (metadata.status === "incomplete") return wordsOf(shapeOf(metadata.incomplete_details)?.reason) ?? "incomplete";
  return metadata.status === "completed" ? "completed" : undefined;
}

const words: Readonly<Record<FinishReason, readonly string[]>> = {
  stop: ["stop", "end_turn", "stop_sequence", "completed", "complete", "eos", "eos_token"],
  length: ["length", "max_tokens", "max_output_tokens", "model_context_window_exceeded", "incomplete", "model_length"],
  tool_calls: ["tool_calls", "tool_use", "tool_call", "function_call"],
  content_filter: ["content_filter", "content_filtered", "guardrail_intervened", "safety", "recitation", "blocklist", "prohibited_content", "spii"],
  refusal: ["refusal"],
  pause: ["pause", "pause_turn"],
  other: [],
};
const reasons: ReadonlyMap<string, FinishReason> = new Map(
  (Object.keys(words) as FinishReason[]).flatMap((reason) => words[reason].map((word) => [word, reason] as const)), // the keys of a record of them
);

/** In our words. */
export function reasonOf(raw: string): FinishReason {
  return reasons.get(raw.toLowerCase()) ?? "other";
}

/** Counts of a chunk added to those before it, as LangChain adds them; what is no count is left out. */
export function addUsage(sum: Usage, usage: unknown): Usage {
  const fields = shapeOf(usage);
  if (fields === undefined) return sum;
  const [input, output] = [shapeOf(fields.input_token_details), shapeOf(fields.output_token_details)];
  const added = (before: number | undefined, value: unknown): number | undefined => {
    const count = countOf(value);
    return count === undefined ? before : (before ?? 0) + count;
  };
  return compact<Usage>({
    inputTokens: added(sum.inputTokens, fields.input_tokens),
    outputTokens: added(sum.outputTokens, fields.output_tokens),
    cacheReadTokens: added(sum.cacheReadTokens, input?.cache_read),
    cacheWriteTokens: added(sum.cacheWriteTokens, input?.cache_creation),
    reasoningTokens: added(sum.reasoningTokens, output?.reasoning),
  } as Usage);
}
