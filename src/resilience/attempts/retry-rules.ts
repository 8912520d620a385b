/**
 * Which failures another attempt may undo.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";

/**
 * May the same request succeed if it is made again? A bug (an error that is none of ours), a bad part and a refusal fail again; a
 * total that has run out, and a credential that is wrong, are not mended by trying.
 */
export function isRetryable(error: unknown): boolean {
  return isMillraceError(error) && error.retryable && error.code !== "unauthorized" && error.phase !== "total";
}

/** The credential was refused and has been renewed meanwhile, as whoever threw it says: one more request is due at once. */
export function isRefreshed(error: unknown): boolean {
  return isMillraceError(error, "unauthorized") && error.retryable;
}

/** May another service succeed where this one failed? Not with what is wrong in the request, or in this process. */
export function isElsewhere(error: unknown): boolean {
  if (!isMillraceError(error) || error.scope === "process" || error.code === "invalid_input" || error.phase === "total") return false;
  return error.retryable || error.scope === "dependency";
}
