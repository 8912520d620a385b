/** Streams of the Responses API as the service sends them, held against the client's own types. */
import type { Response, ResponseFunctionToolCall, ResponseOutputMessage, ResponseReasoningItem, ResponseStreamEvent, ResponseUsage } from "openai/resources/responses/responses";

export const usage: ResponseUsage = {
  input_tokens: 12,
  input_tokens_details: { cached_tokens: 4, cache_write_tokens: 2 },
  output_tokens: 7,
  output_tokens_details: { reasoning_tokens: 3 },
  total_tokens: 19,
};

const base: Response = {
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
  model: "gpt-test-2026",
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

/** The response object with some fields changed. */
export const response = (changes: Partial<Response> = {}): Response => ({ ...base, ...changes });

/** Numbers the events, as the service does. */
export const numbered = (events: readonly Unnumbered[]): ResponseStreamEvent[] => events.map((event, index) => ({ ...event, sequence_number: index }) as ResponseStreamEvent);
type WithoutNumber<E> = E extends { sequence_number: number } ? Omit<E, "sequence_number"> : E;
export type Unnumbered = WithoutNumber<ResponseStreamEvent>;

export const opening: readonly Unnumbered[] = [
  { type: "response.created", response: response() } satisfies Unnumbered,
  { type: "response.in_progress", response: response() } satisfies Unnumbered,
];

const message: ResponseOutputMessage = { id: "msg_1", type: "message", status: "in_progress", content: [], role: "assistant" };

/** A message of text deltas. */
export const messageEvents = (deltas: readonly string[], output_index = 0): Unnumbered[] => [
  { type: "response.output_item.added", output_index, item: message } satisfies Unnumbered,
  { type: "response.content_part.added", item_id: "msg_1", output_index, content_index: 0, part: { type: "output_text", text: "", annotations: [] } } satisfies Unnumbered,
  ...deltas.map((delta) => ({ type: "response.output_text.delta", item_id: "msg_1", output_index, content_index: 0, delta, logprobs: [] }) satisfies Unnumbered),
  { type: "response.output_text.done", item_id: "msg_1", output_index, content_index: 0, text: deltas.join(""), logprobs: [] } satisfies Unnumbered,
  {
    type: "response.output_item.done",
    output_index,
    item: { ...message, status: "completed", content: [{ type: "output_text", text: deltas.join(""), annotations: [] }] },
  } satisfies Unnumbered,
];

/** A tool call. */
export const callEvents = (call: { readonly id: string; readonly callId: string; readonly name: string; readonly args: string }, output_index = 1): Unnumbered[] => {
  const item: ResponseFunctionToolCall = { type: "function_call", id: call.id, call_id: call.callId, name: call.name, arguments: "", status: "in_progress" };
  return [
    { type: "response.output_item.added", output_index, item } satisfies Unnumbered,
    { type: "response.function_call_arguments.delta", item_id: call.id, output_index, delta: call.args } satisfies Unnumbered,
    { type: "response.function_call_arguments.done", item_id: call.id, output_index, arguments: call.args } satisfies Unnumbered,
    { type: "response.output_item.done", output_index, item: { ...item, arguments: call.args, status: "completed" } } satisfies Unnumbered,
  ];
};

export const reasoningItem: ResponseReasoningItem = { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Thinking" }], encrypted_content: "gAAAAopaque" };

/** Reasoning with a summary. */
export const reasoningEvents: readonly Unnumbered[] = [
  { type: "response.output_item.added", output_index: 0, item: { id: "rs_1", type: "reasoning", summary: [] } } satisfies Unnumbered,
  { type: "response.reasoning_summary_text.delta", item_id: "rs_1", output_index: 0, summary_index: 0, delta: "Thin" } satisfies Unnumbered,
  { type: "response.reasoning_summary_text.delta", item_id: "rs_1", output_index: 0, summary_index: 0, delta: "king" } satisfies Unnumbered,
  { type: "response.reasoning_summary_text.done", item_id: "rs_1", output_index: 0, summary_index: 0, text: "Thinking" } satisfies Unnumbered,
  { type: "response.output_item.done", output_index: 0, item: reasoningItem } satisfies Unnumbered,
];

export const completed: Unnumbered = { type: "response.completed", response: response({ status: "completed", usage }) } satisfies Unnumbered;

/** A whole answer of text. */
export const answered = (deltas: readonly string[]): ResponseStreamEvent[] => numbered([...opening, ...messageEvents(deltas), completed]);

type ImageItem = Extract<Response["output"][number], { readonly type: "image_generation_call" }>;

/** An image, as base64, and what there is of it before. */
export const imageEvents = (result: string | null, partials: readonly string[] = [], more: Partial<ImageItem> = {}, output_index = 0): Unnumbered[] => {
  const item: ImageItem = { id: "ig_1", type: "image_generation_call", status: "in_progress", result: null };
  return [
    { type: "response.output_item.added", output_index, item } satisfies Unnumbered,
    { type: "response.image_generation_call.in_progress", item_id: "ig_1", output_index } satisfies Unnumbered,
    { type: "response.image_generation_call.generating", item_id: "ig_1", output_index } satisfies Unnumbered,
    ...partials.map(
      (partial_image_b64, partial_image_index) =>
        ({ type: "response.image_generation_call.partial_image", item_id: "ig_1", output_index, partial_image_b64, partial_image_index, output_format: "webp" }) satisfies Unnumbered,
    ),
    { type: "response.image_generation_call.completed", item_id: "ig_1", output_index } satisfies Unnumbered,
    { type: "response.output_item.done", output_index, item: { ...item, status: "completed", result, ...more } } satisfies Unnumbered,
  ];
};
