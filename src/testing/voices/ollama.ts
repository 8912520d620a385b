/**
 * Ollama's `/api/chat` as it answers, a line of JSON each time.
 *
 * Sources: docs/api.md of ollama; `ollama` 0.6 (npm), `ChatResponse`.
 *
 * @module
 */
import { jsonAnswer, jsonLinesAnswer } from "../wire-answers.ts";
import type { WireTrouble, WireVoice } from "./voice.ts";

const line = (message: object): object => ({ model: "qwen-test", created_at: "2026-11-24T09:00:00.123456789Z", message: { role: "assistant", content: "", ...message }, done: false });
const measures = { total_duration: 4_883_583_458, load_duration: 1_334_875, prompt_eval_count: 26, prompt_eval_duration: 342_546_000, eval_count: 282, eval_duration: 4_535_599_000 };
const quiet = JSON.stringify(line({}));

/** The service has no codes: its words are all there is, so they come before those of the test. */
const troubles: Readonly<Record<WireTrouble, string>> = {
  overloaded: "an error was encountered while running the model",
  rate_limited: "too many requests",
  out_of_quota: "you have reached your weekly usage limit",
};

/** Ollama. It knows no comments, and ends lines with `\n` or `\r\n`. */
export const ollamaVoice: WireVoice = {
  name: "Ollama",
  frames(said, { lineEnd = "\n" } = {}) {
    const lines = [
      ...said.map((piece) => line(typeof piece === "string" ? { content: piece } : { tool_calls: [{ id: piece.id, function: { name: piece.name, arguments: piece.arguments } }] })),
      { ...line({}), done: true, done_reason: "stop", ...measures },
    ];
    return lines.map((each) => `${JSON.stringify(each)}${lineEnd}`);
  },
  framesBefore: 0,
  answer: jsonLinesAnswer,
  errorFrame: (trouble, message) => `${JSON.stringify({ error: `${troubles[trouble]}: ${message}` })}\n`,
  brokenFrame: '{"model":"qwen-test","message":\n',
  ping: `${quiet}\n`,
  refusal: (status, message, headers = {}) => jsonAnswer({ error: message }, { status, headers }),
};
