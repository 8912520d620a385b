/**
 * What Qdrant and its client report, in our codes.
 *
 * Source: `@qdrant/js-client-rest` 1.19, `api-client.js` and `errors.js`
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { fieldOf, numberOf, textOf } from "../../wire/error-fields.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { networkError, networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import { retryHint } from "../../wire/retry-hint.ts";
import { headersIn } from "../../wire/service-fault.ts";

const service = "qdrant";
/** Characters of a foreign body in a message. */
const shownChars = 200;

/** The error in an answer of the client's, or an error it threw, told by its fields: classes differ between versions. */
export function toError(error: unknown, what: string, redact: Redact): MillraceError | undefined {
  if (!(error instanceof Error)) return answerError(error, what, redact);
  const cause = quotedError(error, redact);
  const status = numberOf(error, "status");
  if (status !== undefined && status >= 100) return statusError(error, status, what, redact);
  if (error.name === "QdrantClientResourceExhaustedError" || error.message.startsWith("Invalid retryAfter value")) {
    const seconds = fieldOf(error, "retry_after");
    // of Retry-After the client keeps the first character alone: at least so many seconds, or nothing where it is a date
    const hint = typeof seconds === "number" && Number.isFinite(seconds) ? { retryAfterMs: seconds * 1_000 } : {};
    return new MillraceError("rate_limited", `${service}: ${what} answered 429`, { service, status: 429, cause, ...hint });
  }
  if (error.name === "QdrantClientUnexpectedResponseError") {
    return new MillraceError("bad_response", `${service}: ${what}: ${redact(error.message.slice(0, shownChars))}`, { service, cause });
  }
  if (error instanceof SyntaxError) return new MillraceError("bad_response", `${service}: ${what} answered with JSON that does not parse`, { service, cause });
  return networkFault(error) === undefined ? undefined : networkError(service, `${what} failed: the connection broke`, error, redact);
}

/** The client gives what is no JSON as text, and an empty body as an empty one. */
function answerError(answer: unknown, what: string, redact: Redact): MillraceError | undefined {
  const data = fieldOf(answer, "data");
  const body = shapeOf(data);
  const said = wordsOf(shapeOf(body?.["status"])?.["error"]);
  if (said !== undefined) return new MillraceError("bad_response", `${service}: ${what} answered with an error: ${redact(said)}`, { service });
  if (body !== undefined && body["result"] !== undefined && body["result"] !== null) return undefined;
  const type = headersIn(fieldOf(answer, "headers"))?.get("content-type") ?? "no content type";
  const start = typeof data === "string" ? redact(data.slice(0, shownChars)).trim() : "no result in it";
  return new MillraceError("bad_response", `${service}: ${what} answered with ${redact(type)}, not with a result: ${start}`, { service });
}

function statusError(error: Error, status: number, what: string, redact: Redact): MillraceError {
  const data = fieldOf(error, "data");
  const said = wordsOf(shapeOf(shapeOf(data)?.["status"])?.["error"]) ?? (typeof data === "string" ? data.slice(0, shownChars) : textOf(error, "message") ?? "");
  const headers = headersIn(fieldOf(error, "headers"));
  const hint = headers === undefined ? {} : retryHint({ headers });
  const code = codeOfStatus(status);
  return new MillraceError(code, `${service}: ${what} answered ${status}: ${redact(said).trim()}`, {
    service,
    status,
    // the collection's name came from the options
    ...(code === "not_found" ? { scope: "dependency" as const } : {}),
    ...hint,
  });
}
