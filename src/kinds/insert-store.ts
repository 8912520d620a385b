/**
 * Storing one batch of rows: whole, or not at all and with the part named that is to blame.
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../core/errors.ts";
import type { EncodedRow, InsertStatement } from "./insert-statement.ts";
import type { SqlContext, SqlDatabase, SqlSession } from "./sql.ts";

/** Stores the rows by themselves: committed when it resolves. */
export async function storeBatch(sql: SqlDatabase, statement: InsertStatement, rows: readonly EncodedRow[], context: SqlContext): Promise<void> {
  const rounds = statement.roundsOf(rows);
  try {
    const [only, ...others] = rounds;
    if (only !== undefined && others.length === 0) await sql.execute(statementFor(statement, only), context);
    else await sql.transaction((session) => storeRounds(session, statement, rounds), context);
  } catch (error) {
    if (!isFaultOfRow(error)) throw error;
    const undone = new MillraceError("interrupted", "insert: looked for the row");
    let found: Found | undefined;
    await sql.transaction(async (session) => {
      found = await firstFault(session, statement, rounds.flat());
      throw undone;
    }, context).catch((other: unknown) => {
      if (other !== undone) throw other;
    });
    throw blamed(error, found);
  }
}

/** Stores the rows in a transaction of somebody else's, who rolls it back when this throws. */
export async function storeInside(session: SqlSession, statement: InsertStatement, rows: readonly EncodedRow[]): Promise<void> {
  const rounds = statement.roundsOf(rows);
  await session.execute({ text: "savepoint before_batch" });
  try {
    await storeRounds(session, statement, rounds);
  } catch (error) {
    if (!isFaultOfRow(error)) throw error;
    await session.execute({ text: "rollback to savepoint before_batch" });
    throw blamed(error, await firstFault(session, statement, rounds.flat()));
  }
  await session.execute({ text: "release savepoint before_batch" });
}

async function storeRounds(session: SqlSession, statement: InsertStatement, rounds: readonly (readonly EncodedRow[])[]): Promise<void> {
  for (const round of rounds) await session.execute(statementFor(statement, round));
}

function statementFor(statement: InsertStatement, rows: readonly EncodedRow[]): { readonly text: string; readonly values: readonly string[] } {
  return { text: statement.text, values: statement.valuesOf(rows) };
}

/** A row that the server refuses, and why. */
interface Found {
  readonly row: EncodedRow;
  readonly error: unknown;
}

/** The first row that cannot be stored behind those before it: by halves, so a thousand rows take ten statements. */
async function firstFault(session: SqlSession, statement: InsertStatement, rows: readonly EncodedRow[]): Promise<Found | undefined> {
  /** What the server says to these rows behind those that are stored; nothing of them is stored then. */
  const refusal = async (tried: readonly EncodedRow[]): Promise<{ readonly error: unknown } | undefined> => {
    await session.execute({ text: "savepoint before_rows" });
    try {
      await storeRounds(session, statement, statement.roundsOf(tried));
      return undefined;
    } catch (error) {
      if (!isFaultOfRow(error)) throw error;
      await session.execute({ text: "rollback to savepoint before_rows" });
      return { error };
    }
  };
  let low = 0;
  let high = rows.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await refusal(rows.slice(low, middle))) === undefined) low = middle;
    else high = middle;
  }
  const row = rows[low];
  const refused = row === undefined ? undefined : await refusal([row]);
  return row === undefined || refused === undefined ? undefined : { row, error: refused.error };
}

/** Does the server refuse the data, and would again? */
function isFaultOfRow(error: unknown): error is MillraceError {
  if (!isMillraceError(error) || error.retryable || error.scope === "process") return false;
  return error.code === "invalid_input" || error.code === "conflict" || error.code === "too_large";
}

/** The error with the part in it; without, where the server does not refuse again what it has refused as a whole. */
function blamed(whole: MillraceError, found: Found | undefined): MillraceError {
  const error = found !== undefined && isMillraceError(found.error) ? found.error : whole;
  const part = found === undefined ? "a batch" : `part ${found.row.ordinal}`;
  return new MillraceError(error.code, `insert: ${part}: ${error.message}`, {
    ...(error.service === undefined ? {} : { service: error.service }),
    scope: error.scope,
    retryable: error.retryable,
    cause: error.cause,
  });
}
