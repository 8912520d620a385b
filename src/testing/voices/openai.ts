/**
 * OpenAI's Responses API as it answers.
 *
 * Sources: the reference of the API; `openai` 7 (npm), `ResponseStreamEvent`.
 *
 * @module
 */
import { responsesFrames, sseAnswer, sseFrame } from "../wire-answers.ts";
import { refusal, troubleCodes } from "./openai-errors.ts";
import type { WireCall, WireVoice } from "./voice.ts";

const model = "gpt-test-2026";

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
  access_programs: null,
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
  temperature: 1,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  truncation: "disabled",
  metadata: {},
};

const usage = { input_tokens: 12, input_tokens_details: { cached_tokens: 4, cache_write_tokens: 2 }, output_tokens: 7, output_tokens_details: { reasoning_tokens: 3 }, total_tokens: 19 };

/** OpenAI's Responses API. */
export const openaiVoice: WireVoice = {
  name: "OpenAI Responses",
  frames(said, style) {
    const events: Event[] = [
      { type: "response.created", response },
      { type: "response.in_progress", response },
      ...itemsOf(said).flatMap((item, index) => ("call" in item ? callEvents(item.call, index) : messageEvents(item.text, index))),
      { type: "response.completed", response: { ...response, status: "completed", usage } },
    ];
    return responsesFrames(events.map((event, sequence_number) => ({ ...event, sequence_number })), style);
  },
  framesBefore: 4,
  answer: sseAnswer,
  errorFrame: (trouble, message) => sseFrame(JSON.stringify({ type: "error", code: troubleCodes[trouble], message, param: null, sequence_number: 9 }), "error"),
  brokenFrame: sseFrame('{"type":"response.output_text.delta","delta":', "response.output_text.delta"),
  ping: ": ping\n\n",
  refusal,
};
