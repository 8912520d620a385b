/** What goes wrong with Anthropic, for the fault matrix and for the properties of bytes. */
import { expect } from "vitest";
import { anthropicVoice } from "../../../src/testing/voices/anthropic.ts";
import { htmlAnswer, jsonAnswer, sseAnswer, sseFrame } from "../../../src/testing/wire-answers.ts";
import type { WireAnswer } from "../../../src/testing/wire-server.ts";
import type { BytesApi } from "../model-bytes.ts";
import type { AnswerFault, FaultyApi, StreamFault } from "../model-faults.ts";
import { rich } from "./messages-fixture.ts";
import { framesOf, inBand, key, modelAt } from "./support.ts";

/** An answer that does not end: whoever has seen enough of it must close the connection. */
const open = (frames: readonly string[]): WireAnswer => sseAnswer(frames, { fault: { kind: "stall", after: frames.length } });

export const streamFaults: readonly StreamFault[] = [
  { name: "an event reports a fault of the server", answer: (sound, after) => open([...sound.slice(0, after), inBand("api_error", "Internal server error")]), code: "unavailable", retryable: true },
  {
    name: "an event reports a limit on spending",
    answer: (sound, after) => open([...sound.slice(0, after), inBand("rate_limit_error", "enough", { error_code: "enforced_spend_limit_reached" })]),
    code: "rate_limited",
    retryable: false,
  },
  { name: "an event reports bad input", answer: (sound, after) => open([...sound.slice(0, after), inBand("invalid_request_error", "no")]), code: "invalid_input", retryable: false },
  { name: "an event reports a missing permission", answer: (sound, after) => open([...sound.slice(0, after), inBand("permission_error", "no")]), code: "unauthorized", retryable: false },
  { name: "an event reports something unheard of", answer: (sound, after) => open([...sound.slice(0, after), inBand("dream_error", "hm")]), code: "unavailable", retryable: true },
  { name: "an event reports an error in no JSON", answer: (sound, after) => open([...sound.slice(0, after), sseFrame("{oops", "error")]), code: "unavailable", retryable: true },
  {
    name: "an error comes under another name",
    answer: (sound, after) => open([...sound.slice(0, after), sseFrame('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')]),
    code: "unavailable",
    retryable: true,
  },
  {
    name: "an event holds broken JSON, and more may come",
    answer: (sound, after) => open([...sound.slice(0, after), sseFrame('{"type":', "content_block_delta"), ...sound.slice(after)]),
    code: "bad_response",
    retryable: true,
  },
  { name: "an event is no object", answer: (sound, after) => open([...sound.slice(0, after), sseFrame("42", "content_block_delta"), ...sound.slice(after)]), code: "bad_response", retryable: true },
  { name: "an event has more than 8 MiB", answer: (sound, after) => open([...sound.slice(0, after), `event: ping\ndata: "${"x".repeat(12_000_000)}"\n\n`]), code: "too_large", retryable: false },
];

const status = (code: number, type = "api_error", more: { readonly message?: string; readonly details?: object } = {}, headers: Readonly<Record<string, string>> = {}): WireAnswer =>
  jsonAnswer({ type: "error", error: { type, message: "no", ...more }, request_id: "req_1" }, { status: code, headers: { "request-id": "req_1", ...headers } });

export const answerFaults: readonly AnswerFault[] = [
  ["400", status(400, "invalid_request_error"), "invalid_input", { status: 400, retryable: false, message: expect.stringContaining("(request req_1)") as string }],
  ["402, of spent money", status(402, "billing_error"), "rate_limited", { status: 402, retryable: false }],
  ["403", status(403, "permission_error"), "unauthorized"],
  ["404, of a model that is not there", status(404, "not_found_error"), "not_found", { scope: "dependency" }],
  ["405, of a wrong base URL", status(405), "missing_config"],
  ["408", status(408), "timeout", { retryable: true }],
  ["409", status(409, "conflict_error"), "conflict"],
  ["413", status(413, "request_too_large"), "too_large"],
  [
    "429 with a limit that is used up until a time",
    status(429, "rate_limit_error", {}, { date: "Thu, 26 Nov 2026 11:00:00 GMT", "anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-11-26T11:00:30Z" }),
    "rate_limited",
    { retryAfterMs: 30_000, retryable: true },
  ],
  ["429 of a limit on spending", status(429, "rate_limit_error", { details: { error_code: "contract_spend_limit_reached" } }, { "retry-after": "1" }), "rate_limited", { retryable: false }],
  ["503 that asks not to come again", status(503, "api_error", {}, { "x-should-retry": "false" }), "unavailable", { retryable: false }],
  ["504", status(504, "timeout_error"), "unavailable", { retryable: true }],
  ["529, which is overload", status(529, "overloaded_error"), "unavailable", { status: 529, retryable: true }],
  ["502 with a page", { ...htmlAnswer(), status: 502 }, "unavailable", { status: 502 }],
  ["200 with a JSON error", jsonAnswer({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }), "unavailable", {}],
  ["200 with other JSON", jsonAnswer({ hello: 1 }), "bad_response", {}],
  ["200 without a content type", { frames: ["data: {}\n\n"] }, "bad_response", {}],
  ["a double content encoding", sseAnswer([], { headers: { "content-encoding": "gzip, gzip" } }), "too_large", {}],
  ["a broken connection before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", { retryable: true }],
  ["what is not HTTP", { fault: { kind: "garbage" } }, "bad_response", {}],
];

export const api: FaultyApi = {
  name: "anthropic",
  service: "anthropic",
  apiKey: key,
  path: "/v1/messages",
  model: modelAt,
  voice: anthropicVoice,
  connectPhase: "connect",
  waits: [
    ["a model that does not think", modelAt, 60_000],
    ["one that thinks", (url, options) => modelAt(url, { ...options, thinking: {} }), 300_000],
    ["one that makes an effort", (url, options) => modelAt(url, { ...options, effort: "max" }), 300_000],
    ["one that must not think", (url, options) => modelAt(url, { ...options, thinking: false }), 60_000],
  ],
};

export const bytes: BytesApi = {
  ...api,
  contentType: "text/event-stream",
  lineEnds: ["\n", "\r\n", "\r"],
  rich: (lineEnd) => framesOf(rich, { lineEnd }),
};
