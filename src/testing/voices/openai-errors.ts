/**
 * Errors of OpenAI's APIs, which both report alike.
 *
 * Source: platform.openai.com/docs/guides/error-codes.
 *
 * @module
 */
import { errorAnswer } from "../wire-answers.ts";
import type { WireAnswer } from "../wire-server.ts";
import type { WireTrouble } from "./voice.ts";

/** The code of an error in the midst of an answer. */
export const troubleCodes: Readonly<Record<WireTrouble, string>> = { overloaded: "server_error", rate_limited: "rate_limit_exceeded", out_of_quota: "insufficient_quota" };

/** An error instead of an answer. */
export function refusal(status: number, message: string, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  const type = status === 429 ? "requests" : status >= 500 ? "server_error" : "invalid_request_error";
  return errorAnswer(status, { message, type, code: status === 401 ? "invalid_api_key" : null }, headers);
}
