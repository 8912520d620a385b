/**
 * The two tables of a record, and what is written to them.
 *
 * @module
 */
import { type EncodedRow, insertStatement, type InsertStatement, tableName } from "./insert-statement.ts";
import { partColumns } from "./recorded-rows.ts";
import { quotedName } from "./sql-text.ts";
import { requireSqlDatabase, type SqlContext, type SqlDatabase, type SqlSession } from "./sql.ts";

/** Which tables. */
export interface RecordedTables {
  /** Letters, digits and `_`: the tables are `<table>_inputs` and `<table>_results`. */
  readonly table: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
}

/** The statements of a pair of tables. */
export interface RecordedStatements {
  /** For messages and for what is counted in a run. */
  readonly name: string;
  readonly setup: readonly string[];
  /** Inputs as `received`; those that are there stay. */
  readonly receipts: InsertStatement;
  /** Inputs with their state; those that are processed stay, and are not counted. */
  readonly inputs: InsertStatement;
  /** Those that are there stay. */
  readonly results: InsertStatement;
}

const inputTypes = { id: "text", run: "text", ordinal: "bigint", state: "text", error: "text", ...partColumns };
const resultTypes = { id: "text", run: "text", ordinal: "bigint", input: "text", ...partColumns };
/** Rows and characters of one statement at most. */
const rowsPerStatement = 1_000;
const charsPerStatement = 8_388_608;

/** Throws `invalid_input` for names that are none. */
export function recordedStatements(who: string, { table, schema }: RecordedTables): RecordedStatements {
  quotedName(who, "table", table);
  const [inputs, results] = [`${table}_inputs`, `${table}_results`];
  const [inputsName, resultsName] = [tableName(who, inputs, schema), tableName(who, results, schema)];
  const stays = { columns: ["id"], update: false } as const;
  const given = insertStatement(who, { table: inputs, schema, types: inputTypes });
  const part = `kind text not null,
      mime_type text not null,
      role text not null,
      substream text not null,
      text text,
      bytes bytea,
      json jsonb,
      metadata jsonb not null,
      created_at timestamptz not null default now()`;
  return {
    name: resultsName,
    setup: [
      ...(schema === undefined ? [] : [`create schema if not exists ${quotedName(who, "schema", schema)}`]),
      `create table if not exists ${inputsName} (
      id text collate "C" primary key,
      run text not null,
      ordinal bigint not null,
      state text not null check (state in ('received', 'processed', 'failed')),
      error text,
      ${part},
      updated_at timestamptz not null default now()
    )`,
      `create table if not exists ${resultsName} (
      id text collate "C" primary key,
      run text not null,
      ordinal bigint not null,
      input text collate "C" references ${inputsName} (id) on delete cascade,
      ${part}
    )`,
      `create index if not exists "${inputs.slice(0, 50)}_run" on ${inputsName} (run, ordinal)`,
      `create index if not exists "${results.slice(0, 50)}_run" on ${resultsName} (run, ordinal)`,
      `create index if not exists "${results.slice(0, 50)}_input" on ${resultsName} (input)`,
    ],
    receipts: insertStatement(who, { table: inputs, schema, types: inputTypes, conflict: stays }),
    inputs: {
      ...given,
      text: `${given.text} on conflict (id) do update set state = excluded.state, error = excluded.error, updated_at = now() where ${inputsName}.state <> 'processed'`,
    },
    results: insertStatement(who, { table: results, schema, types: resultTypes, conflict: stays }),
  };
}

/** Writes all rows; gives how many were new or changed. */
export async function writeRows(session: SqlSession, statement: InsertStatement, rows: readonly EncodedRow[]): Promise<number> {
  let written = 0;
  for (const chunk of chunks(rows)) written += (await session.execute({ text: statement.text, values: statement.valuesOf(chunk) })).count;
  return written;
}

function* chunks(rows: readonly EncodedRow[]): Generator<readonly EncodedRow[]> {
  let chunk: EncodedRow[] = [];
  let chars = 0;
  for (const row of rows) {
    const size = row.texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
    if (chunk.length > 0 && (chunk.length === rowsPerStatement || chars + size > charsPerStatement)) {
      yield chunk;
      chunk = [];
      chars = 0;
    }
    chunk.push(row);
    chars += size;
  }
  if (chunk.length > 0) yield chunk;
}

/**
 * Makes the tables of a record where they are not there; nothing else does. Twice is fine, also at once.
 *
 * Throws: `invalid_input` for names that are none; whatever the database throws.
 */
export async function recordedSetup(sql: SqlDatabase, tables: RecordedTables, context: SqlContext = {}): Promise<void> {
  requireSqlDatabase("recordedSetup", sql);
  const { setup } = recordedStatements("recordedSetup", tables);
  await sql.transaction(async (session) => {
    // "if not exists" is no protection against another set-up at the same moment
    await session.execute({ text: "select pg_advisory_xact_lock(hashtextextended($1, 0))", values: ["millrace: set up records"] });
    for (const text of setup) await session.execute({ text });
  }, context);
}
