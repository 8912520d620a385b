/** The faults of services that speak as OpenAI's does. */
import { errorAnswer, htmlAnswer, jsonAnswer, sseAnswer, sseFrame } from "../../../src/testing/wire-answers.ts";
import type { WireAnswer } from "../../../src/testing/wire-server.ts";
import type { AnswerFault, FaultyApi, StreamFault } from "../model-faults.ts";
import type { BytesApi } from "../model-bytes.ts";
import { type Api, key } from "./support.ts";

/** An answer that does not end: whoever has seen enough of it must close the connection. */
const open = (frames: readonly string[]): WireAnswer => sseAnswer(frames, { fault: { kind: "stall", after: frames.length } });

/** What goes wrong within a stream of OpenAI's. */
export const streamFaults: readonly StreamFault[] = [
  {
    name: "an event holds broken JSON, and more may come",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('{"type":'), ...frames.slice(after)]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "an event is no object",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame("42"), ...frames.slice(after)]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "something follows the end marker in its own line",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame("[DONE]x")]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "an event has more than 8 MiB",
    answer: (frames, after) => open([...frames.slice(0, after), `data: "${"x".repeat(12_000_000)}"\n\n`]),
    code: "too_large",
    retryable: false,
  },
];

export const status = (code: number, error: { readonly message: string; readonly type?: string; readonly code?: string } = { message: "no" }, headers = {}): WireAnswer => errorAnswer(code, error, headers);

/** What comes instead of one. */
export const answerFaults: readonly AnswerFault[] = [
  ["400", status(400), "invalid_input", { status: 400, retryable: false }],
  ["403", status(403), "unauthorized"],
  ["404, of a model that is not there", status(404, { message: "no such model", code: "model_not_found" }), "not_found", { scope: "dependency" }],
  ["405, of a wrong base URL", status(405), "missing_config"],
  ["408", status(408), "timeout", { retryable: true }],
  ["409", status(409), "conflict"],
  ["413", status(413), "too_large"],
  ["429 of a spent quota", status(429, { message: "pay", code: "insufficient_quota" }, { "retry-after": "1" }), "rate_limited", { retryable: false }],
  ["a filtered prompt", status(400, { message: "filtered", code: "content_filter" }), "refused", { status: 400 }],
  ["503 that asks not to come again", status(503, { message: "no" }, { "x-should-retry": "false" }), "unavailable", { retryable: false }],
  ["529", status(529), "unavailable"],
  ["502 with a page", { ...htmlAnswer(), status: 502 }, "unavailable", { status: 502 }],
  ["200 with a JSON error", jsonAnswer({ error: { message: "overloaded", type: "overloaded_error" } }), "unavailable", {}],
  ["200 with other JSON", jsonAnswer({ hello: 1 }), "bad_response", {}],
  ["200 without a content type", { frames: ["data: {}\n\n"] }, "bad_response", {}],
  ["a double content encoding", sseAnswer([], { headers: { "content-encoding": "gzip, gzip" } }), "too_large", {}],
  ["a broken connection before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", { retryable: true }],
  ["what is not HTTP", { fault: { kind: "garbage" } }, "bad_response", {}],
];

/** One of its APIs, for the fault matrix. */
export const faultyApi = (api: Api, service = "openai"): FaultyApi => ({
  name: api.name,
  service,
  apiKey: key,
  path: api.path,
  model: (url, options) => api.model(url, options),
  voice: api.voice,
  connectPhase: "connect",
});

/** One of its APIs, for the properties of bytes. */
export const bytesApi = (api: Api, service = "openai"): BytesApi => ({
  ...faultyApi(api, service),
  contentType: "text/event-stream",
  lineEnds: ["\n", "\r\n", "\r"],
});
