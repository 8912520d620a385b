/** What goes wrong with Gemini, for the fault matrix and for the properties of bytes. */
import { geminiVoice } from "../../../src/testing/voices/gemini.ts";
import { htmlAnswer, jsonAnswer, sseAnswer, sseFrame } from "../../../src/testing/wire-answers.ts";
import type { WireAnswer } from "../../../src/testing/wire-server.ts";
import type { BytesApi } from "../model-bytes.ts";
import type { AnswerFault, FaultyApi, StreamFault } from "../model-faults.ts";
import { geminiFrames, rich } from "./fixture.ts";
import { because, errorAnswer, type GoogleError, inBand, key, model, path, quotaPerDay, retryIn } from "./support.ts";

/** An answer that does not end: whoever has seen enough of it must close the connection. */
const open = (frames: readonly string[]): WireAnswer => sseAnswer(frames, { fault: { kind: "stall", after: frames.length } });

export const streamFaults: readonly StreamFault[] = [
  {
    name: "an event reports an error by name alone, which the client takes for an empty answer",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ status: "RESOURCE_EXHAUSTED", message: "slow down" }), ...frames.slice(after)]),
    code: "rate_limited",
    retryable: true,
  },
  {
    name: "an event is named error, which the client does not look at",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('{"message":"try later"}', "error"), ...frames.slice(after)]),
    code: "unavailable",
    retryable: true,
  },
  {
    name: "an event reports that the day's quota is spent, and when to ask again",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ code: 429, status: "RESOURCE_EXHAUSTED", message: "pay first", details: [quotaPerDay, retryIn("12s")] })]),
    code: "rate_limited",
    retryable: false,
  },
  {
    name: "an event reports an error in an array",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('[{"error":{"code":500,"message":"oh","status":"INTERNAL"}}]')]),
    code: "unavailable",
    retryable: true,
  },
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
    name: "an event has more than 65 MiB",
    answer: (frames, after) => open([...frames.slice(0, after), `data: "${"x".repeat(69_000_000)}"\n\n`]),
    code: "too_large",
    retryable: false,
  },
];

const status = (code: number, error: GoogleError = { message: "no" }, headers = {}): WireAnswer => errorAnswer(code, error, headers);

export const answerFaults: readonly AnswerFault[] = [
  ["400", status(400, { message: "no", status: "INVALID_ARGUMENT" }), "invalid_input", { status: 400, retryable: false }],
  ["400 of a key that is no good", status(400, { message: "no", status: "INVALID_ARGUMENT", details: [because("API_KEY_INVALID")] }), "unauthorized", { status: 400, scope: "dependency" }],
  ["403", status(403, { message: "no", status: "PERMISSION_DENIED" }), "unauthorized"],
  ["403 of a service that is switched off", status(403, { message: "no", status: "PERMISSION_DENIED", details: [because("SERVICE_DISABLED")] }), "missing_config"],
  ["404, of a model that is not there", status(404, { message: "no such model", status: "NOT_FOUND" }), "not_found", { scope: "dependency" }],
  ["405, of a wrong base URL", status(405), "missing_config"],
  ["408", status(408), "timeout", { retryable: true }],
  ["409", status(409), "conflict"],
  ["413", status(413), "too_large"],
  ["429 with RetryInfo", status(429, { message: "slow", details: [retryIn("34.4s")] }), "rate_limited", { retryAfterMs: 34_400, retryable: true }],
  ["429 of a day's quota", status(429, { message: "pay", details: [quotaPerDay, retryIn("34s")] }), "rate_limited", { retryable: false }],
  ["429 of an account without billing", status(429, { message: "pay", details: [because("BILLING_DISABLED")] }), "rate_limited", { retryable: false }],
  ["499, of a call that the service gave up", status(499, { message: "gave up", status: "CANCELLED" }), "unavailable", { status: 499, retryable: true }],
  ["503 that asks not to come again", status(503, { message: "no" }, { "x-should-retry": "false" }), "unavailable", { retryable: false }],
  ["504", status(504, { message: "late", status: "DEADLINE_EXCEEDED" }), "unavailable"],
  ["502 with a page", { ...htmlAnswer(), status: 502 }, "unavailable", { status: 502 }],
  ["503 with broken JSON", { status: 503, headers: { "content-type": "application/json" }, frames: ['{"error":'] }, "unavailable", { status: 503 }],
  ["429 in an array", jsonAnswer([{ error: { code: 429, message: "slow" } }], { status: 429 }), "rate_limited", { status: 429 }],
  ["200 with a JSON error", jsonAnswer({ error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } }), "unavailable", {}],
  ["200 with a JSON error in an array", jsonAnswer([{ error: { code: 429, message: "slow", details: [retryIn("2s")] } }]), "rate_limited", { retryAfterMs: 2_000 }],
  ["200 with other JSON", jsonAnswer({ hello: 1 }), "bad_response", {}],
  ["200 without a content type", { frames: ["data: {}\n\n"] }, "bad_response", {}],
  ["a double content encoding", sseAnswer([], { headers: { "content-encoding": "gzip, gzip" } }), "too_large", {}],
  ["a broken connection before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", { retryable: true }],
  ["what is not HTTP", { fault: { kind: "garbage" } }, "bad_response", {}],
];

export const api: FaultyApi = {
  name: "gemini",
  service: "gemini",
  apiKey: key,
  path,
  model,
  voice: geminiVoice,
  connectPhase: "connect",
  waits: [
    ["a model that may think", model, 300_000],
    ["one that may not", (url, options) => model(url, { ...options, thinking: false }), 60_000],
  ],
};

export const bytes: BytesApi = {
  ...api,
  contentType: "text/event-stream",
  lineEnds: ["\n", "\r\n", "\r"],
  rich: (lineEnd) => geminiFrames(rich, { lineEnd }),
};
