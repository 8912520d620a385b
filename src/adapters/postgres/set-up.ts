/**
 * Tables that are made once, and compared where they are there.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Postgres, PostgresContext, PostgresSession } from "../../wire/postgres.ts";

const service = "postgres";

/** A table, and what makes it. */
export interface WantedTable {
  /** Quoted, for messages and to look it up by. */
  readonly name: string;
  /** Names and types of its columns, in their order. */
  readonly shape: string;
  readonly setup: readonly string[];
}

/** The columns of a table; no row where there is none. */
const look = `select (
    select string_agg(attname || ':' || format_type(atttypid, atttypmod), ', ' order by attnum)
    from pg_attribute where attrelid = pg_class.oid and attnum > 0 and not attisdropped
  ) as columns
  from pg_class where oid = to_regclass($1)`;

/** Makes tables that are missing, in one transaction. Throws `conflict` for one of another shape. */
export async function setUp(server: Postgres, tables: readonly WantedTable[], context: PostgresContext | undefined): Promise<void> {
  await server.transaction("setup", async (session) => {
    // two that look at the same moment would both make it
    await session.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", ["millrace: set up queue"]);
    for (const table of tables) if (!(await isThere(session, table))) for (const text of table.setup) await session.query(text);
  }, context);
}

async function isThere(session: PostgresSession, { name, shape }: WantedTable): Promise<boolean> {
  const [row] = await session.query(look, [name]);
  if (row === undefined) return false;
  if (row["columns"] === shape) return true;
  throw new MillraceError("conflict", `${service}: ${name} is (${String(row["columns"])}), what is wanted is (${shape})`, { service, scope: "process" });
}
