/** Answers of Ollama as the server sends them, held against the types of its own client, and its faults. */
import { ollama, type OllamaOptions } from "../../../src/adapters/ollama/index.ts";
import type { Model } from "../../../src/kinds/model.ts";
import { ollamaVoice } from "../../../src/testing/voices/ollama.ts";
import { htmlAnswer, jsonAnswer, jsonLineFrames, jsonLinesAnswer } from "../../../src/testing/wire-answers.ts";
import type { WireAnswer } from "../../../src/testing/wire-server.ts";
import type { BytesApi } from "../model-bytes.ts";
import type { AnswerFault, FaultyApi, StreamFault } from "../model-faults.ts";
import { key } from "../openai/support.ts";

/** A message as the server writes it. Source: ollama 0.6.4 (npm), `Message`, and api/types.go for the ids. */
export interface Message {
  readonly role: "assistant";
  readonly content: string;
  readonly thinking?: string;
  readonly tool_calls?: readonly { readonly id?: string; readonly function: { readonly index?: number; readonly name: string; readonly arguments: Readonly<Record<string, unknown>> } }[];
}

/** A line as the server writes it. Source: ollama 0.6.4 (npm), `ChatResponse`. */
export interface Line {
  readonly model: string;
  readonly created_at: string;
  readonly message: Message;
  readonly done: boolean;
  readonly done_reason?: "stop" | "length" | "load" | "unload";
  readonly total_duration?: number;
  readonly load_duration?: number;
  readonly prompt_eval_count?: number;
  readonly prompt_eval_duration?: number;
  readonly eval_count?: number;
  readonly eval_duration?: number;
}

/** One line of an answer. */
export const line = (message: Omit<Message, "role" | "content"> & { readonly content?: string }): Line => ({
  model: "qwen-test",
  created_at: "2026-11-24T09:00:00.123456789Z",
  message: { role: "assistant", content: "", ...message },
  done: false,
});

export const measures = { total_duration: 4_883_583_458, load_duration: 1_334_875, prompt_eval_count: 26, prompt_eval_duration: 342_546_000, eval_count: 282, eval_duration: 4_535_599_000 };

/** The last line. */
export const end = (changes: Partial<Line> = {}): Line => ({ ...line({}), done: true, done_reason: "stop", ...measures, ...changes });

/** A whole answer of text. */
export const answered = (deltas: readonly string[]): Line[] => [...deltas.map((content) => line({ content })), end()];

export const said = (lines: readonly unknown[], more: Omit<WireAnswer, "frames"> = {}): WireAnswer => jsonLinesAnswer(jsonLineFrames(lines), more);

/** A line that brings nothing, as while the server parses a tool call. */
const quiet = `${JSON.stringify(line({}))}\n`;

const model = (url: string, options?: Partial<OllamaOptions>): Model => ollama({ model: "qwen-test", baseUrl: url, apiKey: key, ...options });

const refusal = (status: number, error: string, headers: Readonly<Record<string, string>> = {}): WireAnswer => jsonAnswer({ error }, { status, headers });

export const api: FaultyApi = {
  name: "ollama",
  service: "ollama",
  apiKey: key,
  path: "/api/chat",
  model,
  // with a line ahead that brings nothing, so that there is something to fail before the first content
  voice: { ...ollamaVoice, frames: (said, style) => [quiet, ...ollamaVoice.frames(said, style)], framesBefore: 1 },
  connectPhase: "firstPart",
};

export const bytes: BytesApi = {
  ...api,
  contentType: "application/x-ndjson",
  lineEnds: ["\n", "\r\n"],
  voice: { ...ollamaVoice, frames: (said, style) => ollamaVoice.frames(said, style).flatMap((each) => [style?.lineEnd ?? "\n", each]) },
};

/** An answer that does not end: whoever has seen enough of it must close the connection. */
const open = (frames: readonly string[]): WireAnswer => jsonLinesAnswer(frames, { fault: { kind: "stall", after: frames.length } });
const reporting = (error: unknown) => (frames: readonly string[], after: number): WireAnswer => open([...frames.slice(0, after), `${JSON.stringify({ error })}\n`]);
const holding = (odd: string) => (frames: readonly string[], after: number): WireAnswer => open([...frames.slice(0, after), odd, ...frames.slice(after)]);

const notUtf8 = ['{"message":{"role":"assistant","content":"', Uint8Array.of(0xff), '"},"done":false}\n'];

export const streamFaults: readonly StreamFault[] = [
  { name: "the stream ends after the half of a line end", answer: (frames, after) => jsonLinesAnswer([...frames.slice(0, after), "\r"]), code: "truncated", retryable: true },
  { name: "the stream ends inside a character", answer: (frames, after) => ({ ...jsonLinesAnswer([]), frames: [...frames.slice(0, after), Uint8Array.of(0x7b, 0x22, 0xf0, 0x9f)] }), code: "truncated", retryable: true },
  { name: "a line reports that the model has gone", answer: reporting('model "qwen-test" not found, try pulling it first'), code: "not_found", retryable: false },
  { name: "a line reports that the context is full", answer: reporting("request (8889 tokens) exceeds the available context size (4096 tokens)"), code: "invalid_input", retryable: false },
  { name: "a line reports an error that is an object", answer: reporting({ message: "boom" }), code: "unavailable", retryable: true },
  { name: "a line holds broken JSON, and more may come", answer: holding('{"message":\n'), code: "bad_response", retryable: true },
  { name: "two values stand in one line", answer: holding("{}{}\n"), code: "bad_response", retryable: true },
  { name: "a line is no object", answer: holding("42\n"), code: "bad_response", retryable: true },
  { name: "a line has no message", answer: holding('{"model":"m","done":false}\n'), code: "bad_response", retryable: true },
  { name: "a message holds a number for text", answer: holding(`${JSON.stringify({ ...line({}), message: { role: "assistant", content: 5 } })}\n`), code: "bad_response", retryable: true },
  { name: "an end that is no boolean", answer: holding(`${JSON.stringify({ ...end(), done: "true" })}\n`), code: "bad_response", retryable: true },
  { name: "the model speaks in another role", answer: holding(`${JSON.stringify({ ...line({}), message: { role: "user", content: "obey" } })}\n`), code: "bad_response", retryable: true },
  {
    name: "a text holds bytes that are no UTF-8",
    answer: (frames, after) => ({ ...jsonLinesAnswer([]), frames: [...frames.slice(0, after), ...notUtf8, ...frames.slice(after)] }),
    code: "bad_response",
    retryable: true,
  },
  { name: "tool calls that are no list", answer: holding(`${JSON.stringify({ ...line({}), message: { role: "assistant", content: "", tool_calls: { function: {} } } })}\n`), code: "bad_response", retryable: true },
  { name: "a line has more than 8 MiB", answer: (frames, after) => open([...frames.slice(0, after), `"${"x".repeat(12_000_000)}"\n`]), code: "too_large", retryable: false },
];

export const answerFaults: readonly AnswerFault[] = [
  ["400", refusal(400, "no"), "invalid_input", { status: 400, retryable: false }],
  ["400 of a model that calls no tools", refusal(400, "models.example.org/library/qwen-test does not support tools"), "invalid_input", { status: 400 }],
  ["403", refusal(403, "no"), "unauthorized"],
  ["404 of a model that is not there", refusal(404, "model 'qwen-test' not found"), "not_found", { scope: "dependency", message: "ollama: qwen-test answered 404: model 'qwen-test' not found; to get it: ollama pull qwen-test" }],
  ["404 of a wrong address", { status: 404, headers: { "content-type": "text/plain" }, frames: ["404 page not found"] }, "not_found", { message: "ollama: qwen-test answered 404: 404 page not found" }],
  ["405, of a wrong base URL", refusal(405, "no"), "missing_config"],
  ["408", refusal(408, "no"), "timeout", { retryable: true }],
  ["413", refusal(413, "no"), "too_large"],
  ["429 of a spent quota", refusal(429, "you have reached your hourly usage limit", { "retry-after": "1" }), "rate_limited", { retryable: false }],
  ["500", refusal(500, "model requires more system memory (9 GiB) than is available (4 GiB)"), "unavailable", { status: 500, retryable: true }],
  ["500 that speaks of something else not found", refusal(500, "model runner not found"), "unavailable", { status: 500, scope: "dependency" }],
  ["500 with no word", { status: 500, frames: [] }, "unavailable", { message: "ollama: qwen-test answered 500: nothing" }],
  ["500 with an error that is an object", jsonAnswer({ error: { message: "boom" } }, { status: 500 }), "unavailable", { message: "ollama: qwen-test answered 500: boom" }],
  ["500 whose body breaks off", { ...refusal(500, "long"), fault: { kind: "cut", after: 0 } }, "unavailable"],
  ["503 of a full queue", refusal(503, "server busy, please try again.  maximum pending requests exceeded"), "unavailable", { retryable: true }],
  ["503 that asks not to come again", refusal(503, "no", { "x-should-retry": "false" }), "unavailable", { retryable: false }],
  ["502 with a page", { ...htmlAnswer(), status: 502 }, "unavailable", { status: 502 }],
  ["200 with a JSON error", jsonAnswer({ error: "server busy" }), "unavailable", {}],
  ["200 with a whole answer as JSON", jsonAnswer(end()), "bad_response", {}],
  ["200 without a content type", { frames: [quiet] }, "bad_response", {}],
  ["200 with events", { headers: { "content-type": "text/event-stream" }, frames: ["data: {}\n\n"] }, "bad_response", {}],
  ["204", { status: 204, headers: { "content-type": "application/x-ndjson" } }, "truncated", {}],
  ["a double content encoding", jsonLinesAnswer([], { headers: { "content-encoding": "gzip, gzip" } }), "too_large", {}],
  ["a broken connection before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", { retryable: true }],
  ["what is not HTTP", { fault: { kind: "garbage" } }, "bad_response", {}],
];
