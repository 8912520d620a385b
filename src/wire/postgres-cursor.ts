/**
 * Results of any length, read batch by batch through a cursor of the server.
 *
 * From a pool a reader has a connection of its own, in a transaction that is open as long as it reads. Where there is one connection
 * for all (a client of `pg`, PGlite) the server keeps the whole result aside ("with hold"), so that the others get their turns meanwhile:
 * a pipeline that reads and writes through one connection would wait for itself otherwise.
 * Source: https://www.postgresql.org/docs/current/sql-declare.html
 *
 * @module
 */
import { systemClock } from "../core/clock.ts";
import { ignore } from "../core/flow.ts";
import { handOver } from "./hand-over.ts";
import type { Postgres, PostgresCells, PostgresSession } from "./postgres.ts";

/** What is read, and how. */
export interface CursorOptions {
  /** For messages. */
  readonly what: string;
  readonly text: string;
  readonly values: readonly (string | null)[];
  /** Rows of a batch at most; wide rows come in smaller ones. */
  readonly batch: number;
  readonly readOnly: boolean;
  /** Milliseconds the reader may take for a batch, kept by the server. */
  readonly idleMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** An open cursor. */
export interface CursorReader {
  /** The next batch, at first also an empty one, for its columns; `undefined` at the end. */
  take(): Promise<PostgresCells | undefined>;
  /** Has the next batch fetched while this one is read: one is ahead at most. */
  ask(): void;
  /** Gives the connection back; a fetch in progress is waited for shortly, then cancelled. Twice is fine. */
  leave(): Promise<void>;
}

/** Rows of the first batch, from which the width of rows is known. */
const firstBatch = 32;
/** Characters of a batch: about 1 MiB, whatever the rows are like. */
const batchChars = 1_048_576;
/** Milliseconds for the batch that was on its way when the reader left. */
const drainMs = 250;
/** Cursors of one connection must not share a name. */
let opened = 0;

/** Opens a reader; the server hears of it at the first `take`. */
export function openCursor(server: Postgres, options: CursorOptions): CursorReader {
  return server.isSingle ? heldReader(server, options) : ownReader(server, options);
}

function ownReader(server: Postgres, options: CursorOptions): CursorReader {
  const { what, signal } = options;
  const batches = handOver<PostgresCells>();
  const ending = new AbortController();
  const abort = (): void => ending.abort(signal?.reason);
  let reading: Promise<void> | undefined;
  let fetching = true;
  const read = async (session: PostgresSession): Promise<void> => {
    const name = await declare(session, options, "");
    for await (const batch of fetched(options.batch, (rows) => fetch(session, name, rows))) {
      fetching = false;
      if (!(await batches.give(batch))) return;
      fetching = true;
    }
  };
  const open = async (): Promise<void> => {
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await server.transaction(what, read, { signal: ending.signal });
      batches.end();
    } catch (error) {
      batches.fail(error);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  };
  return {
    take() {
      reading ??= open().catch(batches.fail);
      return batches.take();
    },
    ask: batches.ask,
    async leave() {
      batches.leave();
      if (reading === undefined) return;
      // a batch that is on its way is let in, so that the connection can be used again; one that takes long is cancelled with it
      const forget = fetching ? systemClock.timeout(drainMs, () => ending.abort()) : ignore;
      await reading;
      forget();
    },
  };
}

function heldReader(server: Postgres, options: CursorOptions): CursorReader {
  const { what, signal } = options;
  let name: string | undefined;
  let batches: AsyncIterator<PostgresCells> | undefined;
  const open = async (): Promise<AsyncIterator<PostgresCells>> => {
    const declared = await server.transaction(what, (session) => declare(session, options, "with hold"), { signal });
    name = declared;
    return fetched(options.batch, (rows) => server.run(what, (session) => fetch(session, declared, rows), { signal }));
  };
  return {
    async take() {
      batches ??= await open();
      const { done, value } = await batches.next();
      return done === true ? undefined : value;
    },
    ask: ignore,
    async leave() {
      const closing = name;
      name = undefined;
      // without the signal: what is kept aside has to go also after an abort; not after a close, when the client is not ours any more
      if (closing !== undefined) await server.run(what, (session) => session.query(`close "${closing}"`)).catch(ignore);
    },
  };
}

async function declare(session: PostgresSession, { text, values, readOnly, idleMs }: CursorOptions, hold: string): Promise<string> {
  opened += 1;
  const name = `millrace_${opened}`;
  // cursor_tuple_fraction 1: all rows will be read, so the plan that is fastest for all of them, not for the first
  await session.query(
    "select set_config('transaction_read_only', $1, true), set_config('cursor_tuple_fraction', '1', true), set_config('idle_in_transaction_session_timeout', $2, true)",
    [readOnly ? "on" : "off", String(idleMs)],
  );
  await session.cells(`declare "${name}" no scroll cursor ${hold} for ${text}`, values);
  return name;
}

function fetch(session: PostgresSession, name: string, rows: number): Promise<PostgresCells> {
  return session.cells(`fetch ${rows} from "${name}"`);
}

/** All batches, each as large as the rows before it suggest. */
async function* fetched(most: number, fetchRows: (rows: number) => Promise<PostgresCells>): AsyncGenerator<PostgresCells> {
  let wanted = Math.min(firstBatch, most);
  for (let first = true; ; first = false) {
    const batch = await fetchRows(wanted);
    const got = batch.rows.length;
    if (got > 0 || first) yield batch;
    if (got < wanted) return;
    wanted = Math.max(1, Math.min(most, wanted * 8, Math.floor((got * batchChars) / Math.max(1, charsOf(batch)))));
  }
}

function charsOf({ rows }: PostgresCells): number {
  let chars = 0;
  for (const row of rows) for (const cell of row) chars += cell === null ? 1 : cell.length;
  return chars;
}
