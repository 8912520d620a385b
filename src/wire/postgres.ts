/**
 * Connections to Postgres, whoever made them: options for a pool of `pg`, a ready pool, a single client, or PGlite in the process.
 *
 * Every call takes one connection and gives it back. A call that is aborted rejects at once: on a pool its statement is cancelled at
 * the server and its connection thrown away; a single connection cannot be interrupted, so the statement runs to its end unheard
 * and the next call waits for it.
 *
 * @module
 */
import type * as pg from "pg";
import { MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { isConnectionLost, toPostgresError } from "./postgres-errors.ts";

/** What is used of a ready client: `pg`'s pool or client, PGlite, or anything else that answers so. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: unknown[] }>;
}

/** How Postgres is reached: by an address or by a client, never both. */
export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, for a pool that is opened at first use and closed with the adapter. */
  readonly connectionString?: string;
  /** A ready pool, client or PGlite; it is not closed. A single client must not be used for anything else meanwhile. */
  readonly client?: PostgresClient;
  /** Connections of the pool at most. @default 10 */
  readonly connections?: number;
  /** Milliseconds to get a connection. @default 5000 */
  readonly connectMs?: number;
  /** Milliseconds for a statement, kept by the server; not with `client`. @default 30000 */
  readonly timeoutMs?: number;
}

/** A row by its column names. */
export type PostgresRow = Readonly<Record<string, unknown>>;

/** One connection, for as long as a call has it. */
export interface PostgresSession {
  query(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>;
}

/** What a call may be told. */
export interface PostgresContext {
  readonly signal?: AbortSignal;
}

/** Work on one connection. */
export type PostgresWork<T> = (session: PostgresSession) => Promise<T>;

/** Where an adapter's statements go. */
export interface Postgres {
  /** Work on one connection, each statement by itself. `what` is for messages. */
  run<T>(what: string, work: PostgresWork<T>, context?: PostgresContext): Promise<T>;
  /** Work in one transaction, rolled back when it throws. A connection lost while it commits is `interrupted`: nobody knows. */
  transaction<T>(what: string, work: PostgresWork<T>, context?: PostgresContext): Promise<T>;
  /** Calls in progress reject with `closed`; the pool goes if it is ours. Twice is fine. */
  close(): Promise<void>;
}

/** How one kind of client lends a connection. `onStop` hears what to do when the call is given up. */
interface Lender {
  lend<T>(work: PostgresWork<T>, transaction: boolean, onStop: (cleanup: () => void) => void): Promise<T>;
  end(): Promise<void>;
}

/** Opens nothing yet: the first call does. Throws `invalid_input` and `missing_config` for options that cannot work. */
export function postgres(service: string, options: PostgresOptions): Postgres {
  const { connectionString, client } = options;
  if ((connectionString === undefined) === (client === undefined)) {
    throw new MillraceError("missing_config", `${service}: needs either connectionString or client`, { service });
  }
  const lender = client === undefined ? ownPool(service, options) : isPool(client) ? borrowedPool(client) : single(client);
  const stops = new Set<(why: unknown) => void>();
  let closing: Promise<void> | undefined;
  const closedError = (): MillraceError => new MillraceError("closed", `${service}: the connection is closed`, { service });

  const call = async <T>(what: string, work: PostgresWork<T>, transaction: boolean, { signal }: PostgresContext = {}): Promise<T> => {
    if (closing !== undefined) throw closedError();
    signal?.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      let over = false;
      let cleanup: () => void = () => {};
      const settle = (): boolean => {
        if (over) return false;
        over = true;
        signal?.removeEventListener("abort", abort);
        stops.delete(stop);
        return true;
      };
      const stop = (why: unknown): void => {
        if (!settle()) return;
        cleanup();
        reject(why);
      };
      const abort = (): void => stop(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      stops.add(stop);
      const onStop = (clean: () => void): void => {
        if (over) clean();
        else cleanup = clean;
      };
      lender.lend(work, transaction, onStop).then(
        (value) => settle() && resolve(value),
        (error: unknown) => settle() && reject(toPostgresError(service, what, error)),
      );
    });
  };
  return {
    run: (what, work, context) => call(what, work, false, context),
    transaction: (what, work, context) => call(what, work, true, context),
    close() {
      if (closing === undefined) {
        for (const stop of stops) stop(closedError()); // first, so that the end waits for what they cancel
        closing = lender.end();
      }
      return closing;
    },
  };
}

// --- pools ---

interface PoolClient extends PostgresClient {
  readonly processID?: number | null;
  release(destroy?: boolean): void;
  on(event: "error", listener: () => void): unknown;
  off(event: "error", listener: () => void): unknown;
}

interface Pool extends PostgresClient {
  connect(): Promise<PoolClient>;
}

/** A pool counts its connections; a client has `connect` too, but lends nothing. */
function isPool(client: PostgresClient): client is Pool {
  return "connect" in client && "totalCount" in client;
}

function ownPool(service: string, options: PostgresOptions): Lender {
  const max = wholeNumber(service, "connections", options.connections ?? 10, 1);
  const connectMs = wholeNumber(service, "connectMs", options.connectMs ?? 5_000, 1);
  const timeoutMs = wholeNumber(service, "timeoutMs", options.timeoutMs ?? 30_000, 1);
  const { connectionString = "" } = options;
  let opened: Promise<{ readonly pool: Pool; end(): Promise<void> }> | undefined;
  const open = async (): Promise<{ readonly pool: Pool; end(): Promise<void> }> => {
    const { default: pg } = await loadPg(service);
    const pool = new pg.Pool({
      connectionString,
      max,
      connectionTimeoutMillis: connectMs,
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: timeoutMs,
      application_name: "millrace",
    });
    pool.on("error", ignore); // an idle connection that the server drops would end the process otherwise
    return { pool, end: () => pool.end() };
  };
  const lent = lendingFrom(async () => {
    // a failed load is forgotten, so that a later call may try again
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return (await opened).pool;
  });
  return {
    lend: lent.lend,
    async end() {
      await lent.settled();
      await (await opened?.catch(() => undefined))?.end();
    },
  };
}

async function loadPg(service: string): Promise<typeof pg> {
  try {
    return await import("pg");
  } catch (error) {
    if (typeof error === "object" && error !== null && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") {
      throw new MillraceError("missing_config", `${service}: needs the package pg: npm install pg`, { service, cause: error });
    }
    throw error;
  }
}

function borrowedPool(pool: Pool): Lender {
  const lent = lendingFrom(async () => pool);
  return { lend: lent.lend, end: lent.settled };
}

function lendingFrom(poolOf: () => Promise<Pool>): Pick<Lender, "lend"> & { settled(): Promise<void> } {
  const cancels = new Set<Promise<unknown>>();
  return {
    async lend(work, transaction, onStop) {
      const pool = await poolOf();
      const client = await pool.connect();
      client.on("error", ignore); // while it is lent the pool does not listen, and the query in progress rejects anyway
      let given = false;
      let busy = false;
      let broken = false;
      const giveBack = (destroy: boolean): void => {
        if (given) return;
        given = true;
        client.release(destroy);
        client.off("error", ignore);
      };
      onStop(() => {
        giveBack(busy); // first, so that a full pool has room for the cancelling connection
        const pid = client.processID;
        if (!busy || typeof pid !== "number") return;
        const cancel = pool.query("select pg_cancel_backend($1)", [pid]).catch(ignore);
        cancels.add(cancel);
        void cancel.finally(() => cancels.delete(cancel));
      });
      if (given) throw new MillraceError("closed", "postgres: the call was given up"); // heard by nobody
      busy = true;
      try {
        const session = sessionOf(client);
        const result = transaction ? await within(session, work, session, () => (broken = true)) : await work(session);
        giveBack(false);
        return result;
      } catch (error) {
        giveBack(broken || isConnectionLost(error));
        throw error;
      }
    },
    async settled() {
      await Promise.all(cancels);
    },
  };
}

// --- single connections ---

/** Who has the connection now: statements of two calls must not meet in one transaction. */
const queues = new WeakMap<PostgresClient, Promise<unknown>>();

function single(client: PostgresClient): Lender {
  return {
    async lend(work, transaction, onStop) {
      let stopped = false;
      onStop(() => {
        stopped = true;
      });
      const turn = (queues.get(client) ?? Promise.resolve()).then(async () => {
        const guarded = (target: PostgresClient): PostgresSession => {
          const session = sessionOf(target);
          return {
            async query(text, values) {
              if (stopped) throw new MillraceError("closed", "postgres: the call was given up"); // heard by nobody; rolls back
              return session.query(text, values);
            },
          };
        };
        if (!transaction) return work(guarded(client));
        if (hasTransaction(client)) return client.transaction((inner) => work(guarded(inner)));
        return within(guarded(client), work, sessionOf(client), ignore);
      });
      queues.set(client, turn.catch(ignore));
      return turn;
    },
    end: async () => {},
  };
}

/** PGlite keeps other callers out of a transaction by itself. */
interface Transacting extends PostgresClient {
  transaction<T>(work: (inner: PostgresClient) => Promise<T>): Promise<T>;
}

function hasTransaction(client: PostgresClient): client is Transacting {
  return "transaction" in client && typeof client.transaction === "function";
}

// --- transactions ---

/** `ending` is what commits and rolls back: also when `session` has been told to send no more. `broken` hears of a failed rollback. */
async function within<T>(session: PostgresSession, work: PostgresWork<T>, ending: PostgresSession, broken: () => void): Promise<T> {
  await session.query("begin");
  let result: T;
  try {
    result = await work(session);
  } catch (error) {
    if (!isConnectionLost(error)) await ending.query("rollback").catch(broken);
    throw error;
  }
  try {
    await ending.query("commit");
  } catch (error) {
    if (!isConnectionLost(error)) throw error;
    throw new MillraceError("interrupted", "postgres: the connection was lost while committing; whether it is stored is unknown", { cause: error });
  }
  return result;
}

function sessionOf(client: PostgresClient): PostgresSession {
  return {
    async query(text, values = []) {
      const { rows } = await client.query(text, [...values]);
      return rows.filter((row): row is PostgresRow => typeof row === "object" && row !== null);
    },
  };
}
