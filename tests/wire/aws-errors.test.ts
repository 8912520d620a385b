import { describe, expect, test } from "vitest";
import { awsFault } from "../../src/wire/aws-errors.ts";
import { hostile } from "./hostile.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
/** As the SDK has them: the name of the service's error, the status beside it. */
const named = (name: string, status = 400, fields: object = {}): Error => Object.assign(new Error("said AWS"), { name, $metadata: { httpStatusCode: status, requestId: "r" }, ...fields });

const table: Readonly<Record<string, readonly string[]>> = {
  rate_limited: [
    "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
    "RequestThrottledException", "SlowDown", "ThrottledException", "Throttling", "ThrottlingException", "TooManyRequestsException", "TransactionInProgressException",
  ],
  unauthorized: [
    "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException", "InvalidToken",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
    "UnauthorizedException", "UnrecognizedClientException",
  ],
  missing_config: ["CredentialsProviderError", "TokenProviderError", "ProviderError"],
  not_found: ["NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"],
  conflict: ["ConditionalRequestConflict", "OperationAborted", "PreconditionFailed", "InvalidObjectState"],
  too_large: [
    "BatchSizeLimitExceededException", "EntityTooLarge", "ImageTooLargeException", "KeyTooLongError", "MaxMessageLengthExceeded", "MetadataTooLarge", "RequestEntityTooLargeException",
    "RequestHeaderSectionTooLarge", "TextSizeLimitExceededException",
  ],
  invalid_input: ["InvalidImageFormatException", "InvalidParameterException", "InvalidRequestException", "UnsupportedLanguageException", "ValidationException"],
  timeout: ["RequestTimeout", "RequestTimeoutException", "TimeoutError"],
  bad_response: ["BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"],
  unavailable: ["InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServiceUnavailable", "ServiceUnavailableException"],
};

describe("E4: the name of an AWS error", () => {
  for (const [code, names] of Object.entries(table)) {
    test.each(names)(`%s is ${code}, whatever the status`, (name) => {
      for (const status of [400, 403, 503]) expect(awsFault(named(name, status), nowMs)).toEqual({ code });
      expect(awsFault(Object.assign(new Error("x"), { name }), nowMs)).toEqual({ code });
    });
  }

  test.each(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"])("%s asks for a fresh credential", (name) => {
    expect(awsFault(named(name), nowMs)).toEqual({ code: "unauthorized", refreshable: true });
  });

  test.each([
    ["ServiceQuotaExceededException", { code: "rate_limited", retryable: false }],
    ["NoSuchBucket", { code: "not_found", scope: "dependency" }],
    ["ResourceNotFoundException", { code: "not_found", scope: "dependency" }],
    ["PermanentRedirect", { code: "bad_response", retryable: false }],
    ["TemporaryRedirect", { code: "bad_response", retryable: false }],
    ["AuthorizationHeaderMalformed", { code: "bad_response", retryable: false }],
    ["IllegalLocationConstraintException", { code: "bad_response", retryable: false }],
  ])("%s is more than its code", (name, fault) => expect(awsFault(named(name), nowMs)).toEqual(fault));

  test("what the SDK marks as throttling is, by any name", () => {
    expect(awsFault(named("NewException", 400, { $retryable: { throttling: true } }), nowMs)).toEqual({ code: "rate_limited" });
    expect(awsFault(named("NewException", 400, { $retryable: { throttling: false } }), nowMs)).toEqual({ code: "invalid_input" });
  });

  test("entries in the answer of a batch have it in other fields", () => {
    expect(awsFault({ Key: "a", Code: "AccessDenied", Message: "no" }, nowMs)).toEqual({ code: "unauthorized" });
    expect(awsFault({ Index: 3, ErrorCode: "InternalServerException", ErrorMessage: "no" }, nowMs)).toEqual({ code: "unavailable" });
  });

  test("a region that was not given is said in the text alone", () => expect(awsFault(new Error("Region is missing"), nowMs)).toEqual({ code: "missing_config" }));
});

describe("where the name says nothing", () => {
  test.each([
    [301, { code: "bad_response", retryable: false }],
    [307, { code: "bad_response", retryable: false }],
    [400, { code: "invalid_input" }],
    [403, { code: "unauthorized" }],
    [404, { code: "not_found" }],
    [412, { code: "conflict" }],
    [413, { code: "too_large" }],
    [416, { code: "invalid_input" }],
    [429, { code: "rate_limited" }],
    [500, { code: "unavailable" }],
    [501, { code: "missing_config" }],
    [503, { code: "unavailable" }],
  ])("the status counts: %i", (status, fault) => {
    for (const name of ["UnknownError", "constructor", "__proto__"]) expect(awsFault(named(name, status), nowMs)).toEqual(fault);
  });

  test("below the service, the network", () => {
    expect(awsFault(Object.assign(new Error("x"), { code: "ECONNRESET" }), nowMs)).toEqual({ code: "unavailable", retryable: true });
    expect(awsFault(Object.assign(new Error("x"), { code: "ENOTFOUND", $metadata: { attempts: 1 } }), nowMs)).toEqual({ code: "unavailable", retryable: false });
  });

  test("an abort is none, with any status", () => expect(awsFault(named("AbortError", 500), nowMs)).toBeUndefined());
});

test("R9: hints of the answer's headers go along", () => {
  const answered = (headers: unknown): Error => named("SlowDown", 503, { $response: { headers } });
  expect(awsFault(answered({ "retry-after": "2" }), nowMs)).toEqual({ code: "rate_limited", retryAfterMs: 2_000 });
  expect(awsFault(answered({ "retry-after": "Fri, 02 Jan 2026 03:04:35 GMT" }), nowMs)).toEqual({ code: "rate_limited", retryAfterMs: 30_000 });
  expect(awsFault(answered({ "x-should-retry": "false" }), nowMs)).toEqual({ code: "rate_limited", retryable: false });
  for (const headers of [null, "x", {}, { "retry-after": 2 }, Object.create({ "retry-after": "2" })]) expect(awsFault(answered(headers), nowMs)).toEqual({ code: "rate_limited" });
});

describe("a clock that is off is told with how far", () => {
  test.each(["RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"])("%s", (name) => {
    expect(awsFault(named(name, 403, { ServerTime: "2026-01-02T03:34:05Z" }), nowMs)).toEqual({ code: "unauthorized", skewMs: 1_800_000 });
    expect(awsFault(named(name, 403, { $response: { headers: { date: "Fri, 02 Jan 2026 02:04:05 GMT" } } }), nowMs)).toEqual({ code: "unauthorized", skewMs: -3_600_000 });
    expect(awsFault(named(name, 403, { ServerTime: "soon" }), nowMs)).toEqual({ code: "unauthorized" });
  });

  test.each([
    ["Signature expired: 20260102T020405Z is now earlier than 20260102T025905Z", { skewMs: 1_000 }],
    ["Signature not yet current: 20260102T050405Z is still later than 20260102T030905Z", { skewMs: 1_000 }],
    ["The request signature we calculated does not match", {}],
  ])("a signature: %s", (message, skew) => {
    const headers = { date: "Fri, 02 Jan 2026 03:04:06 GMT" };
    const error = Object.assign(new Error(message), { name: "InvalidSignatureException", $metadata: { httpStatusCode: 400 }, $response: { headers } });
    expect(awsFault(error, nowMs)).toEqual({ code: "unauthorized", ...skew });
  });

  test("other errors say nothing of the time", () => expect(awsFault(named("AccessDenied", 403, { ServerTime: "2026-01-02T03:34:05Z" }), nowMs)).toEqual({ code: "unauthorized" }));
});

test.each(hostile)("%s is no fault of AWS", (_, value) => expect(awsFault(value, nowMs)).toBeUndefined());
