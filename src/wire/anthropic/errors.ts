/**
 * What Anthropic's service and its client report, in our codes.
 *
 * Source: platform.claude.com/docs/en/api/errors; `ErrorType` and the error codes of `@anthropic-ai/sdk` 1.14.
 *
 * @module
 */
import { type ErrorCode, type ErrorDetails, MillraceError } from "../../core/errors.ts";
import { codeOfStatus } from "../http-status.ts";
import { countOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { networkError, networkFault } from "../network-errors.ts";
import { quotedError, type Redact } from "../redact.ts";
import { retryHint } from "../retry-hint.ts";
import { headersIn } from "../service-fault.ts";

type Meaning = readonly [code: ErrorCode, details?: Pick<ErrorDetails, "retryable" | "scope">];

/** More requests do not help where the money is gone. */
const outOfMoney: Meaning = ["rate_limited", { retryable: false }];
/** The name came from configuration, so no other input fares better. */
const unknownName: Meaning = ["not_found", { scope: "dependency" }];

const types: Readonly<Record<string, Meaning>> = {
  invalid_request_error: ["invalid_input"],
  authentication_error: ["unauthorized"],
  permission_error: ["unauthorized"],
  billing_error: outOfMoney,
  not_found_error: unknownName,
  conflict_error: ["conflict"],
  request_too_large: ["too_large"],
  rate_limit_error: ["rate_limited"],
  timeout_error: ["timeout"],
  api_error: ["unavailable"],
  overloaded_error: ["unavailable"],
};

/** Codes beside the type that tell of spent money. */
const spent = /spend_limit|billing|ramp_limit/;

/** Who speaks of an error. */
export interface Reporting {
  readonly service: string;
  readonly model: string;
  readonly redact: Redact;
}

/** The error within `{ type: "error", error: { type, message } }`, or that error itself. */
function inner(reported: unknown): Shape | undefined {
  const shape = shapeOf(reported);
  return shapeOf(shape?.error) ?? shape;
}

function meaningOf(error: Shape | undefined): Meaning | undefined {
  const code = wordsOf(shapeOf(error?.details)?.error_code);
  if (code !== undefined && spent.test(code)) return outOfMoney;
  const type = wordsOf(error?.type);
  return type !== undefined && Object.hasOwn(types, type) ? types[type] : undefined;
}

/** The error of an event, or of the body of an answer. */
export function reportedError(reported: unknown, { service, model, redact }: Reporting): MillraceError {
  const error = inner(reported);
  const [code, details] = meaningOf(error) ?? ["unavailable"];
  const said = wordsOf(error?.message) ?? (typeof reported === "string" ? reported : JSON.stringify(reported ?? null));
  return new MillraceError(code, `${service}: ${model} reported: ${redact(said)}`, { service, ...retryHint({ body: reported }), ...details });
}

/** The error of a JSON body that came with a 200; undefined where it speaks of none. */
export function bodyError(body: unknown, reporting: Reporting): MillraceError | undefined {
  const error = shapeOf(body)?.error;
  return error === undefined || error === null ? undefined : reportedError(error, reporting);
}

/** An error of the client, told by its fields: classes differ between versions. */
export function clientError(error: Error, reporting: Reporting): MillraceError | undefined {
  const { service, model, redact } = reporting;
  const fields = shapeOf(error) ?? {};
  const status = countOf(fields.status);
  if (status !== undefined) return statusError(error, status, fields, reporting);
  if (fields.error !== undefined && fields.error !== null) return reportedError(fields.error, reporting); // in-stream errors have no status
  if (error instanceof SyntaxError) {
    return new MillraceError("bad_response", `${service}: ${model} sent JSON that does not parse`, { service, cause: quotedError(error, redact) });
  }
  return networkFault(error) === undefined ? undefined : networkError(service, "the connection failed", error, redact);
}

function statusError(error: Error, status: number, fields: Shape, { service, model, redact }: Reporting): MillraceError {
  const body = inner(fields.error);
  // The status decides, but for what it does not tell: that the money is gone, or that the model is not there.
  const telling = meaningOf(body);
  const [code, details]: Meaning = telling?.[1] !== undefined ? telling : status === 404 ? unknownName : [codeOfStatus(status)];
  const headers = headersIn(fields.headers);
  const request = wordsOf(fields.requestID) ?? headers?.get("request-id") ?? undefined;
  const named = request === undefined ? "" : ` (request ${redact(request)})`;
  const said = redact(wordsOf(body?.message) ?? error.message.replace(/^\d{3} /, ""));
  return new MillraceError(code, `${service}: ${model} answered ${status}${named}: ${said}`, {
    service,
    status,
    ...retryHint({ ...(headers === undefined ? {} : { headers }), body: fields.error }),
    ...details,
    cause: quotedError(error, redact),
  });
}
