/**
 * The SQL kind: statements to a relational database that speaks the SQL of Postgres.
 *
 * Statements are text of the program, never of data: what comes from data is a value. The verbs are in `rows.ts`, `insert.ts` and
 * `recorded.ts`, and every database passes `testing/contracts/sql.ts`.
 *
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import type { JsonValue } from "../core/part.ts";

/**
 * A value of a row. One table for all clients, whatever parsers they have themselves:
 *
 * | type of the column | value |
 * | --- | --- |
 * | `boolean` | boolean |
 * | `smallint`, `integer`, `oid` | number |
 * | `real`, `double precision` | number; `"NaN"`, `"Infinity"`, `"-Infinity"` as text |
 * | `bigint`, `numeric` | text with all digits |
 * | `json`, `jsonb` | the JSON value |
 * | `bytea` | bytes |
 * | `timestamptz` | ISO 8601 in UTC with the microseconds there are: `2026-01-31T09:30:00.000001Z` |
 * | `timestamp` | the same without a zone: `2026-01-31T09:30:00` |
 * | arrays of all these, and of the types of text | an array, nested where it has more dimensions |
 * | everything else: text, `uuid`, `date`, `time`, `interval`, `inet`, enums, ranges, composites, `infinity`, years BC | text, as the server prints it |
 */
export type SqlValue = JsonValue | Uint8Array | readonly SqlValue[];

/** A row by its column names. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/**
 * A value for a statement. All go as text and get the type that the statement gives them: a `Date` as ISO 8601, bytes as `bytea`, a list
 * as an array of the server, any other object as JSON. For a list as JSON, hand over the text of it.
 */
export type SqlParameter = null | undefined | boolean | number | bigint | string | Uint8Array | Date | readonly SqlParameter[] | { readonly [key: string]: JsonValue };

/** One statement. */
export interface SqlStatement {
  /** Of the program, with `$1`, `$2` for the values. */
  readonly text: string;
  readonly values?: readonly SqlParameter[];
}

/** What came of a statement. */
export interface SqlResult {
  readonly rows: readonly SqlRow[];
  /** Rows that came back or were changed. */
  readonly count: number;
}

/** What a call may be told. */
export interface SqlContext {
  readonly signal?: AbortSignal | undefined;
}

/** How a result is read. */
export interface SqlQueryOptions extends SqlContext {
  /** Rows fetched at a time, at most; wide rows come fewer at a time. @default 1000 */
  readonly batch?: number;
  /** Runs the query in a read-only transaction: what it would write is refused by the server. @default true */
  readonly readOnly?: boolean;
}

/** One transaction, as long as its work runs. */
export interface SqlSession {
  /** Throws as `SqlDatabase.execute`. After a failure the server refuses all but a rollback, to a savepoint too. */
  execute(statement: SqlStatement): Promise<SqlResult>;
}

/**
 * Runs statements.
 *
 * Errors: the codes of `wire/sqlstate.ts`; `invalid_input` before any I/O for a value that no column can hold (NUL in text, half a
 * surrogate pair, an invalid date); `unavailable` when no connection is to be had in time; `closed` after `close()`; an abort is the signal's reason.
 */
export interface SqlDatabase extends AsyncDisposable {
  /** For messages: `postgres`. */
  readonly service: string;
  /**
   * The rows of a query, through a cursor: at flat memory, at most one batch ahead of the reader. Leaving the loop closes it.
   * Throws: `invalid_input` for two columns of one name.
   */
  query(statement: SqlStatement, options?: SqlQueryOptions): AsyncIterable<SqlRow>;
  /** As `query`, in batches of one row at least: for those who would wait for every row. */
  batches(statement: SqlStatement, options?: SqlQueryOptions): AsyncIterable<readonly SqlRow[]>;
  /** Runs one statement, with all its rows in memory. */
  execute(statement: SqlStatement, context?: SqlContext): Promise<SqlResult>;
  /**
   * Work in one transaction: committed when it resolves, rolled back when it rejects, and what it rejects with is handed on.
   * Throws: `interrupted` where the connection was lost while committing: nobody knows whether it is stored.
   */
  transaction<T>(work: (session: SqlSession) => Promise<T>, context?: SqlContext): Promise<T>;
  close(): Promise<void>;
}

/** Refuses what is no SQL database, when a stage is built. */
export function requireSqlDatabase(who: string, sql: unknown): asserts sql is SqlDatabase {
  if (typeof sql === "object" && sql !== null && "batches" in sql && "execute" in sql && "transaction" in sql && typeof sql.transaction === "function") return;
  throw invalidOption(who, "sql", "an SQL database", sql);
}
