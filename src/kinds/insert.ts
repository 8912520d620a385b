/**
 * The verb that writes to an SQL database.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { json } from "../core/constructors.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../core/errors.ts";
import { groupsOf } from "../core/groups.ts";
import type { JsonValue, Part } from "../core/part.ts";
import { roughSizeOf } from "../core/part-size.ts";
import type { Context, Processor } from "../core/processor.ts";
import { buffer } from "../streams/buffer.ts";
import { each } from "../streams/each.ts";
import { pipe } from "../streams/pipe.ts";
import { type EncodedRow, type InsertConflict, insertStatement } from "./insert-statement.ts";
import { storeBatch, storeInside } from "./insert-store.ts";
import { openTransaction, type OpenTransaction } from "./open-transaction.ts";
import { requireSqlDatabase, type SqlDatabase, type SqlParameter } from "./sql.ts";
import { toSqlText } from "./sql-values.ts";

/** One column of a row. */
export interface InsertColumn {
  /** The type of the column, without a length: `text`, `bytea`, `jsonb`, `timestamptz`, `text[]`. */
  readonly type: string;
  /** What is stored of a part: bytes alone for `bytea`, any JSON for `json` and `jsonb`, else as in a statement. */
  readonly value: (part: Part) => SqlParameter | JsonValue;
}

/** What `insert` may be told. */
export interface InsertOptions {
  /** Letters, digits and `_`; no schema in it. */
  readonly table: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
  /** By name: letters, digits and `_`. */
  readonly columns: Readonly<Record<string, InsertColumn>>;
  /** What happens to a row that is there already. @default it is a `conflict` */
  readonly conflict?: InsertConflict;
  /** Which parts are stored; the others pass by, in their place. @default every part */
  readonly match?: (part: Part) => boolean;
  /** Parts of a statement at most. They are held in memory until it is done, and as many again are made ready meanwhile. @default 1000 */
  readonly batch?: number;
  /** Milliseconds after its first part at which a batch is stored as it is. @default 1000 */
  readonly maxWaitMs?: number;
  /** One transaction for the whole run, committed at its end. @default false */
  readonly atomic?: boolean;
  /** For `maxWaitMs`. @default the machine's clock */
  readonly clock?: Clock;
}

/** 8 MiB of content in a batch: the statement is some times that, as bytes go as hexadecimal text. */
const batchBytes = 8_388_608;

/**
 * Stores a row for each part, in batches, and hands the part on once its row is stored.
 *
 * Names and types are configuration: checked when the stage is built, and quoted. Values are always parameters. A batch is stored whole
 * or not at all; with `atomic` that holds for the run: parts go on when they are written, and the run ends only when all is committed.
 * Of two parts with one key in a batch the later one overwrites the earlier, as if they had come apart.
 *
 * Reads:  parts that `match` accepts; the others pass by, behind the batch that was open before them.
 * Yields: each part, unchanged and in order.
 * Throws: `invalid_input` for bad options; for a row that cannot be stored the error says which part it was, counted from 0 among those
 *         stored in the run: `conflict` for a key that is there, `invalid_input` for constraints and values that no column can hold.
 *         Nothing of its batch is stored then, nothing of the run with `atomic`.
 * Closes: its transaction; the database belongs to the caller.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using sql = postgres({ client });
 * await sql.execute({ text: "create table notes (words text primary key, at timestamptz, about jsonb)" });
 * const stored = insert(sql, {
 *   table: "notes",
 *   columns: {
 *     words: { type: "text", value: (part) => (isText(part) ? part.text : null) },
 *     at: { type: "timestamptz", value: () => new Date() },
 *     about: { type: "jsonb", value: (part) => ({ role: part.role }) },
 *   },
 *   conflict: { columns: ["words"], update: false },
 * });
 * console.log(await run(stored, ["a", "b", "a"]).text()); // aba
 * console.log((await sql.execute({ text: "select * from notes" })).count); // 2
 */
export function insert(sql: SqlDatabase, options: InsertOptions): Processor {
  requireSqlDatabase("insert", sql);
  const { table, schema, conflict, match = () => true, batch = 1_000, maxWaitMs = 1_000, atomic = false, clock = systemClock } = options;
  const columns = Object.entries(options.columns ?? {});
  for (const [name, column] of columns) if (typeof column?.value !== "function") throw invalidOption("insert", `value of ${name}`, "a function", column?.value);
  if (typeof match !== "function") throw invalidOption("insert", "match", "a function", match);
  if (typeof atomic !== "boolean") throw invalidOption("insert", "atomic", "a boolean", atomic);
  wholeNumber("insert", "batch", batch, 1);
  wholeNumber("insert", "maxWaitMs", maxWaitMs, 1);
  const statement = insertStatement("insert", { table, schema, types: Object.fromEntries(columns.map(([name, { type }]) => [name, type])), conflict });
  const encoders = columns.map(([name, { value }], at) => ({ who: `column ${name}`, value, toText: statement.encoders[at] ?? toSqlText }));
  const limits = { count: batch, bytes: batchBytes, sizeOf: roughSizeOf, maxWaitMs, clock };
  const encode = (part: Part, ordinal: number): EncodedRow => {
    const texts: (string | null)[] = [];
    for (const { who, value, toText } of encoders) {
      const given = value(part);
      try {
        texts.push(toText(who, given));
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        throw new MillraceError(error.code, `insert: part ${ordinal}: ${error.message}`);
      }
    }
    return { ordinal, texts };
  };

  /** One part for each group, which stands for it between the two stages. */
  const groups = new WeakMap<Part, Group>();
  const gather = async function* insert(input: AsyncIterable<Part>): AsyncGenerator<Part> {
    let encoded = 0;
    for await (const parts of groupsOf(input, limits)) {
      const rows: EncodedRow[] = [];
      for (const part of parts) if (match(part)) rows.push(encode(part, encoded + rows.length));
      encoded += rows.length;
      const sign = json(null);
      groups.set(sign, { parts, rows });
      yield sign;
    }
  };
  const storing = (store: (rows: readonly EncodedRow[], signal: AbortSignal | undefined) => Promise<void>): Processor => {
    const storeGroup = async (sign: Part, { signal }: Context): Promise<readonly Part[]> => {
      const { parts, rows } = groups.get(sign) ?? { parts: [sign], rows: [] };
      if (rows.length > 0) await store(rows, signal);
      return parts;
    };
    return pipe(gather, buffer(1), each(storeGroup, { name: "insert" }));
  };
  if (!atomic) return storing((rows, signal) => storeBatch(sql, statement, rows, { signal }));

  return async function* insert(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part> {
    let transaction: OpenTransaction | undefined;
    const store = async (rows: readonly EncodedRow[]): Promise<void> => {
      transaction ??= await openTransaction(sql, { signal: context?.signal });
      await storeInside(transaction.session, statement, rows);
    };
    try {
      yield* storing(store)(input, context);
      await transaction?.commit();
    } finally {
      await transaction?.rollBack();
    }
  };
}

/** What is stored at once, and what goes on then. */
interface Group {
  readonly parts: readonly Part[];
  readonly rows: readonly EncodedRow[];
}
