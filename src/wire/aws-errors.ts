/**
 * What an error of an AWS service means: by its name first, as many come with status 400, by the status second.
 *
 * Source: `retry` of @smithy/core 3 (throttling, clock skew), docs.aws.amazon.com: common errors, and those of S3, Comprehend, Rekognition.
 *
 * @module
 */
import { fieldOf, numberOf, textOf } from "./error-fields.ts";
import { codeOfStatus } from "./http-status.ts";
import { type HeaderSource, retryHint } from "./retry-hint.ts";
import { connectionFault, headersIn, rows, type ServiceFault, skewBy } from "./service-fault.ts";

const outdated: ServiceFault = { code: "unauthorized", refreshable: true };
/** The name came from options. */
const notThere: ServiceFault = { code: "not_found", scope: "dependency" };
/** Another region or endpoint answers for it. */
const elsewhere: ServiceFault = { code: "bad_response", retryable: false };

const faults: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ...rows("rate_limited", "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete"),
  ...rows("rate_limited", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown"),
  ...rows("rate_limited", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException"),
  ["ServiceQuotaExceededException", { code: "rate_limited", retryable: false }],
  ["ExpiredToken", outdated],
  ["ExpiredTokenException", outdated],
  ["TokenRefreshRequired", outdated],
  ...rows("unauthorized", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId"),
  ...rows("unauthorized", "InvalidClientTokenId", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
  ...rows("unauthorized", "NotAuthorized", "OptInRequired", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch"),
  ...rows("unauthorized", "UnauthorizedException", "UnrecognizedClientException"),
  ...rows("missing_config", "CredentialsProviderError", "TokenProviderError", "ProviderError"),
  ...rows("not_found", "NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"),
  ["NoSuchBucket", notThere],
  ["ResourceNotFoundException", notThere],
  ...rows("conflict", "ConditionalRequestConflict", "OperationAborted", "PreconditionFailed"),
  ["InvalidObjectState", { code: "conflict" }], // archived; with 403, but not for want of a right
  ...rows("too_large", "BatchSizeLimitExceededException", "EntityTooLarge", "ImageTooLargeException", "KeyTooLongError", "MaxMessageLengthExceeded"),
  ...rows("too_large", "MetadataTooLarge", "RequestEntityTooLargeException", "RequestHeaderSectionTooLarge", "TextSizeLimitExceededException"),
  ...rows("invalid_input", "InvalidImageFormatException", "InvalidParameterException", "InvalidRequestException", "UnsupportedLanguageException"),
  ...rows("invalid_input", "ValidationException"),
  ...rows("timeout", "RequestTimeout", "RequestTimeoutException", "TimeoutError"),
  ...rows("bad_response", "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"),
  ["PermanentRedirect", elsewhere],
  ["TemporaryRedirect", elsewhere],
  ["AuthorizationHeaderMalformed", elsewhere], // signed for another region
  ["IllegalLocationConstraintException", elsewhere],
  ...rows("unavailable", "InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServiceUnavailable"),
  ...rows("unavailable", "ServiceUnavailableException"),
]);

/** Those that the time decides; a bad signature only when its text says so, as a wrong key looks the same. */
const timeNames: ReadonlySet<string> = new Set(["RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"]);
const timeText = /signature expired|signature not yet current/i;

/**
 * The fault of an error of the SDK, or of an entry in a batch's list of errors; undefined for one that neither service, client nor
 * network made, and for an abort.
 *
 * `nowMs` is the wall clock, for hints that are dates and for the skew. @default the machine's
 */
export function awsFault(error: unknown, nowMs: number = Date.now()): ServiceFault | undefined {
  const name = nameOf(error);
  const status = numberOf(fieldOf(error, "$metadata"), "httpStatusCode");
  if (name === "AbortError") return undefined;
  const fault = byName(error, name) ?? byStatus(status);
  if (fault === undefined) return connectionFault(error);
  const headers = headersIn(fieldOf(fieldOf(error, "$response"), "headers"));
  return { ...(headers === undefined ? {} : retryHint({ headers, nowMs })), ...fault, ...skewOf(error, name, headers, nowMs) };
}

/** Errors have a name, entries of S3 a `Code`, entries of the others an `ErrorCode`. */
function nameOf(error: unknown): string | undefined {
  return textOf(error, "Code") ?? textOf(error, "ErrorCode") ?? textOf(error, "name");
}

function byName(error: unknown, name: string | undefined): ServiceFault | undefined {
  const fault = name === undefined ? undefined : faults.get(name);
  if (fault !== undefined) return fault;
  if (fieldOf(fieldOf(error, "$retryable"), "throttling") === true) return { code: "rate_limited" };
  return textOf(error, "message") === "Region is missing" ? { code: "missing_config" } : undefined;
}

function byStatus(status: number | undefined): ServiceFault | undefined {
  if (status === undefined || (status >= 200 && status <= 299)) return undefined; // a 200 that failed has a name, or did not parse
  return status >= 300 && status <= 399 ? elsewhere : { code: codeOfStatus(status) };
}

/** S3 says both times in its error, all services say theirs in a header. */
function skewOf(error: unknown, name: string | undefined, headers: HeaderSource | undefined, nowMs: number): Pick<ServiceFault, "skewMs"> {
  const isTime = name !== undefined && (timeNames.has(name) || (name === "InvalidSignatureException" && timeText.test(textOf(error, "message") ?? "")));
  if (!isTime) return {};
  return skewBy(textOf(error, "ServerTime") ?? headers?.get("date") ?? undefined, nowMs);
}
