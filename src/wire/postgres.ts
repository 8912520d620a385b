/**
 * Connections to Postgres, whoever made them: options for a pool of `pg`, a ready pool, a single client, or PGlite in the process.
 *
 * Every call takes one connection and gives it back. A call that is aborted rejects at once: on a pool its statement is cancelled at
 * the server and its connection thrown away; a single connection cannot be interrupted, so the statement runs to its end unheard
 * and the next call waits for it.
 *
 * @module
 */
import { MillraceError, wholeNumber } from "../core/errors.ts";
import { toPostgresError } from "./postgres-errors.ts";
import { borrowedPool, isPool, ownPool } from "./postgres-pool.ts";
import { single } from "./postgres-single.ts";
import type { PostgresTls } from "./postgres-tls.ts";

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
  /** Milliseconds to get a connection: a new one, one of the pool, or the turn on a single client. @default 5000 */
  readonly connectMs?: number;
  /** Milliseconds for a statement, kept by the server; not with `client`. @default 30000 */
  readonly timeoutMs?: number;
  /**
   * TLS, with the server's certificate and name verified; not with `client`. @default what the address says (`sslmode`), else none;
   * the environment says nothing
   */
  readonly ssl?: boolean | PostgresTls;
}

/** A row by its column names. */
export type PostgresRow = Readonly<Record<string, unknown>>;

/** A result as the server printed it, whatever parsers the client has. */
export interface PostgresCells {
  /** `type` is the object id of the type. */
  readonly columns: readonly { readonly name: string; readonly type: number }[];
  readonly rows: readonly (readonly (string | null)[])[];
  /** Rows that came back or were changed. */
  readonly count: number;
}

/** One connection, for as long as a call has it. */
export interface PostgresSession {
  query(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>;
  /** One statement, its values and its result as text. Throws `missing_config` for a client that is neither of pg nor PGlite. */
  cells(text: string, values?: readonly (string | null)[]): Promise<PostgresCells>;
}

/** What a call may be told. */
export interface PostgresContext {
  readonly signal?: AbortSignal | undefined;
}

/** Work on one connection. */
export type PostgresWork<T> = (session: PostgresSession) => Promise<T>;

/** Where an adapter's statements go. */
export interface Postgres {
  /** Is there one connection alone, for which all calls wait in turn? */
  readonly isSingle: boolean;
  /** Work on one connection, each statement by itself. `what` is for messages. */
  run<T>(what: string, work: PostgresWork<T>, context?: PostgresContext): Promise<T>;
  /** Work in one transaction, rolled back when it throws. A connection lost while it commits is `interrupted`: nobody knows. */
  transaction<T>(what: string, work: PostgresWork<T>, context?: PostgresContext): Promise<T>;
  /**
   * Listens on a connection of its own until `signal` aborts: one beside our own pool, one of a ready pool, which is lent out meanwhile.
   * `wake` is called when it begins and at every notification; over a single connection, never. Rejects when the connection is lost.
   */
  listen(channel: string, wake: () => void, signal: AbortSignal): Promise<void>;
  /** Calls in progress reject with `closed`; the pool goes if it is ours. Twice is fine. */
  close(): Promise<void>;
}

/** How one kind of client lends a connection. `onStop` hears what to do when the call is given up. */
export interface Lender {
  lend<T>(work: PostgresWork<T>, transaction: boolean, onStop: (cleanup: () => void) => void): Promise<T>;
  listen(channel: string, wake: () => void, signal: AbortSignal): Promise<void>;
  end(): Promise<void>;
}

/** Opens nothing yet: the first call does. Throws `invalid_input` and `missing_config` for options that cannot work. */
export function postgresConnections(service: string, options: PostgresOptions): Postgres {
  const { connectionString, client } = options;
  if ((connectionString === undefined) === (client === undefined)) {
    throw new MillraceError("missing_config", `${service}: needs either connectionString or client`, { service });
  }
  const connectMs = wholeNumber(service, "connectMs", options.connectMs ?? 5_000, 1);
  const isSingle = client !== undefined && !isPool(client);
  const lender = client === undefined ? ownPool(service, options, connectMs) : isPool(client) ? borrowedPool(client) : single(service, client, connectMs);
  const stops = new Set<(why: unknown) => void>();
  const listenings = new Set<Promise<void>>();
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
    isSingle,
    run: (what, work, context) => call(what, work, false, context),
    transaction: (what, work, context) => call(what, work, true, context),
    async listen(channel, wake, signal) {
      if (closing !== undefined) throw closedError();
      const ending = new AbortController();
      const stop = (): void => ending.abort();
      stops.add(stop);
      const listening = lender.listen(channel, wake, AbortSignal.any([signal, ending.signal]));
      listenings.add(listening);
      try {
        await listening;
      } catch (error) {
        if (!signal.aborted && !ending.signal.aborted) throw toPostgresError(service, "listen", error);
      } finally {
        stops.delete(stop);
        listenings.delete(listening);
      }
      if (ending.signal.aborted) throw closedError();
    },
    close() {
      if (closing === undefined) {
        for (const stop of stops) stop(closedError()); // first, so that the end waits for what they cancel
        closing = Promise.allSettled(listenings).then(() => lender.end());
      }
      return closing;
    },
  };
}
