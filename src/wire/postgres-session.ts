/**
 * Statements on one connection, in the two dialects of clients: `pg` takes an object, PGlite a third argument.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { isConnectionLost } from "./postgres-errors.ts";
import type { PostgresCells, PostgresClient, PostgresRow, PostgresSession, PostgresWork } from "./postgres.ts";

/** What both clients answer, as far as it is read. */
interface RawAnswer {
  readonly rows: readonly (readonly (string | null)[])[];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
  readonly rowCount?: number | null;
  readonly affectedRows?: number;
}

/** PGlite, or a transaction of it. */
interface PgliteQueries {
  query(text: string, values: unknown[], options: object): Promise<RawAnswer>;
}

/** PGlite keeps other callers out of a transaction by itself, and parses by a table that it shows. */
interface Pglite extends PostgresClient {
  readonly parsers: Readonly<Record<string, unknown>>;
  transaction<T>(work: (inner: PostgresClient & PgliteQueries) => Promise<T>): Promise<T>;
}

/** A client of `pg`, also one that a pool lent. */
interface PgQueries {
  query(statement: object): Promise<RawAnswer | readonly RawAnswer[]>;
}

/** Is it PGlite? */
export function isPglite(client: PostgresClient): client is Pglite & PgliteQueries {
  return "transaction" in client && typeof client.transaction === "function" && "parsers" in client && typeof client.parsers === "object";
}

function isPg(client: object): client is PgQueries {
  return "processID" in client;
}

const asIs = (text: string): string => text;
/** For `pg`: no type has a parser. */
const noParsers = { getTypeParser: () => asIs };
/** For PGlite: whatever type is asked for, the text is on the wire as we wrote it. */
const noSerializers = new Proxy({}, { get: () => asIs });

/** A session on a client of which nothing more is known, for the statements whose rows the client itself parses. */
export function sessionOf(client: PostgresClient, cells: PostgresSession["cells"] = cellsOf(client)): PostgresSession {
  return {
    async query(text, values = []) {
      const { rows } = await client.query(text, [...values]);
      return rows.filter((row): row is PostgresRow => typeof row === "object" && row !== null);
    },
    cells,
  };
}

/** A session inside a transaction of PGlite, which knows the parsers only outside of it. */
export function pgliteSession(inner: PostgresClient & PgliteQueries, outer: Pglite): PostgresSession {
  return sessionOf(inner, pgliteCells(inner, outer));
}

function cellsOf(client: PostgresClient): PostgresSession["cells"] {
  if (isPglite(client)) return pgliteCells(client, client);
  if (isPg(client)) return pgCells(client);
  return async () => {
    throw new MillraceError("missing_config", "postgres: rows are read through a pool or client of pg, or PGlite; this client is neither");
  };
}

function pgCells(client: PgQueries): PostgresSession["cells"] {
  return async (text, values = []) => {
    // extended: one statement alone, which the simple protocol does not keep to
    const answer = await client.query({ text, values: [...values], rowMode: "array", types: noParsers, queryMode: "extended" });
    return toCells(answer);
  };
}

function pgliteCells(client: PgliteQueries, { parsers }: Pglite): PostgresSession["cells"] {
  return async (text, values = []) => {
    const noParser = Object.fromEntries(Object.keys(parsers).map((type) => [type, asIs]));
    return toCells(await client.query(text, [...values], { rowMode: "array", parsers: noParser, serializers: noSerializers }));
  };
}

function toCells(answer: RawAnswer | readonly RawAnswer[]): PostgresCells {
  if (!("rows" in answer)) throw new MillraceError("invalid_input", "postgres: several statements at once, one is allowed", { scope: "process" });
  const { rows, fields, rowCount, affectedRows } = answer;
  return { columns: fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID })), rows, count: rowCount ?? affectedRows ?? 0 };
}

/** `ending` is what commits and rolls back: also when `session` has been told to send no more. `broken` hears of a failed rollback. */
export async function within<T>(session: PostgresSession, work: PostgresWork<T>, ending: PostgresSession, broken: () => void): Promise<T> {
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
