/**
 * What OpenAI's services and their client report, in our codes.
 *
 * Source: platform.openai.com/docs/guides/error-codes; the codes of `ResponseError` in openai 7.57; in-stream types of
 * compatible servers.
 *
 * @module
 */
import { type ErrorCode, type ErrorDetails, MillraceError } from "../../core/errors.ts";
import { codeOfStatus } from "../http-status.ts";
import { countOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { networkError, networkFault } from "../network-errors.ts";
import { quotedError, type Redact } from "../redact.ts";
import { type HeaderSource, retryHint } from "../retry-hint.ts";

type Meaning = readonly [code: ErrorCode, details?: Pick<ErrorDetails, "retryable" | "scope">];

/** More requests do not help where the money is gone. */
const outOfQuota: Meaning = ["rate_limited", { retryable: false }];
/** The name came from configuration, so no other input fares better. */
const unknownName: Meaning = ["not_found", { scope: "dependency" }];

/** Codes and types, exact words first. */
const meanings: Readonly<Record<string, Meaning>> = {
  insufficient_quota: outOfQuota,
  billing_hard_limit_reached: outOfQuota,
  billing_not_active: outOfQuota,
  rate_limit_exceeded: ["rate_limited"],
  rate_limit_error: ["rate_limited"],
  tokens: ["rate_limited"],
  requests: ["rate_limited"],
  too_many_requests: ["rate_limited"],
  server_error: ["unavailable"],
  internal_error: ["unavailable"],
  internal_server_error: ["unavailable"],
  api_error: ["unavailable"],
  overloaded_error: ["unavailable"],
  service_unavailable: ["unavailable"],
  engine_overloaded: ["unavailable"],
  vector_store_timeout: ["unavailable"],
  timeout: ["timeout"],
  invalid_api_key: ["unauthorized"],
  authentication_error: ["unauthorized"],
  permission_error: ["unauthorized"],
  invalid_organization: ["unauthorized"],
  model_not_found: unknownName,
  not_found_error: unknownName,
  content_filter: ["refused"],
  content_policy_violation: ["refused"],
  image_content_policy_violation: ["refused"],
  misalignment_policy_violation: ["refused"],
  bio_policy: ["refused"],
  cyber_policy: ["refused"],
  data_residency_mismatch: ["missing_config"],
  image_too_large: ["too_large"],
  image_file_too_large: ["too_large"],
  request_too_large: ["too_large"],
  invalid_request_error: ["invalid_input"],
  invalid_prompt: ["invalid_input"],
  context_length_exceeded: ["invalid_input"],
  string_above_max_length: ["invalid_input"],
  failed_to_download_image: ["invalid_input"],
  image_file_not_found: ["invalid_input"],
};

const families: readonly (readonly [RegExp, Meaning])[] = [
  [/quota|billing/, outOfQuota],
  [/rate_limit|throttl/, ["rate_limited"]],
  [/image|unsupported|invalid/, ["invalid_input"]],
];

function exactly(word: string | undefined): Meaning | undefined {
  return word !== undefined && Object.hasOwn(meanings, word) ? meanings[word] : undefined;
}

function meaningOf(code: string | undefined, type: string | undefined): Meaning | undefined {
  for (const word of [code, type]) {
    if (word === undefined) continue;
    const exact = exactly(word);
    if (exact !== undefined) return exact;
    const status = /^[1-5]\d{2}$/.test(word) ? codeOfStatus(Number(word)) : undefined;
    if (status !== undefined) return [status]; // OpenRouter puts the status of the upstream there
    const family = families.find(([pattern]) => pattern.test(word));
    if (family !== undefined) return family[1];
  }
  return undefined;
}

/** Who speaks of an error. */
export interface Reporting {
  readonly service: string;
  readonly model: string;
  readonly redact: Redact;
}

/** The error of an event, or of the body of an answer: `{ code, type, message }`. */
export function reportedError(reported: unknown, { service, model, redact }: Reporting): MillraceError {
  const error = shapeOf(reported);
  const said = redact(wordsOf(error?.message) ?? (typeof reported === "string" ? reported : JSON.stringify(reported ?? null)));
  const type = error?.type === "error" ? undefined : wordsOf(error?.type);
  const [code, details] = meaningOf(codeWord(error?.code), type) ?? ["unavailable"];
  const hint = retryHint({ body: reported });
  return new MillraceError(code, `${service}: ${model} reported: ${said}`, { service, ...hint, ...details });
}

/** The error of a JSON body that came with a 200; undefined where it speaks of none. */
export function bodyError(body: unknown, reporting: Reporting): MillraceError | undefined {
  const error = shapeOf(body)?.error;
  return error === undefined || error === null ? undefined : reportedError(error, reporting);
}

/** An error of the client, told by its fields: classes differ between versions. */
export function clientError(error: unknown, reporting: Reporting): MillraceError | undefined {
  const { service, model, redact } = reporting;
  if (!(error instanceof Error)) return undefined;
  const fields = shapeOf(error) ?? {};
  const status = countOf(fields.status);
  if (status !== undefined) return statusError(error, status, fields, reporting);
  if (fields.error !== undefined && fields.error !== null) return reportedError(fields.error, reporting); // in-stream errors have no status
  if (error instanceof SyntaxError) {
    return new MillraceError("bad_response", `${service}: ${model} sent JSON that does not parse`, { service, cause: quotedError(error, redact) });
  }
  const network = networkFault(error);
  if (network !== undefined) return networkError(service, "the connection failed", error, redact);
  return undefined;
}

function statusError(error: Error, status: number, fields: Shape, { service, model, redact }: Reporting): MillraceError {
  const body = shapeOf(fields.error);
  // The status decides, but for what it does not tell: that the money is gone, or that a filter spoke.
  const words = [codeWord(fields.code ?? body?.code), wordsOf(fields.type ?? body?.type)];
  const telling = words.map(exactly).find((meaning) => meaning !== undefined && (meaning[0] === "refused" || meaning[1] !== undefined));
  const [code, details] = telling ?? (status === 404 ? unknownName : [codeOfStatus(status)]);
  const headers = headersOf(fields.headers);
  const hint = retryHint({ ...(headers === undefined ? {} : { headers }), body });
  const request = wordsOf(fields.requestID) ?? headers?.get("x-request-id") ?? headers?.get("apim-request-id") ?? undefined;
  const named = request === undefined ? "" : ` (request ${redact(request)})`;
  const said = redact(wordsOf(body?.message) ?? error.message.replace(/^\d{3} /, ""));
  return new MillraceError(code, `${service}: ${model} answered ${status}${named}: ${said}`, {
    service,
    status,
    ...(status >= 300 && status <= 399 ? { retryable: false } : {}), // a client of the caller's that does not follow redirects
    ...hint,
    ...details,
    cause: quotedError(error, redact),
  });
}

function codeWord(code: unknown): string | undefined {
  return typeof code === "number" ? String(code) : wordsOf(code);
}

function headersOf(headers: unknown): HeaderSource | undefined {
  const source = shapeOf(headers);
  return source !== undefined && typeof source.get === "function" ? (headers as HeaderSource) : undefined; // it has the one method there is
}
