/**
 * The verb that keeps a record of a processor's inputs and results in an SQL database.
 *
 * @module
 */
import { status } from "../core/constructors.ts";
import { invalidOption, isMillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { isReserved } from "../core/guards.ts";
import type { Part } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { runRecord } from "./recorded-run.ts";
import { recordedStatements, type RecordedTables, writeRows } from "./recorded-tables.ts";
import { requireSqlDatabase, type SqlDatabase } from "./sql.ts";

/** What became of the record of a run. */
export type RecordedEvent =
  | {
      readonly stored: true;
      /** The correlation id. */
      readonly run: string;
      readonly inputs: number;
      readonly results: number;
      /** The run had been recorded as processed before, so what was there stayed. */
      readonly replayed: boolean;
      /** The server's time, ISO 8601. */
      readonly at: string;
    }
  | { readonly stored: false; readonly run: string; readonly inputs: number; readonly results: number; readonly error: unknown };

/** What `recorded` may be told. */
export interface RecordedOptions extends RecordedTables {
  /** A record that cannot be stored fails the run, or is marked as missing by an event and a status part. @default "throw" */
  readonly onStoreError?: "throw" | "mark";
  /** Also stores each input by itself as `received`, before the processor sees it: what a crash leaves behind. @default false */
  readonly receipts?: boolean;
  /** Bytes of inputs and results that are held until the end of the run; more are `too_large`. @default 64 MiB */
  readonly maxBytes?: number;
  /** Hears of every record, stored or not. */
  readonly onRecord?: (event: RecordedEvent) => void;
}

/**
 * Runs a processor, and stores what went in and what came out in one transaction, or nothing of it.
 *
 * Results go on as they come. At the end, inputs and results are stored together: inputs as `processed`, or as `failed` with the code of
 * the error when the processor fails, then without results. The run ends when that is committed. A run that is left or aborted is not
 * recorded. The ids are made of the run's correlation id and a count, so a delivery that is processed again, under the same correlation
 * id, is one record: what was stored as processed stays. Each result refers to the input that had been read last when it came. Texts that
 * follow one another and have no metadata are one row. `recordedSetup` makes the tables.
 *
 * Reads:  what the processor reads.
 * Yields: what the processor yields; with `"mark"`, a status part at the end when the record is missing.
 * Throws: what the processor throws; `invalid_input` for bad options and metadata that is no JSON; `too_large` for more than `maxBytes`;
 *         what the database throws when the record cannot be stored.
 * Closes: what the processor closes; the database belongs to the caller.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using sql = postgres({ client });
 * await recordedSetup(sql, { table: "calls" });
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * console.log(await run(recorded(shout, sql, { table: "calls" }), "hello", { correlationId: "order-7" }).text()); // HELLO
 * const joined = "select i.state, i.text, r.text as result from calls_inputs i join calls_results r on r.input = i.id";
 * console.log(JSON.stringify((await sql.execute({ text: joined })).rows)); // [{"state":"processed","text":"hello","result":"HELLO"}]
 */
export function recorded(processor: Processor, sql: SqlDatabase, options: RecordedOptions): Processor {
  requireProcessors("recorded", [processor]);
  requireSqlDatabase("recorded", sql);
  const { onStoreError = "throw", receipts = false, maxBytes = 67_108_864, onRecord } = options;
  if (onStoreError !== "throw" && onStoreError !== "mark") throw invalidOption("recorded", "onStoreError", '"throw" or "mark"', onStoreError);
  if (typeof receipts !== "boolean") throw invalidOption("recorded", "receipts", "a boolean", receipts);
  if (onRecord !== undefined && typeof onRecord !== "function") throw invalidOption("recorded", "onRecord", "a function", onRecord);
  wholeNumber("recorded", "maxBytes", maxBytes, 1);
  const statements = recordedStatements("recorded", options);

  return async function* recorded(input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part> {
    const signal = context?.signal;
    const record = runRecord(statements.name, context, maxBytes);
    let lost: { readonly error: unknown } | undefined;
    /** What recording does must not fail the run where a missing record is only marked; an abort is no such failure. */
    const recording = async (work: () => unknown): Promise<void> => {
      if (lost !== undefined) return;
      try {
        await work();
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason; // a run that is aborted has no record, so none is missing
        lost = { error };
        const { run, inputs, results } = record;
        onRecord?.({ stored: false, run, inputs, results, error });
        if (onStoreError === "throw") throw error;
      }
    };
    const store = (failure: string | undefined): Promise<void> =>
      recording(async () => {
        const { run, inputs, results } = record;
        const { at, replayed } = await sql.transaction(async (session) => {
          const changed = await writeRows(session, statements.inputs, record.inputRows(failure));
          const known = inputs > 0 && changed === 0;
          if (!known && failure === undefined) await writeRows(session, statements.results, record.resultRows());
          const { rows } = await session.execute({ text: "select now() as at" });
          return { at: String(rows[0]?.at), replayed: known };
        }, { signal });
        onRecord?.({ stored: true, run, inputs, results: failure === undefined ? results : 0, replayed, at });
      });
    const read = async function* (): AsyncGenerator<Part> {
      for await (const part of input) {
        await recording(async () => {
          const row = record.input(part);
          if (receipts) await sql.execute({ text: statements.receipts.text, values: statements.receipts.valuesOf([row]) }, { signal });
        });
        yield part;
      }
    };
    try {
      for await (const part of processor(read(), context)) {
        if (!isReserved(part)) await recording(() => record.result(part));
        yield part;
      }
    } catch (error) {
      await store(isMillraceError(error) ? error.code : "error").catch(ignore); // a record that fails now does not hide why the run has
      throw error;
    }
    await store(undefined);
    const missing = lost as { readonly error: unknown } | undefined; // it changes while others are awaited
    if (missing !== undefined) yield markOf(record, missing.error);
  };
}

function markOf({ run, inputs, results }: { readonly run: string; readonly inputs: number; readonly results: number }, error: unknown): Part {
  const code = isMillraceError(error) ? error.code : "error";
  return status(`recorded: not stored (${code})`, { metadata: { recorded: { stored: false, code, run, inputs, results } } });
}
