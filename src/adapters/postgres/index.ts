/**
 * Postgres: queries through cursors, statements, transactions.
 *
 * Kind: sql. Client: `pg` 8 (optional peer, loaded at first use), or a ready pool or client, or PGlite in the process.
 * Source: https://node-postgres.com/apis/pool, https://www.postgresql.org/docs/current/sql-declare.html
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { SqlDatabase, SqlQueryOptions, SqlResult, SqlRow, SqlStatement } from "../../kinds/sql.ts";
import { toSqlText } from "../../kinds/sql-values.ts";
import { postgresConnections, type PostgresOptions as Connections, type PostgresSession } from "../../wire/postgres.ts";
import { openCursor } from "../../wire/postgres-cursor.ts";
import { sqlStateOf, toPostgresError } from "../../wire/postgres-errors.ts";
import { rowDecoder } from "./decode.ts";

export { postgresJournal, type PostgresJournal, type PostgresJournalOptions } from "./journal.ts";
export { postgresKeyValue, type PostgresKeyValue, type PostgresKeyValueOptions } from "./key-value.ts";
export { postgresQueue, type PostgresQueue, type PostgresQueueOptions } from "./queue.ts";

const service = "postgres";

/** How the database is reached. */
export interface PostgresOptions extends Connections {
  /**
   * Milliseconds that the reader of a query may take for one batch, kept by the server, on a connection from a pool. Its transaction is open
   * meanwhile, and keeps the server from clearing away old rows of any table; so a reader that was forgotten must not have it for ever.
   * @default 600000
   */
  readonly readerIdleMs?: number;
}

/**
 * Opens a database of Postgres, at first use.
 *
 * A query has a connection of its pool until its last row is read or its loop is left; more readers at once than `connections` wait
 * for `connectMs` and fail as `unavailable`. A single client and PGlite have one connection, on which all take turns: the results of
 * queries are kept aside by the server, and a transaction keeps all others waiting.
 *
 * Throws: as every SQL database; `invalid_input` for options that cannot work, also for TLS that would not be verified.
 * Closes: the pool, if it was opened here; calls in progress reject with `closed`.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using sql = postgres({ client });
 * const squares = { text: "select n, n * n as square from generate_series(1, $1) as n", values: [1000] };
 * for await (const row of sql.query(squares)) {
 *   if (row.n === 3) break;
 *   console.log(row.square); // 1  4
 * }
 */
export function postgres(options: PostgresOptions): SqlDatabase {
  const idleMs = wholeNumber(service, "readerIdleMs", options.readerIdleMs ?? 600_000, 1);
  const server = postgresConnections(service, options);

  async function* batches(statement: SqlStatement, { signal, batch = 1_000, readOnly = true }: SqlQueryOptions = {}): AsyncGenerator<readonly SqlRow[]> {
    wholeNumber(service, "batch", batch, 1);
    const cursor = openCursor(server, { what: "query", ...sent(statement), batch, readOnly, idleMs, signal });
    try {
      let toRow: ReturnType<typeof rowDecoder> | undefined;
      for (let cells = await cursor.take(); cells !== undefined; cells = await cursor.take()) {
        cursor.ask(); // the server works on the next batch while this one is read
        toRow ??= rowDecoder(cells.columns);
        if (cells.rows.length > 0) yield cells.rows.map(toRow);
        signal?.throwIfAborted();
      }
    } catch (error) {
      throw readOnly ? asRefusal(error) : error;
    } finally {
      await cursor.leave();
    }
  }

  async function* query(statement: SqlStatement, options: SqlQueryOptions = {}): AsyncGenerator<SqlRow> {
    for await (const batch of batches(statement, options)) {
      for (const row of batch) {
        options.signal?.throwIfAborted();
        yield row;
      }
    }
  }

  const close = (): Promise<void> => server.close();
  return {
    service,
    query,
    batches,
    async execute(statement, context) {
      const { text, values } = sent(statement);
      return server.run("statement", (session) => executed(session, text, values), context);
    },
    async transaction(work, context) {
      // what the work throws is its own: a refused connection of another service is none of the database's
      const carried = new Map<unknown, unknown>();
      const running = async (session: PostgresSession): ReturnType<typeof work> => {
        try {
          return await work({ execute: (statement) => executedInside(session, statement) });
        } catch (error) {
          const carrier = new Error("the work has failed");
          carried.set(carrier, error);
          throw carrier;
        }
      };
      try {
        return await server.transaction("transaction", running, context);
      } catch (error) {
        throw carried.has(error) ? carried.get(error) : error;
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// --- shapes ---

async function executed(session: PostgresSession, text: string, values: readonly (string | null)[]): Promise<SqlResult> {
  const { columns, rows, count } = await session.cells(text, values);
  return { rows: rows.map(rowDecoder(columns)), count };
}

/** Translated here, as the work may look at it and go on from a savepoint. */
async function executedInside(session: PostgresSession, statement: SqlStatement): Promise<SqlResult> {
  const { text, values } = sent(statement);
  try {
    return await executed(session, text, values);
  } catch (error) {
    throw toPostgresError(service, "statement", error);
  }
}

/** A write in a transaction that we made read-only is no fault of the server. */
function asRefusal(error: unknown): unknown {
  if (!isMillraceError(error) || sqlStateOf(error.cause) !== "25006") return error;
  return new MillraceError("refused", `${service}: the query writes; say readOnly: false if it may`, { service, cause: error.cause, scope: "process" });
}

/** A statement as it goes to the server. */
function sent({ text, values = [] }: SqlStatement): { readonly text: string; readonly values: readonly (string | null)[] } {
  if (typeof text !== "string" || text === "") throw invalidOption(service, "text", "a statement", text);
  if (!Array.isArray(values)) throw invalidOption(service, "values", "a list", values);
  return { text, values: values.map((value: unknown, at) => toSqlText(`${service}: value $${at + 1}`, value)) };
}
