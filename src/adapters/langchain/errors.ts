/**
 * What a runnable throws, in our codes: by status where the client behind it says one, else by LangChain's own code.
 *
 * Source: @langchain/core, errors/index.ts and docs.langchain.com/oss/javascript/langchain/errors
 *
 * @module
 */
import { type ErrorCode, MillraceError } from "../../core/errors.ts";
import { fieldOf, numberOf, textOf } from "../../wire/error-fields.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { networkError, networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import { retryHint } from "../../wire/retry-hint.ts";
import { headersIn } from "../../wire/service-fault.ts";

const codes: ReadonlyMap<string, ErrorCode> = new Map([
  ["MODEL_AUTHENTICATION", "unauthorized"],
  ["MODEL_RATE_LIMIT", "rate_limited"],
  ["MODEL_NOT_FOUND", "not_found"],
  ["INVALID_PROMPT_INPUT", "invalid_input"],
  ["INVALID_TOOL_RESULTS", "invalid_input"],
  ["MESSAGE_COERCION_FAILURE", "invalid_input"],
  ["OUTPUT_PARSING_FAILURE", "bad_response"],
]);

/** The error in our words; undefined for one that is a matter of the program and not of a service. */
export function runnableError(service: string, error: unknown, redact: Redact): MillraceError | undefined {
  const response = fieldOf(error, "response");
  const status = numberOf(error, "status") ?? numberOf(error, "statusCode") ?? numberOf(response, "status");
  const code = status !== undefined && status >= 300 && status <= 599 ? codeOfStatus(status) : codes.get(textOf(error, "lc_error_code") ?? "");
  if (code === undefined) return networkFault(error) === undefined ? undefined : networkError(service, "the connection failed", error, redact);
  const headers = headersIn(fieldOf(error, "headers") ?? fieldOf(response, "headers"));
  const said = redact(textOf(error, "message") ?? "");
  return new MillraceError(code, `${service}: the runnable failed${status === undefined ? "" : ` with status ${status}`}: ${said}`, {
    service,
    ...(status === undefined ? {} : { status }),
    ...retryHint(headers === undefined ? {} : { headers }),
    ...(code === "not_found" ? { scope: "dependency" as const } : {}), // the name of the model came from configuration
    cause: quotedError(error, redact),
  });
}
