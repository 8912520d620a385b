/**
 * OpenAI's two APIs as they answer, and Azure's, which answers as the older one does.
 *
 * Sources: the reference of the Responses API and of Chat Completions; `openai` 7 (npm), `ResponseStreamEvent` and `ChatCompletionChunk`.
 *
 * @module
 */
import { chatFrames, errorAnswer, responsesFrames, sseAnswer, sseFrame } from "../wire-answers.ts";
import type { WireAnswer } from "../wire-server.ts";
import type { WireCall, WireTrouble, WireVoice } from "./voice.ts";

const model = "gpt-test-2026";
const troubleCodes: Readonly<Record<WireTrouble, string>> = { overloaded: "server_error", rate_limited: "rate_limit_exceeded", out_of_quota: "insufficient_quota" };

function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  const type = status === 429 ? "requests" : status >= 500 ? "server_error" : "invalid_request_error";
  return errorAnswer(status, { message, type, code: status === 401 ? "invalid_api_key" : null }, headers);
}

const common = { answer: sseAnswer, ping: ": ping\n\n", refusal } satisfies Partial<WireVoice>;

// --- Responses ---

type Item = { readonly text: readonly string[] } | { readonly call: WireCall };

/** Texts that follow each other are one message. */
function itemsOf(said: readonly (string | WireCall)[]): readonly Item[] {
  const items: Item[] = [];
  for (const piece of said) {
    const last = items.at(-1);
    if (typeof piece !== "string") items.push({ call: piece });
    else if (last !== undefined && "text" in last) items.splice(-1, 1, { text: [...last.text, piece] });
    else items.push({ text: [piece] });
  }
  return items.length === 0 ? [{ text: [] }] : items;
}

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

function messageEvents(texts: readonly string[], output_index: number): Event[] {
  const item_id = `msg_${output_index + 1}`;
  const message = { id: item_id, type: "message", status: "in_progress", content: [], role: "assistant" };
  const place = { item_id, output_index, content_index: 0 };
  const text = texts.join("");
  return [
    { type: "response.output_item.added", output_index, item: message },
    { type: "response.content_part.added", ...place, part: { type: "output_text", text: "", annotations: [] } },
    ...texts.map((delta) => ({ type: "response.output_text.delta", ...place, delta, logprobs: [] })),
    { type: "response.output_text.done", ...place, text, logprobs: [] },
    { type: "response.output_item.done", output_index, item: { ...message, status: "completed", content: [{ type: "output_text", text, annotations: [] }] } },
  ];
}

function callEvents(call: WireCall, output_index: number): Event[] {
  const item_id = `fc_${output_index + 1}`;
  const text = JSON.stringify(call.arguments);
  const item = { type: "function_call", id: item_id, call_id: call.id, name: call.name, arguments: "", status: "in_progress" };
  return [
    { type: "response.output_item.added", output_index, item },
    { type: "response.function_call_arguments.delta", item_id, output_index, delta: text },
    { type: "response.function_call_arguments.done", item_id, output_index, arguments: text },
    { type: "response.output_item.done", output_index, item: { ...item, arguments: text, status: "completed" } },
  ];
}

/** The response object, which the first events and the last one hold. */
const response = {
  id: "resp_1",
  object: "response",
  created_at: 1_790_000_000,
  status: "in_progress",
  background: false,
  error: null,
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  model,
  output: [],
  output_text: "",
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: false,
  temperature: 1,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  truncation: "disabled",
  user: null,
  metadata: {},
};

const responsesUsage = { input_tokens: 12, input_tokens_details: { cached_tokens: 4, cache_write_tokens: 2 }, output_tokens: 7, output_tokens_details: { reasoning_tokens: 3 }, total_tokens: 19 };

/** OpenAI's Responses API. */
export const openaiVoice: WireVoice = {
  ...common,
  name: "OpenAI Responses",
  frames(said, style) {
    const events: Event[] = [
      { type: "response.created", response },
      { type: "response.in_progress", response },
      ...itemsOf(said).flatMap((item, index) => ("call" in item ? callEvents(item.call, index) : messageEvents(item.text, index))),
      { type: "response.completed", response: { ...response, status: "completed", usage: responsesUsage } },
    ];
    return responsesFrames(events.map((event, sequence_number) => ({ ...event, sequence_number })), style);
  },
  framesBefore: 4,
  errorFrame: (trouble, message) => sseFrame(JSON.stringify({ type: "error", code: troubleCodes[trouble], message, param: null, sequence_number: 9 }), "error"),
  brokenFrame: sseFrame('{"type":"response.output_text.delta","delta":', "response.output_text.delta"),
};

// --- Chat Completions ---

function chunk(delta: object, finish_reason: string | null = null): object {
  return { id: "chatcmpl_1", object: "chat.completion.chunk", created: 1_790_000_000, model, choices: [{ index: 0, delta, finish_reason, logprobs: null }] };
}

const chatUsage = { prompt_tokens: 12, completion_tokens: 7, total_tokens: 19, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 3 } };

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
    { ...chunk({}), choices: [], usage: chatUsage },
  ];
}

const chatError = (trouble: WireTrouble, message: string): string => sseFrame(JSON.stringify({ error: { param: null, type: null, code: troubleCodes[trouble], message } }));

/** OpenAI's Chat Completions, which many other servers speak. */
export const openaiChatVoice: WireVoice = {
  ...common,
  name: "OpenAI Chat Completions",
  frames: (said, style) => chatFrames(chatChunks(said), style),
  framesBefore: 1,
  errorFrame: chatError,
  brokenFrame: sseFrame('{"id":"chatcmpl_1","choices":'),
};

const harmless = Object.fromEntries(["hate", "self_harm", "sexual", "violence"].map((what) => [what, { filtered: false, severity: "safe" }]));

/** Azure's Chat Completions: ahead of everything comes what its filter made of the prompt. */
export const azureOpenaiVoice: WireVoice = {
  ...openaiChatVoice,
  name: "Azure OpenAI",
  frames: (said, style) => chatFrames([{ ...chunk({}), model: "", choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: harmless }] }, ...chatChunks(said)], style),
  framesBefore: 2,
};
