/**
 * What a SQLSTATE means, the same for every adapter on Postgres.
 *
 * Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
 *
 * @module
 */
import type { ErrorCode, ErrorDetails } from "../core/errors.ts";

/** A code, and what differs from its defaults. */
export interface SqlStateMeaning {
  readonly code: ErrorCode;
  readonly details: Pick<ErrorDetails, "scope" | "retryable">;
}

const states: ReadonlyMap<string, SqlStateMeaning> = new Map([
  ["23502", meaning("invalid_input")], // not null
  ["23503", meaning("invalid_input")], // foreign key
  ["23514", meaning("invalid_input")], // check
  ["23505", meaning("conflict")], // unique
  ["25006", meaning("unavailable")], // read-only transaction: a standby, or a primary just demoted
  ["40001", meaning("conflict", { retryable: true })], // serialization failure: the whole transaction again
  ["40P01", meaning("conflict", { retryable: true })], // deadlock
  ["55P03", meaning("conflict", { retryable: true })], // lock not available
  ["42501", meaning("unauthorized")],
  ["3D000", meaning("not_found", { scope: "dependency" })], // database: names come from options
  ["42P01", meaning("not_found", { scope: "dependency" })], // table
  ["42703", meaning("not_found", { scope: "dependency" })], // column
  ["57014", meaning("timeout")], // cancelled: an abort of ours never gets as far as this table
  ["57P01", meaning("unavailable")], // admin shutdown
  ["57P02", meaning("unavailable")], // crash shutdown
  ["57P03", meaning("unavailable")], // cannot connect now
  ["57P04", meaning("unavailable")], // database dropped
  ["57P05", meaning("unavailable")], // idle session timeout
]);

/** By the first two characters, for those that are not named above. */
const classes: ReadonlyMap<string, SqlStateMeaning> = new Map([
  ["08", meaning("unavailable")], // connection
  ["21", meaning("conflict")], // one row twice in a statement that overwrites
  ["22", meaning("invalid_input")], // data
  ["28", meaning("unauthorized")], // authorization
  ["42", meaning("invalid_input", { scope: "process" })], // a statement of ours that the server does not understand
  ["53", meaning("unavailable")], // resources: disk full, too many connections
  ["54", meaning("too_large")], // program limits
]);

const unknown: SqlStateMeaning = meaning("bad_response", { retryable: false });

/** The meaning of a SQLSTATE; `bad_response`, not retryable, for class XX and all that has no row here. */
export function meaningOfSqlState(state: string): SqlStateMeaning {
  return states.get(state) ?? classes.get(state.slice(0, 2)) ?? unknown;
}

function meaning(code: ErrorCode, details: SqlStateMeaning["details"] = {}): SqlStateMeaning {
  return { code, details };
}
