/** Streams of the Messages API as the service sends them, held against the client's own types. */
import type {
  Message,
  MessageDeltaUsage,
  RawContentBlockStartEvent,
  RawMessageDeltaEvent,
  RawMessageStreamEvent,
  StopReason,
  TextCitation,
  ThinkingBlock,
  Usage,
  WebSearchToolResultBlock,
} from "@anthropic-ai/sdk/resources/messages/messages";

export const startUsage: Usage = {
  cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 2 },
  cache_creation_input_tokens: 2,
  cache_read_input_tokens: 4,
  inference_geo: null,
  input_tokens: 6,
  output_tokens: 1,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: "standard",
  speed: null,
};

export const endUsage: MessageDeltaUsage = {
  cache_creation_input_tokens: null,
  cache_read_input_tokens: 4,
  input_tokens: null,
  output_tokens: 7,
  output_tokens_details: { thinking_tokens: 3 },
  server_tool_use: null,
};

/** What the two give, as the service counts. */
export const wholeUsage = {
  cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 2 },
  cache_creation_input_tokens: 2,
  cache_read_input_tokens: 4,
  input_tokens: 6,
  output_tokens: 7,
  output_tokens_details: { thinking_tokens: 3 },
  service_tier: "standard",
};

const message: Message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-test-2026",
  content: [],
  container: null,
  diagnostics: null,
  stop_details: null,
  stop_reason: null,
  stop_sequence: null,
  usage: startUsage,
};

/** The events before any content; the ping is none of the client's types, which swallows it. */
export const opening: readonly RawMessageStreamEvent[] = [{ type: "message_start", message } satisfies RawMessageStreamEvent];
export const ping: { readonly type: string } = { type: "ping" };

type StartedBlock = RawContentBlockStartEvent["content_block"];
type Delta = Extract<RawMessageStreamEvent, { type: "content_block_delta" }>["delta"];

/** A content block. */
export const block = (index: number, content_block: StartedBlock, deltas: readonly Delta[] = []): RawMessageStreamEvent[] => [
  { type: "content_block_start", index, content_block },
  ...deltas.map((delta): RawMessageStreamEvent => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index },
];

/** A text block, citations ahead of its text. */
export const textEvents = (deltas: readonly string[], index = 0, citations: readonly TextCitation[] = []): RawMessageStreamEvent[] =>
  block(index, { type: "text", text: "", citations: citations.length === 0 ? null : [] }, [
    ...citations.map((citation): Delta => ({ type: "citations_delta", citation })),
    ...deltas.map((text): Delta => ({ type: "text_delta", text })),
  ]);

export const thinkingBlock: ThinkingBlock = { type: "thinking", thinking: "Think\u{1f914}ing", signature: "EqQBCgIYAhIkMm+/signature==" };

/** Thinking, its last delta the signature. */
export const thinkingEvents = (index = 0): RawMessageStreamEvent[] =>
  block(index, { type: "thinking", thinking: "", signature: "" }, [
    { type: "thinking_delta", thinking: "Think\ud83e" }, // half of a character
    { type: "thinking_delta", thinking: "\udd14ing" },
    { type: "signature_delta", signature: thinkingBlock.signature },
  ]);

/** A tool call, its input in the given pieces. */
export const callEvents = (call: { readonly id: string; readonly name: string; readonly input: readonly string[] }, index = 0): RawMessageStreamEvent[] =>
  block(
    index,
    { type: "tool_use", id: call.id, name: call.name, input: {}, caller: { type: "direct" } },
    call.input.map((partial_json): Delta => ({ type: "input_json_delta", partial_json })),
  );

export const searchResult: WebSearchToolResultBlock = {
  type: "web_search_tool_result",
  tool_use_id: "srvtoolu_1",
  caller: { type: "direct" },
  content: [{ type: "web_search_result", url: "https://example.com/soup", title: "Soup", encrypted_content: "EqgfCioIARgB+/x=", page_age: null }],
};

/** A search that the service makes: call and result. */
export const searchEvents = (index: number): RawMessageStreamEvent[] => [
  ...block(index, { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {}, caller: { type: "direct" } }, [
    { type: "input_json_delta", partial_json: "" },
    { type: "input_json_delta", partial_json: '{"query":' },
    { type: "input_json_delta", partial_json: '"soup"}' },
  ]),
  ...block(index + 1, searchResult),
];

/** The events after all content. */
export const ending = (stop_reason: StopReason, changes: Partial<RawMessageDeltaEvent["delta"]> = {}): RawMessageStreamEvent[] => [
  { type: "message_delta", delta: { stop_reason, stop_sequence: null, stop_details: null, container: null, ...changes }, usage: endUsage } satisfies RawMessageStreamEvent,
  { type: "message_stop" } satisfies RawMessageStreamEvent,
];

/** A whole answer of text. */
export const answered = (deltas: readonly string[]): { readonly type: string }[] => {
  const [first, ...rest] = textEvents(deltas);
  return [...opening, ...(first === undefined ? [] : [first]), ping, ...rest, ...ending("end_turn")];
};

/** One, two, three and four bytes a character, and one character of several code points. */
export const richTexts: readonly string[] = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

/** An answer with everything in it: thoughts, sealed ones too, a citation, a search of the service, two calls. */
export const rich: readonly { readonly type: string }[] = [
  ...opening,
  ...thinkingEvents(),
  ping,
  ...block(1, { type: "redacted_thinking", data: "EmwKAhgB+/redacted=" }),
  ...textEvents(richTexts, 2, [{ type: "web_search_result_location", cited_text: "東京", encrypted_index: "Eo8B+/=", title: null, url: "https://example.com" }]),
  ...searchEvents(3),
  ...callEvents({ id: "toolu_1", name: "weather", input: ['{"city":"Ōsa', 'ka"}'] }, 5),
  ...callEvents({ id: "toolu_2", name: "now", input: [] }, 6),
  ...ending("tool_use"),
];
