/**
 * Errors of stages on their way through the engine: out of a worker, kept with the batch, and back into errors of ours.
 *
 * @module
 */
import { type ErrorCode, errorCodes, type ErrorDetails, type ErrorScope, isMillraceError, MillraceError } from "../../core/errors.ts";
import { fieldOf, textOf } from "../../wire/error-fields.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import type { Redact } from "../../wire/redact.ts";

const scopes: ReadonlySet<string> = new Set<ErrorScope>(["part", "delivery", "dependency", "process"]);

/** What is kept of an error: texts, as the engine has it. */
export interface Failure {
  readonly message: string;
  /** An HTTP status: the engine answers with it. */
  readonly errorCode: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The error of a stage as one of ours. The text of a foreign error may quote anything, so only its kind is told. */
export function ownError(who: string, stage: string, seq: number, error: unknown): MillraceError {
  if (isMillraceError(error)) return error;
  const kind = error instanceof Error ? error.name : typeof error;
  // its stack and text stay in the worker, where `onFailure` hears of them
  return new MillraceError("bad_response", `${who}: ${stage} failed at batch ${seq}: ${kind}`, { service: who, retryable: false, cause: error });
}

/** What is kept of an error for good. */
export function toFailure(error: MillraceError): Failure {
  const { code, scope, retryable, status, service, retryAfterMs } = error;
  const details = { code, scope, retryable, status, service, retryAfterMs };
  return {
    message: error.message,
    errorCode: 500,
    metadata: Object.fromEntries(Object.entries(details).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))),
  };
}

/** What is kept while a batch is tried again: of an error that may pass the engine keeps nothing but its text. */
export function toPassing(error: MillraceError): string {
  return `${error.code}: ${error.message}`;
}

/** The error of a text that `toPassing` made. */
export function fromPassing(who: string, text: string): MillraceError {
  const [, code, message = ""] = /^([a-z_]+): ([^]*)$/.exec(text) ?? [];
  if (isCode(code)) return new MillraceError(code, message, { service: who });
  return new MillraceError("unavailable", `${who}: ${text.slice(0, 500)}`, { service: who });
}

/** An answer of the engine that is no success. */
export function answerError(who: string, what: string, status: number, answer: unknown, redact: Redact): MillraceError {
  const said = redact(textOf(answer, "message") ?? "");
  if (textOf(answer, "source") !== "invocation") {
    return new MillraceError(codeOfStatus(status), `${who}: ${what}: answered ${status}: ${said}`, { service: who, status });
  }
  const metadata = fieldOf(answer, "metadata");
  const code = textOf(metadata, "code");
  if (isCode(code)) return new MillraceError(code, textOf(answer, "message") ?? "", detailsOf(metadata));
  if (status === 409) {
    return new MillraceError("interrupted", `${who}: ${what}: was cancelled: ${said}`, { service: who });
  }
  return new MillraceError(status === 404 ? "not_found" : "bad_response", `${who}: ${what}: ended with ${status}: ${said}`, { service: who, retryable: false });
}

function detailsOf(metadata: unknown): ErrorDetails {
  const [scope, retryable, service] = [textOf(metadata, "scope"), textOf(metadata, "retryable"), textOf(metadata, "service")];
  const [status, retryAfterMs] = ["status", "retryAfterMs"].map((name) => Number(textOf(metadata, name)));
  return {
    ...(isScope(scope) ? { scope } : {}),
    ...(retryable === undefined ? {} : { retryable: retryable === "true" }),
    ...(service === undefined ? {} : { service }),
    ...(status === undefined || Number.isNaN(status) ? {} : { status }),
    ...(retryAfterMs === undefined || Number.isNaN(retryAfterMs) ? {} : { retryAfterMs }),
  };
}

function isCode(value: string | undefined): value is ErrorCode {
  return errorCodes.some((code) => code === value);
}

function isScope(value: string | undefined): value is ErrorScope {
  return value !== undefined && scopes.has(value);
}
