/**
 * A transaction that is open beside a stream.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { SqlContext, SqlDatabase, SqlSession } from "./sql.ts";

/** Milliseconds between two statements, kept by the server: a transaction keeps it from clearing away old rows of any table. */
const idleMs = 600_000;

/** An open transaction. Whoever opened it calls `rollBack` in any case, which does nothing after `commit`. */
export interface OpenTransaction {
  readonly session: SqlSession;
  /** Throws what became of it: an abort, a lost connection. */
  commit(): Promise<void>;
  rollBack(): Promise<void>;
}

/** Opens one. Throws as `SqlDatabase.transaction` does before its work. */
export async function openTransaction(sql: SqlDatabase, context: SqlContext): Promise<OpenTransaction> {
  const begun = Promise.withResolvers<SqlSession>();
  const decided = Promise.withResolvers<void>();
  const done = sql.transaction(async (session) => {
    await session.execute({ text: "select set_config('idle_in_transaction_session_timeout', $1, true)", values: [String(idleMs)] });
    begun.resolve(session);
    await decided.promise;
  }, context);
  done.catch(begun.reject);
  const session = await begun.promise;
  return {
    session,
    commit() {
      decided.resolve();
      return done;
    },
    async rollBack() {
      decided.reject(new MillraceError("interrupted", "the transaction was left"));
      await done.catch(ignore);
    },
  };
}
