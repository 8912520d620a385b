/**
 * OpenAI's Chat Completions as it answers, and Azure's.
 *
 * Sources: the reference of the API; `openai` 7 (npm), `ChatCompletionChunk`; learn.microsoft.com, "Content filter annotations".
 *
 * @module
 */
import { chatFrames, sseAnswer, sseFrame } from "../wire-answers.ts";
import { refusal, troubleCodes } from "./openai-errors.ts";
import type { WireCall, WireVoice } from "./voice.ts";

const model = "gpt-test-2026";

function chunk(delta: object, finish_reason: string | null = null): object {
  return { id: "chatcmpl_1", object: "chat.completion.chunk", created: 1_790_000_000, model, choices: [{ index: 0, delta, finish_reason, logprobs: null }] };
}

const usage = { prompt_tokens: 12, completion_tokens: 7, total_tokens: 19, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 3 } };

function chatChunks(said: readonly (string | WireCall)[]): object[] {
  const calls = said.filter((piece) => typeof piece !== "string");
  return [
    chunk({ role: "assistant", content: "" }),
    ...said.flatMap((piece) => {
      if (typeof piece === "string") return [chunk({ content: piece })];
      const index = calls.indexOf(piece);
      return [
        chunk({ tool_calls: [{ index, id: piece.id, type: "function", function: { name: piece.name, arguments: "" } }] }),
        chunk({ tool_calls: [{ index, function: { arguments: JSON.stringify(piece.arguments) } }] }),
      ];
    }),
    chunk({}, calls.length === 0 ? "stop" : "tool_calls"),
    { ...chunk({}), choices: [], usage },
  ];
}

/** OpenAI's Chat Completions, which many other servers speak. */
export const openaiChatVoice: WireVoice = {
  name: "OpenAI Chat Completions",
  frames: (said, style) => chatFrames(chatChunks(said), style),
  framesBefore: 1,
  answer: sseAnswer,
  errorFrame: (trouble, message) => sseFrame(JSON.stringify({ error: { param: null, type: null, code: troubleCodes[trouble], message } })),
  brokenFrame: sseFrame('{"id":"chatcmpl_1","choices":'),
  ping: ": ping\n\n",
  refusal,
};

const harmless = Object.fromEntries(["hate", "self_harm", "sexual", "violence"].map((what) => [what, { filtered: false, severity: "safe" }]));

/** Azure's Chat Completions: ahead of everything comes what its filter made of the prompt. */
export const azureOpenaiVoice: WireVoice = {
  ...openaiChatVoice,
  name: "Azure OpenAI",
  frames: (said, style) => chatFrames([{ ...chunk({}), model: "", choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: harmless }] }, ...chatChunks(said)], style),
  framesBefore: 2,
};
