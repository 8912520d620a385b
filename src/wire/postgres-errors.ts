/**
 * Errors of Postgres drivers as errors of ours.
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../core/errors.ts";
import { networkFault } from "./network-errors.ts";
import { meaningOfSqlState } from "./sqlstate.ts";

/** Characters of a server's message that are kept. */
const maxMessageChars = 300;

/** Codes of Node for a connection that could not be had or was lost. */
const networkCodes: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
]);

/** What pg says without any code: a connection that ended, or none to be had in time. */
const lostConnection = /connection terminated|connection error|not queryable|timeout exceeded when trying to connect|server closed the connection/i;

/** The SQLSTATE of an error, if a server sent it. Such errors have a severity; Node's codes may look like a SQLSTATE (`EPIPE`). */
export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("severity" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** Is the connection gone, as far as the error tells? */
export function isConnectionLost(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== undefined) return state.startsWith("08") || state.startsWith("57P");
  const code = nodeCodeOf(error);
  return (code !== undefined && networkCodes.has(code)) || (error instanceof Error && lostConnection.test(error.message));
}

/**
 * The error to throw for what a driver threw. Errors that neither server nor network made are handed on as they are: they are bugs.
 *
 * The server's detail, which quotes stored values, stays with `cause`; of what a message about bad data quotes nothing is kept.
 */
export function toPostgresError(service: string, what: string, error: unknown): unknown {
  if (isMillraceError(error)) return error;
  const state = sqlStateOf(error);
  const message = error instanceof Error ? error.message.slice(0, maxMessageChars) : "";
  if (state !== undefined) {
    const { code, details } = meaningOfSqlState(state);
    const told = state.startsWith("22") ? message.replace(/".*"/s, "…") : message;
    return new MillraceError(code, `${service}: ${what}: ${told} (SQLSTATE ${state})`, { service, cause: error, ...details });
  }
  const code = nodeCodeOf(error);
  const fault = code === undefined ? undefined : networkFault(error);
  if (fault === undefined && !isConnectionLost(error)) return error;
  const retryable = fault?.retryable ?? true; // a name that does not exist, a certificate that is no good will be so in a second too
  return new MillraceError("unavailable", `${service}: ${what}: the connection failed${code === undefined ? "" : ` (${code})`}`, { service, cause: error, retryable });
}

function nodeCodeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError) return error.errors.map(nodeCodeOf).find((code) => code !== undefined);
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
