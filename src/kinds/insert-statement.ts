/**
 * The statement that stores many rows: one array of text for each column, so that its parameters are as many for one row as for
 * thousands (a statement has 65,535 at most).
 *
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import { quotedName } from "./sql-text.ts";
import { toArrayText, toHex, toJsonArrayText, toJsonText, toSqlText } from "./sql-values.ts";

/** What happens to a row that is there already. */
export interface InsertConflict {
  /** The columns of the key, which the table must have as a primary key or unique index. */
  readonly columns: readonly string[];
  /** Overwrites all other columns, or those named, or none: then the row that is there stays. */
  readonly update: "all" | readonly string[] | false;
}

/** What rows are made for. */
export interface InsertTarget {
  readonly table: string;
  readonly schema?: string | undefined;
  /** Types by column name. */
  readonly types: Readonly<Record<string, string>>;
  readonly conflict?: InsertConflict | undefined;
}

/** The texts of one row, in the order of the columns, and which part it is. */
export interface EncodedRow {
  readonly ordinal: number;
  readonly texts: readonly (string | null)[];
}

/** Makes the statements of one table. */
export interface InsertStatement {
  readonly text: string;
  /** The table, quoted. */
  readonly table: string;
  /** How a value of each column becomes text; `who` names it in errors. */
  readonly encoders: readonly ((who: string, value: unknown) => string | null)[];
  /** One array for each column. */
  valuesOf(rows: readonly EncodedRow[]): readonly string[];
  /** Rows apart that have the same key: no statement overwrites a row that it has just written. In order of the key within. */
  roundsOf(rows: readonly EncodedRow[]): readonly (readonly EncodedRow[])[];
}

/** Words with single spaces, an array at most. Without a length: a cast to `varchar(3)` would cut what the column refuses. */
const typeName = /^[a-z_][a-z0-9_]*( [a-z][a-z0-9_]*)*(\[\])*$/i;

/** Throws `invalid_input` for names and types that are none: they are configuration, and stand in the statement. */
export function insertStatement(who: string, { table, schema, types, conflict }: InsertTarget): InsertStatement {
  const name = tableName(who, table, schema);
  const columns = Object.entries(types).map(([column, type]) => {
    if (typeof type !== "string" || !typeName.test(type)) throw invalidOption(who, `type of ${column}`, "the name of a type without a length, like text, jsonb or timestamptz", type);
    return { quoted: quotedName(who, "column", column), type: type.toLowerCase() };
  });
  if (columns.length === 0) throw invalidOption(who, "columns", "one at least", types);
  const isArray = (type: string): boolean => type.endsWith("[]");
  const places = columns.map((_, at) => `c${at}`);
  // an array of arrays would be taken apart to its last item, so those come as text
  const values = columns.map(({ type }, at) => (isArray(type) ? `c${at}::${type}` : `c${at}`)).join(", ");
  const arrays = columns.map(({ type }, at) => `$${at + 1}::${isArray(type) ? "text" : type}[]`).join(", ");
  const keyed = keyPlaces(who, conflict, Object.keys(types));
  return {
    table: name,
    text: `insert into ${name} (${columns.map(({ quoted }) => quoted).join(", ")}) select ${values} from unnest(${arrays}) as part (${places.join(", ")})${onConflict(who, conflict, Object.keys(types))}`,
    encoders: columns.map(({ type }) => encoderOf(type)),
    valuesOf: (rows) => columns.map(({ type }, at) => (isJson(type) ? toJsonArrayText : toArrayText)(columnOf(rows, at))),
    roundsOf(rows) {
      if (keyed === undefined) return [rows];
      const rounds: { readonly key: string; readonly row: EncodedRow }[][] = [];
      const seen = new Map<string, number>();
      for (const row of rows) {
        const parts = keyed.map((at) => row.texts[at] ?? null);
        const key = JSON.stringify(parts);
        const round = parts.includes(null) ? 0 : (seen.get(key) ?? 0); // null equals nothing
        seen.set(key, round + 1);
        (rounds[round] ??= []).push({ key, row });
      }
      // in one order everywhere, so that two writers never wait for each other's rows in a circle
      return rounds.map((round) => round.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ row }) => row));
    },
  };
}

function columnOf(rows: readonly EncodedRow[], at: number): (string | null)[] {
  const column: (string | null)[] = [];
  for (const { texts } of rows) column.push(texts[at] ?? null);
  return column;
}

/** A table's name, quoted, with its schema before it. */
export function tableName(who: string, table: string, schema: string | undefined): string {
  return (schema === undefined ? "" : `${quotedName(who, "schema", schema)}.`) + quotedName(who, "table", table);
}

function isJson(type: string): boolean {
  return type === "json" || type === "jsonb";
}

function encoderOf(type: string): (who: string, value: unknown) => string | null {
  if (isJson(type)) return toJsonText;
  if (type === "bytea") return toBytesText;
  return toSqlText;
}

/** Text is no bytes: in which encoding? */
function toBytesText(who: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return toHex(value);
  throw invalidOption(who, "a value of bytea", "a Uint8Array", value);
}

function onConflict(who: string, conflict: InsertConflict | undefined, columns: readonly string[]): string {
  if (conflict === undefined) return "";
  const { columns: key, update } = conflict;
  const target = ` on conflict (${key.map((column) => quotedName(who, "conflict.columns", column)).join(", ")})`;
  const updated = update === false ? [] : update === "all" ? columns.filter((column) => !key.includes(column)) : update;
  if (!Array.isArray(updated)) throw invalidOption(who, "conflict.update", '"all", names of columns or false', update);
  for (const column of updated) if (!columns.includes(column)) throw invalidOption(who, "conflict.update", `of ${columns.join(", ")}`, column);
  if (updated.length === 0) return `${target} do nothing`;
  const sets = updated.map((column) => quotedName(who, "conflict.update", column)).map((quoted) => `${quoted} = excluded.${quoted}`);
  return `${target} do update set ${sets.join(", ")}`;
}

/** Where the columns of the key stand; `undefined` where no row is ever overwritten. */
function keyPlaces(who: string, conflict: InsertConflict | undefined, columns: readonly string[]): readonly number[] | undefined {
  if (conflict === undefined) return undefined;
  const { columns: key, update } = conflict;
  if (!Array.isArray(key) || key.length === 0) throw invalidOption(who, "conflict.columns", "a list of names", key);
  return update === false
    ? undefined
    : key.map((column) => {
        const at = columns.indexOf(column);
        if (at === -1) throw invalidOption(who, "conflict.columns", `of ${columns.join(", ")}`, column);
        return at;
      });
}
