/**
 * Gemini's `streamGenerateContent` as it answers with `alt=sse`.
 *
 * Sources: ai.google.dev/api/generate-content; `@google/genai` 3 (npm), `GenerateContentResponse`; google.rpc.Code for the names of errors.
 *
 * @module
 */
import { jsonAnswer, sseAnswer, sseFrame } from "../wire-answers.ts";
import type { WireTrouble, WireVoice } from "./voice.ts";

const about = { modelVersion: "gemini-test-2026", responseId: "resp-1" };
const chunk = (part: object, more: object = {}): object => ({ candidates: [{ content: { role: "model", parts: [part] }, index: 0, ...more }], ...about });
const usageMetadata = { promptTokenCount: 10, toolUsePromptTokenCount: 2, cachedContentTokenCount: 4, candidatesTokenCount: 4, thoughtsTokenCount: 3, totalTokenCount: 19 };

const statuses: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ABORTED",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

const perDay = {
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{ quotaMetric: "generativelanguage.googleapis.com/requests", quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" }],
};
const errorOf = (code: number, message: string): object => ({ code, message, status: statuses[code] ?? "UNKNOWN" });
const troubles: Readonly<Record<WireTrouble, (message: string) => object>> = {
  overloaded: (message) => errorOf(503, message),
  rate_limited: (message) => errorOf(429, message),
  out_of_quota: (message) => ({ ...errorOf(429, message), details: [perDay] }),
};

/** Google's Gemini. */
export const geminiVoice: WireVoice = {
  name: "Gemini",
  frames(said, style = {}) {
    const chunks = [
      { ...about, usageMetadata: { promptTokenCount: 10, totalTokenCount: 10 } },
      ...said.map((piece) => chunk(typeof piece === "string" ? { text: piece } : { functionCall: { id: piece.id, name: piece.name, args: piece.arguments } })),
      { ...chunk({ text: "" }, { finishReason: "STOP" }), usageMetadata },
    ];
    return chunks.map((each, index) => `${style.byteOrderMark === true && index === 0 ? "\ufeff" : ""}${sseFrame(JSON.stringify(each), undefined, style)}`);
  },
  framesBefore: 1,
  answer: sseAnswer,
  errorFrame: (trouble, message) => sseFrame(JSON.stringify({ error: troubles[trouble](message) })),
  brokenFrame: sseFrame('{"candidates":'),
  ping: ": ping\n\n",
  refusal: (status, message, headers = {}) => jsonAnswer({ error: errorOf(status, message) }, { status, headers }),
};
