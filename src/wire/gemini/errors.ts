/**
 * What Gemini's two services (Gemini API, Vertex AI) and their client report, in our codes.
 *
 * Source: google.rpc.Status as JSON, ai.google.dev/gemini-api/docs/troubleshooting; a key that is no good is a 400 there, told by
 * the reason alone.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { googleFault } from "../google-errors.ts";
import { countOf, itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { networkError, networkFault } from "../network-errors.ts";
import { quotedError, type Redact } from "../redact.ts";
import { type HeaderSource, retryHint } from "../retry-hint.ts";
import type { ServiceFault } from "../service-fault.ts";

/** Names of `google.rpc.Code`; the place is the number. */
const statusNames: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** Details of an error that are looked at. */
const maxDetails = 32;

/** Who speaks of an error. */
export interface Reporting {
  readonly service: string;
  readonly model: string;
  readonly redact: Redact;
}

/** The error of an event, or of the body of a 200; undefined where it speaks of none. */
export function bodyError(body: unknown, { service, model, redact }: Reporting): MillraceError | undefined {
  const error = errorIn(body);
  if (error === undefined) return undefined;
  const said = redact(typeof error === "string" ? error : (wordsOf(shapeOf(error)?.message) ?? JSON.stringify(error)));
  return new MillraceError(...codeAnd(faultOf(shapeOf(error)), `${service}: ${model} reported: ${said}`, { service }));
}

/** The error of an answer whose status is none of success. */
export function statusError(status: number, text: string, headers: HeaderSource | undefined, { service, model, redact }: Reporting): MillraceError {
  const error = shapeOf(errorIn(jsonOf(text)));
  const said = redact(wordsOf(error?.message) ?? text).trim();
  return new MillraceError(...codeAnd(faultOf(error, status, headers), `${service}: ${model} answered ${status}: ${said}`, { service, status }));
}

/** An error of the client, told by its fields: classes differ between versions. */
export function clientError(error: unknown, reporting: Reporting): MillraceError | undefined {
  const { service, model, redact } = reporting;
  if (!(error instanceof Error)) return bodyError(error, reporting);
  const status = countOf(shapeOf(error)?.status);
  if (status !== undefined && error.name === "ApiError") return statusError(status, error.message, undefined, reporting); // its message is the body
  const cause = quotedError(error, redact);
  if (error instanceof SyntaxError) return new MillraceError("bad_response", `${service}: ${model} sent JSON that does not parse`, { service, cause });
  if (error.message.startsWith("Incomplete JSON segment")) return new MillraceError("truncated", `${service}: the answer ends within an event`, { service, cause });
  if (networkFault(error) !== undefined) return networkError(service, "the connection failed", error, redact);
  const fault = googleFault(error); // of the library for credentials
  return fault === undefined ? undefined : new MillraceError(...codeAnd(fault, `${service}: ${model}: ${redact(error.message)}`, { service, cause }));
}

/** `{ error }`, or an array around it, as answers without events are. */
function errorIn(body: unknown): unknown {
  const error = shapeOf(Array.isArray(body) ? body[0] : body)?.error;
  return error === null ? undefined : error;
}

/** By reason, by HTTP status, by name of the status; of the hints, all that there are. */
function faultOf(error: Shape | undefined, status?: number, headers?: HeaderSource): ServiceFault {
  const details = itemsOf(error?.details).slice(0, maxDetails).map((detail) => shapeOf(detail));
  const reason = details.map((detail) => wordsOf(detail?.reason)).find((word) => word !== undefined);
  const inBody = countOf(error?.code);
  const named = statusNames.indexOf(wordsOf(error?.status) ?? "");
  const http = status ?? (inBody !== undefined && inBody >= 400 && inBody <= 599 ? inBody : undefined);
  // 499 is no status of HTTP: the service gave up, by its name CANCELLED
  const code = http !== undefined && http !== 499 ? http : named > 0 ? named : 500;
  const fault = googleFault({ reason, code }) ?? { code: "unavailable" };
  const hint = retryHint({ ...(headers === undefined ? {} : { headers }), body: { error } });
  const forGood = fault.retryable === false || (fault.code === "rate_limited" && details.some(isSpent));
  return { ...fault, ...hint, ...(forGood ? { retryable: false } : {}), ...(fault.code === "not_found" ? { scope: "dependency" } : {}) };
}

/** A day's allowance does not come back within the minute that the hint beside it speaks of. */
function isSpent(detail: Shape | undefined): boolean {
  return itemsOf(detail?.violations).some((violation) => /PerDay/i.test(wordsOf(shapeOf(violation)?.quotaId) ?? ""));
}

function codeAnd(
  { code, retryable, scope, retryAfterMs }: ServiceFault,
  message: string,
  more: { readonly service: string; readonly status?: number; readonly cause?: unknown },
): ConstructorParameters<typeof MillraceError> {
  return [
    code,
    message,
    {
      ...more,
      ...(retryable === undefined ? {} : { retryable }),
      ...(scope === undefined ? {} : { scope }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  ];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
