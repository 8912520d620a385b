/** Streams of Chat Completions as the service sends them, held against the client's own types. */
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import type { CompletionUsage } from "openai/resources/completions";

export const usage: CompletionUsage = {
  prompt_tokens: 12,
  completion_tokens: 7,
  total_tokens: 19,
  prompt_tokens_details: { cached_tokens: 4 },
  completion_tokens_details: { reasoning_tokens: 3 },
};

type Delta = ChatCompletionChunk.Choice.Delta;
type Reason = ChatCompletionChunk.Choice["finish_reason"];

/** One chunk. */
export const chunk = (delta: Delta, finish_reason: Reason = null, changes: Partial<ChatCompletionChunk> = {}): ChatCompletionChunk => ({
  id: "chatcmpl_1",
  object: "chat.completion.chunk",
  created: 1_790_000_000,
  model: "gpt-test-2026",
  choices: [{ index: 0, delta, finish_reason, logprobs: null }],
  ...changes,
});

/** The chunk with the counts, after the finish reason. */
export const usageChunk: ChatCompletionChunk = chunk({}, null, { choices: [], usage });

/** A whole answer of text. */
export const answered = (deltas: readonly string[], reason: Reason = "stop"): ChatCompletionChunk[] => [
  chunk({ role: "assistant", content: "" }),
  ...deltas.map((content) => chunk({ content })),
  chunk({}, reason),
  usageChunk,
];

/** A piece of a tool call. */
export const callChunk = (call: ChatCompletionChunk.Choice.Delta.ToolCall): ChatCompletionChunk => chunk({ tool_calls: [call] });
