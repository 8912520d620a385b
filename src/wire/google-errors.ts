/**
 * What an error of a Google Cloud service means: by its reason first, by its status second.
 *
 * Clients on gRPC give a gRPC number in `code`, those on REST an HTTP status; `reason` is that of google.rpc.ErrorInfo, storage has a list
 * of `errors` with reasons of its own.
 *
 * Source: google.api.ErrorReason, cloud.google.com/storage/docs/json_api/v1/status-codes, google-gax 5, google-auth-library 10.
 *
 * @module
 */
import { fieldOf, numberOf, textOf } from "./error-fields.ts";
import { grpcFault, grpcHint } from "./grpc-status.ts";
import { codeOfStatus } from "./http-status.ts";
import { retryHint } from "./retry-hint.ts";
import { connectionFault, headersIn, rows, type ServiceFault, skewBy } from "./service-fault.ts";

const outdated: ServiceFault = { code: "unauthorized", refreshable: true };
/** More requests do not help where a day's allowance or the money is gone. */
const outOfQuota: ServiceFault = { code: "rate_limited", retryable: false };

const reasons: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ...rows("rate_limited", "RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "userRateLimitExceeded", "concurrentLimitExceeded"),
  ["RESOURCE_QUOTA_EXCEEDED", outOfQuota],
  ["BILLING_DISABLED", outOfQuota],
  ["quotaExceeded", outOfQuota],
  ["dailyLimitExceeded", outOfQuota],
  ["dailyLimitExceededUnreg", outOfQuota],
  ["billingNotEnabled", outOfQuota],
  ["ACCESS_TOKEN_EXPIRED", outdated],
  ["authError", outdated],
  ["expired", outdated],
  ...rows("unauthorized", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "ACCOUNT_STATE_INVALID", "API_KEY_INVALID", "IAM_PERMISSION_DENIED"),
  ...rows("unauthorized", "API_KEY_ANDROID_APP_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED", "API_KEY_IOS_APP_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED"),
  ...rows("unauthorized", "API_KEY_SERVICE_BLOCKED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED", "CREDENTIALS_MISSING", "SECURITY_POLICY_VIOLATED"),
  ...rows("unauthorized", "accountDisabled", "forbidden", "insufficientPermissions", "keyInvalid", "required"),
  ...rows("missing_config", "SERVICE_DISABLED", "accessNotConfigured"),
  ...rows("conflict", "conditionNotMet", "conflict"),
  ...rows("too_large", "uploadTooLarge", "metadataTooLarge"),
  ...rows("unavailable", "backendError", "internalError"),
  ["notFound", { code: "not_found" }],
  ["invalid_grant", { code: "unauthorized" }], // of the token server, which says nothing more
  ["invalid_client", { code: "unauthorized" }],
]);

/** What the library for credentials says where there are none. */
const noCredentials = /^(?:Could not load the default credentials|Unable to detect a Project Id)/;
/** A token that was signed at another time than it is. */
const timeText = /reasonable timeframe|Check your iat and exp/i;

/** Errors in a list that are looked at. */
const maxErrors = 32;

/**
 * The fault of an error of a client, or of an entry in a batch's answer; undefined for one that neither service, client nor network
 * made, and for an abort.
 *
 * A cancelled call (gRPC 1) is `unavailable`: ask your own signal first. `nowMs` is the wall clock. @default the machine's
 */
export function googleFault(error: unknown, nowMs: number = Date.now()): ServiceFault | undefined {
  if (textOf(error, "name") === "AbortError") return undefined;
  const response = fieldOf(error, "response");
  const fault = byReason(error, response) ?? byStatus(error, response);
  const headers = headersIn(fieldOf(response, "headers") ?? fieldOf(error, "headers"));
  const said = `${textOf(error, "message") ?? ""} ${textOf(fieldOf(response, "data"), "error_description") ?? ""}`;
  if (timeText.test(said)) return { code: "unauthorized", ...skewBy(headers?.get("date") ?? undefined, nowMs) };
  if (fault === undefined) return noCredentials.test(said) ? { code: "missing_config" } : connectionFault(error);
  const hint = { ...(headers === undefined ? {} : retryHint({ headers, nowMs })), ...grpcHint(error) };
  return { ...hint, ...fault };
}

function byReason(error: unknown, response: unknown): ServiceFault | undefined {
  const errors = fieldOf(error, "errors");
  const listed = Array.isArray(errors) ? errors.slice(0, maxErrors).map((inner: unknown) => textOf(inner, "reason")) : [];
  for (const reason of [textOf(error, "reason"), ...listed, textOf(fieldOf(response, "data"), "error")]) {
    const fault = reason === undefined ? undefined : reasons.get(reason);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** gRPC numbers end at 16, HTTP begins at 100; clients on REST also give the status as digits, or beside the code. */
function byStatus(error: unknown, response: unknown): ServiceFault | undefined {
  const code = numberOf(error, "code");
  if (code !== undefined && code >= 0 && code < 100) return grpcFault(error);
  const digits = textOf(error, "code") ?? "";
  const status = code ?? (/^[1-5]\d{2}$/.test(digits) ? Number(digits) : (numberOf(error, "status") ?? numberOf(response, "status")));
  if (status === undefined || (status >= 200 && status <= 299)) return undefined;
  return { code: codeOfStatus(status), ...(status >= 300 && status <= 399 ? { retryable: false } : {}) };
}
