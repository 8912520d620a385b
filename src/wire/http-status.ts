/**
 * What an HTTP status means, the same for every adapter.
 *
 * @module
 */
import type { ErrorCode } from "../core/errors.ts";

const codes: ReadonlyMap<number, ErrorCode> = new Map([
  [401, "unauthorized"],
  [402, "unauthorized"],
  [403, "unauthorized"],
  [404, "not_found"],
  [405, "missing_config"], // 405, 501 and 505: a wrong base URL or API version
  [407, "unauthorized"],
  [408, "timeout"],
  [409, "conflict"],
  [410, "not_found"],
  [412, "conflict"],
  [413, "too_large"],
  [414, "too_large"],
  [423, "conflict"],
  [425, "unavailable"],
  [429, "rate_limited"],
  [431, "too_large"],
  [451, "refused"],
  [501, "missing_config"],
  [505, "missing_config"],
]);

/** The code of a status that is no success: other 4xx are `invalid_input`, other 5xx `unavailable`, all else `bad_response`. */
export function codeOfStatus(status: number): ErrorCode {
  const code = codes.get(status);
  if (code !== undefined) return code;
  if (status >= 400 && status <= 499) return "invalid_input";
  return status >= 500 && status <= 599 ? "unavailable" : "bad_response";
}
