/**
 * Anthropic's Messages API as it answers.
 *
 * Sources: docs.anthropic.com, "Streaming messages" and "Errors"; `@anthropic-ai/sdk` 1 (npm), `RawMessageStreamEvent`.
 *
 * @module
 */
import { type EventStyle, jsonAnswer, sseAnswer, sseFrame } from "../wire-answers.ts";
import type { WireCall, WireTrouble, WireVoice } from "./voice.ts";

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Each event under the name of its type, without which the client does not look at it. */
function framesOf(events: readonly Event[], style: EventStyle = {}): string[] {
  return events.map((event, index) => `${style.byteOrderMark === true && index === 0 ? "\ufeff" : ""}${sseFrame(JSON.stringify(event), event.type, style)}`);
}

const message = {
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
  usage: {
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
  },
};
const endUsage = { cache_creation_input_tokens: null, cache_read_input_tokens: 4, input_tokens: null, output_tokens: 7, output_tokens_details: { thinking_tokens: 3 }, server_tool_use: null };

function block(index: number, content_block: object, deltas: readonly object[]): Event[] {
  return [
    { type: "content_block_start", index, content_block },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ];
}

/** Texts that follow each other are one block. */
function blocksOf(said: readonly (string | WireCall)[]): Event[] {
  const blocks: Event[] = [];
  let index = 0;
  for (let at = 0; at < Math.max(1, said.length); index += 1) {
    const piece = said[at];
    if (typeof piece === "object") {
      at += 1;
      const input = Object.keys(piece.arguments).length === 0 ? [] : [{ type: "input_json_delta", partial_json: JSON.stringify(piece.arguments) }];
      blocks.push(...block(index, { type: "tool_use", id: piece.id, name: piece.name, input: {}, caller: { type: "direct" } }, input));
    } else {
      const texts: object[] = [];
      for (let text = said[at]; typeof text === "string"; text = said[(at += 1)]) texts.push({ type: "text_delta", text });
      if (texts.length === 0) at += 1; // an empty answer has a block all the same
      blocks.push(...block(index, { type: "text", text: "", citations: null }, texts));
    }
  }
  return blocks;
}

const troubleTypes: Readonly<Record<WireTrouble, string>> = { overloaded: "overloaded_error", rate_limited: "rate_limit_error", out_of_quota: "billing_error" };
const statusTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** Anthropic's Messages API. */
export const anthropicVoice: WireVoice = {
  name: "Anthropic",
  frames(said, style) {
    const [first, ...rest] = blocksOf(said);
    const stop_reason = said.some((piece) => typeof piece !== "string") ? "tool_use" : "end_turn";
    return framesOf(
      [
        { type: "message_start", message },
        ...(first === undefined ? [] : [first]),
        { type: "ping" },
        ...rest,
        { type: "message_delta", delta: { stop_reason, stop_sequence: null, stop_details: null, container: null }, usage: endUsage },
        { type: "message_stop" },
      ],
      style,
    );
  },
  framesBefore: 3,
  answer: sseAnswer,
  errorFrame: (trouble, words) => sseFrame(JSON.stringify({ type: "error", error: { type: troubleTypes[trouble], message: words }, request_id: "req_9" }), "error"),
  brokenFrame: sseFrame('{"type":"content_block_delta","index":', "content_block_delta"),
  ping: sseFrame('{"type":"ping"}', "ping"),
  refusal: (status, words, headers = {}) =>
    jsonAnswer({ type: "error", error: { type: statusTypes[status] ?? "api_error", message: words }, request_id: "req_1" }, { status, headers: { "request-id": "req_1", ...headers } }),
};
