/**
 * The verb that reads from an SQL database.
 *
 * @module
 */
import { toBase64 } from "../core/base64.ts";
import { json } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import type { JsonValue, Part } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { each } from "../streams/each.ts";
import { pipe } from "../streams/pipe.ts";
import { requireSqlDatabase, type SqlDatabase, type SqlParameter, type SqlRow, type SqlValue } from "./sql.ts";

/** What is asked for each part. */
export interface RowsStatement {
  /** Of the program, with `$1`, `$2` for the values. Never made of a part. */
  readonly text: string;
  /** The same for every part, or made of it. @default none */
  readonly values?: readonly SqlParameter[] | ((part: Part) => readonly SqlParameter[]);
}

/** What `rows` may be told. */
export interface RowsOptions {
  /** What a row becomes; nothing for `undefined`. @default a JSON part with role `user` and the substream of the part, bytes in it as base64 */
  readonly map?: (row: SqlRow, part: Part) => Part | string | undefined;
  /** Which parts are asked for; the others pass by. @default every part */
  readonly match?: (part: Part) => boolean;
  /** The database refuses what the query would write. @default true */
  readonly readOnly?: boolean;
  /** Rows fetched at a time, at most. @default 1000 */
  readonly batch?: number;
  /** Queries in progress at most, each on a connection. @default 1 */
  readonly concurrency?: number;
}

/**
 * Runs a query for each part, and puts its rows in the place of the part, as they come.
 *
 * A row is read when it is asked for, at most one batch ahead; leaving closes the cursor and gives its connection back. What the
 * values of a row are stands with `SqlValue`.
 *
 * Reads:  parts that `match` accepts; the others pass by.
 * Yields: one part per row, in the order of the query: JSON by default, else what `map` makes of it.
 * Throws: `invalid_input` for bad options, and for values that no column can hold; `refused` for a query that writes; whatever the
 *         database and `map` throw.
 * Closes: its cursors; the database belongs to the caller.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using sql = postgres({ client });
 * const upTo = rows(sql, {
 *   text: "select n, n * n as square from generate_series(1, $1::integer) as n",
 *   values: (part) => [isText(part) ? part.text : null],
 * });
 * for await (const part of run(upTo, "2")) console.log(isJson(part) && JSON.stringify(part.value)); // {"n":1,"square":1}  {"n":2,"square":4}
 */
export function rows(sql: SqlDatabase, statement: RowsStatement, options: RowsOptions = {}): Processor {
  requireSqlDatabase("rows", sql);
  const { text, values = [] } = statement;
  if (typeof text !== "string" || text === "") throw invalidOption("rows", "text", "a statement", text);
  if (typeof values !== "function" && !Array.isArray(values)) throw invalidOption("rows", "values", "a list or a function", values);
  const { map = toPart, match, readOnly = true, batch = 1_000, concurrency = 1 } = options;
  if (typeof map !== "function") throw invalidOption("rows", "map", "a function", map);
  if (typeof readOnly !== "boolean") throw invalidOption("rows", "readOnly", "a boolean", readOnly);
  wholeNumber("rows", "batch", batch, 1);
  const valuesOf = typeof values === "function" ? values : (): readonly SqlParameter[] => values;
  /** Between the stages a batch is one part, so that its rows cost no promise each. */
  const batches = new WeakMap<Part, { readonly part: Part; readonly rows: readonly SqlRow[] }>();
  const ask = each(
    async function* (part, { signal }) {
      for await (const read of sql.batches({ text, values: valuesOf(part) }, { signal, batch, readOnly })) {
        const sign = derive(part, {}); // like the part, as a text that `map` gives becomes a part like it
        batches.set(sign, { part, rows: read });
        yield sign;
      }
    },
    { ...(match === undefined ? {} : { match }), concurrency, name: "rows" },
  );
  const unpack = each(
    function* (sign) {
      const { part, rows } = batches.get(sign) ?? { part: sign, rows: [] };
      for (const row of rows) yield map(row, part);
    },
    { match: (part) => batches.has(part), name: "rows" },
  );
  return pipe(ask, unpack);
}

function toPart(row: SqlRow, { substream }: Part): Part {
  return json(isJson(row) ? row : Object.fromEntries(Object.entries(row).map(([name, value]) => [name, toJson(value)])), { substream });
}

/** Most rows are JSON as they are, and need no copy. */
function isJson(row: SqlRow): row is Readonly<Record<string, JsonValue>> {
  for (const name in row) {
    const value = row[name];
    if (typeof value === "object" && (Array.isArray(value) || value instanceof Uint8Array)) return false;
  }
  return true;
}

/** Bytes have no JSON of their own; in lists of the server they stand one by one. */
function toJson(value: SqlValue): JsonValue {
  if (value instanceof Uint8Array) return toBase64(value);
  return isList(value) ? value.map(toJson) : value;
}

function isList(value: JsonValue | readonly SqlValue[]): value is readonly SqlValue[] {
  return Array.isArray(value);
}
