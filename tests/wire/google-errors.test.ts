import { describe, expect, test } from "vitest";
import { googleFault } from "../../src/wire/google-errors.ts";
import { hostile } from "./hostile.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const failed = (fields: object, message = "said Google"): Error => Object.assign(new Error(message), fields);

const table: Readonly<Record<string, readonly string[]>> = {
  rate_limited: ["RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded", "concurrentLimitExceeded"],
  unauthorized: [
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "ACCOUNT_STATE_INVALID", "API_KEY_INVALID", "IAM_PERMISSION_DENIED", "API_KEY_ANDROID_APP_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED",
    "API_KEY_IOS_APP_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED", "API_KEY_SERVICE_BLOCKED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED", "CREDENTIALS_MISSING", "SECURITY_POLICY_VIOLATED",
    "accountDisabled", "forbidden", "insufficientPermissions", "keyInvalid", "required",
  ],
  missing_config: ["SERVICE_DISABLED", "accessNotConfigured"],
  conflict: ["conditionNotMet", "conflict"],
  too_large: ["uploadTooLarge", "metadataTooLarge"],
  unavailable: ["backendError", "internalError"],
  not_found: ["notFound"],
};

describe("E4: the reason of a Google error", () => {
  for (const [code, reasons] of Object.entries(table)) {
    test.each(reasons)(`%s is ${code}, whatever the status`, (reason) => {
      expect(googleFault(failed({ code: 3, reason, domain: "googleapis.com" }), nowMs)).toEqual({ code });
      expect(googleFault(failed({ code: 400, errors: [{ domain: "global", reason, message: "no" }] }), nowMs)).toEqual({ code });
      expect(googleFault(failed({ errors: [{}, null, { reason: "odd" }, { reason }] }), nowMs)).toEqual({ code });
    });
  }

  test.each(["RESOURCE_QUOTA_EXCEEDED", "BILLING_DISABLED", "quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg", "billingNotEnabled"])("%s: more requests do not help", (reason) => {
    expect(googleFault(failed({ code: 403, reason }), nowMs)).toEqual({ code: "rate_limited", retryable: false });
  });

  test.each(["ACCESS_TOKEN_EXPIRED", "authError", "expired"])("%s asks for a fresh credential", (reason) => {
    expect(googleFault(failed({ code: 401, reason }), nowMs)).toEqual({ code: "unauthorized", refreshable: true });
  });

  test.each(["invalid_grant", "invalid_client"])("%s of the token server", (error) => {
    expect(googleFault(failed({ status: 400, response: { status: 400, data: { error } } }), nowMs)).toEqual({ code: "unauthorized" });
  });
});

describe("where the reason says nothing", () => {
  test.each([
    [1, "unavailable"],
    [3, "invalid_input"],
    [4, "timeout"],
    [5, "not_found"],
    [7, "unauthorized"],
    [8, "rate_limited"],
    [12, "missing_config"],
    [14, "unavailable"],
    [16, "unauthorized"],
    [400, "invalid_input"],
    [401, "unauthorized"],
    [404, "not_found"],
    [412, "conflict"],
    [413, "too_large"],
    [429, "rate_limited"],
    [503, "unavailable"],
  ])("the status counts: %i is %s", (code, ours) => {
    expect(googleFault(failed({ code }), nowMs)).toEqual({ code: ours });
    expect(googleFault({ code, message: "of one image of many", details: [] }, nowMs)).toEqual({ code: ours });
    expect(googleFault(failed({ code, reason: "constructor", errors: [{ reason: "__proto__" }] }), nowMs)).toEqual({ code: ours });
  });

  test("10 is tried again, and a redirect is not", () => {
    expect(googleFault(failed({ code: 10 }), nowMs)).toEqual({ code: "conflict", retryable: true });
    expect(googleFault(failed({ code: 308 }), nowMs)).toEqual({ code: "bad_response", retryable: false });
  });

  test("it is found as digits, beside the code, and in the answer", () => {
    expect(googleFault(failed({ code: "429" }), nowMs)).toEqual({ code: "rate_limited" });
    expect(googleFault(failed({ code: "ERR_BAD_REQUEST", status: 403 }), nowMs)).toEqual({ code: "unauthorized" });
    expect(googleFault(failed({ response: { status: 500 } }), nowMs)).toEqual({ code: "unavailable" });
    expect(googleFault(failed({ code: 200 }), nowMs)).toBeUndefined();
    expect(googleFault(failed({ code: 0 }), nowMs)).toBeUndefined();
  });

  test("below the service, the network", () => {
    expect(googleFault(failed({ code: "ECONNRESET" }), nowMs)).toEqual({ code: "unavailable", retryable: true });
    expect(googleFault(failed({ code: "ENOTFOUND" }), nowMs)).toEqual({ code: "unavailable", retryable: false });
  });

  test.each(["Could not load the default credentials. Browse to https://cloud.google.com/docs for more information.", "Unable to detect a Project Id in the current environment."])(
    "there are no credentials: %s",
    (message) => expect(googleFault(new Error(message), nowMs)).toEqual({ code: "missing_config" }),
  );

  test("an abort is none, with any status", () => expect(googleFault(failed({ name: "AbortError", code: 14 }), nowMs)).toBeUndefined());
});

describe("R9: when to come again", () => {
  test("by the status details", () => {
    expect(googleFault(failed({ code: 8, statusDetails: [{ retryDelay: { seconds: "7", nanos: 0 } }] }), nowMs)).toEqual({ code: "rate_limited", retryAfterMs: 7_000 });
    expect(googleFault(failed({ code: 8, reason: "RATE_LIMIT_EXCEEDED", statusDetails: [{ retryDelay: { seconds: 7 } }] }), nowMs)).toEqual({ code: "rate_limited", retryAfterMs: 7_000 });
  });

  test("by the headers of an answer, of either form", () => {
    for (const headers of [new Headers({ "Retry-After": "3" }), { "retry-after": "3" }]) {
      expect(googleFault(failed({ code: 429, response: { headers } }), nowMs)).toEqual({ code: "rate_limited", retryAfterMs: 3_000 });
    }
  });

  test("what does not pass is not tried again, whatever the hint", () => {
    expect(googleFault(failed({ code: 8, reason: "quotaExceeded", statusDetails: [{ retryDelay: "3s" }] }), nowMs)).toEqual({ code: "rate_limited", retryable: false, retryAfterMs: 3_000 });
  });
});

test("a clock that is off is told with how far", () => {
  const description = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
  const response = (headers: object): object => ({ status: 400, headers, data: { error: "invalid_grant", error_description: description } });
  expect(googleFault(failed({ response: response(new Headers({ date: "Fri, 02 Jan 2026 04:04:05 GMT" })) }), nowMs)).toEqual({ code: "unauthorized", skewMs: 3_600_000 });
  expect(googleFault(failed({ response: response({}) }), nowMs)).toEqual({ code: "unauthorized" });
  expect(googleFault(failed({}, `invalid_grant: ${description}`), nowMs)).toEqual({ code: "unauthorized" });
});

test.each(hostile)("%s is no fault of Google", (_, value) => expect(googleFault(value, nowMs)).toBeUndefined());
