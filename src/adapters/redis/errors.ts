/**
 * Errors of Redis and its clients as ours.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { textOf } from "../../wire/error-fields.ts";
import { type Redact, quotedError } from "../../wire/redact.ts";
import { redisFault } from "../../wire/redis-errors.ts";
import { service } from "./client.ts";

/** The error that is thrown for what a call of ours met; one of ours stays as it is. */
export function toRedisError(what: string, error: unknown, redact: Redact): MillraceError {
  if (error instanceof MillraceError) return error;
  const cause = quotedError(error, redact);
  const fault = redisFault(error) ?? { code: "bad_response" as const, retryable: false };
  // a client that was closed by us has told so before: this one gave up its socket, and the next call has another
  const { code, ...details } = fault.code === "closed" ? { code: "unavailable" as const } : fault;
  return new MillraceError(code, `${service}: ${what}: ${cause.message}`, { ...details, service, cause });
}

/** Is the group, or the stream with it, not there (any more)? A read that waited is told `UNBLOCKED` by Redis 7.0. */
export function isGroupGone(error: unknown): boolean {
  return error instanceof MillraceError && /^(?:NOGROUP|UNBLOCKED)\b/.test(textOf(error.cause, "message") ?? "");
}

/** May the same call be answered a little later? */
export function isPassing(error: unknown): boolean {
  return error instanceof MillraceError && error.retryable && (error.code === "unavailable" || error.code === "timeout");
}
