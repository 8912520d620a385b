/**
 * Errors of Chroma's client as errors of ours.
 *
 * Its classes have no base in common, and keep neither status, headers nor cause: the name tells, and of what is left the message.
 *
 * @module
 */
import { type ErrorCode, isMillraceError, MillraceError } from "../../core/errors.ts";
import { textOf } from "../../wire/error-fields.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";

interface Fault {
  readonly code: ErrorCode;
  readonly retryable?: boolean;
}

const byName: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ["ChromaConnectionError", { code: "unavailable" }],
  ["ChromaAuthError", { code: "unauthorized" }],
  ["ChromaForbiddenError", { code: "unauthorized" }],
  ["ChromaNotFoundError", { code: "not_found" }],
  ["InvalidCollectionError", { code: "not_found" }],
  ["ChromaUniqueError", { code: "conflict" }],
  ["ChromaRateLimitError", { code: "rate_limited" }],
  ["ChromaQuotaExceededError", { code: "rate_limited", retryable: false }],
  ["ChromaClientError", { code: "invalid_input" }],
  ["ChromaValueError", { code: "invalid_input" }],
  ["InvalidArgumentError", { code: "invalid_input" }],
]);

/** The error to throw for what a call of the client threw. */
export function toChromaError(service: string, what: string, error: unknown, redact: Redact): unknown {
  if (isMillraceError(error)) return error;
  const { code, retryable } = faultOf(error);
  const said = redact((textOf(error, "message") ?? "").replace(/^Bad request to \S+ with status: /, ""));
  return new MillraceError(code, `${service}: ${what}: ${said}`, {
    service,
    cause: quotedError(error, redact),
    ...(retryable === undefined ? {} : { retryable }),
  });
}

function faultOf(error: unknown): Fault {
  const name = textOf(error, "name") ?? "";
  const known = byName.get(name);
  if (known !== undefined) return known;
  if (name === "ChromaServerError") {
    // "413: Payload Too Large" when the body held no message of the server's own
    const [, status] = /^(\d{3}): /.exec(textOf(error, "message") ?? "") ?? [];
    return { code: status === undefined ? "unavailable" : codeOfStatus(Number(status)) };
  }
  const network = networkFault(error);
  if (network !== undefined) return { code: network.code, retryable: network.retryable };
  return { code: "bad_response" }; // the client fell over an answer that was no JSON, or another one than it expects
}
