/**
 * Answers of 2,000 deltas as each service gives them, by the end of the path that they come from.
 *
 * @module
 */
import { chatFrames, responsesFrames } from "../../src/testing/wire-answers.ts";
import { answered as message } from "../adapters/anthropic/messages-fixture.ts";
import { answered as chunks, geminiFrames } from "../adapters/gemini/fixture.ts";
import { answered as completion } from "../adapters/openai/chat-fixture.ts";
import { answered as response } from "../adapters/openai/responses-fixture.ts";

export const deltas: readonly string[] = Array.from({ length: 2_000 }, (_, at) => `token${at} `);

export const answers: Readonly<Record<string, readonly string[]>> = {
  "/responses": responsesFrames(response(deltas)),
  "/chat/completions": chatFrames(completion(deltas)),
  "/v1/messages": responsesFrames(message(deltas)), // likewise under the names of their types
  ":streamGenerateContent": geminiFrames(chunks(deltas)),
};
