/**
 * A journal in Postgres: the outputs of deliveries, recorded whole before the first of them is handed on.
 *
 * @module
 */
import { type Journal, journal, type JournalOptions } from "../../kinds/journal.ts";
import type { PostgresContext } from "../../wire/postgres.ts";
import { postgresKeyValue, type PostgresKeyValueOptions } from "./key-value.ts";

/** Of a journal in one table. */
export interface PostgresJournalOptions extends Omit<PostgresKeyValueOptions, "unlogged">, JournalOptions {}

/** A journal in Postgres. */
export interface PostgresJournal extends Journal, AsyncDisposable {
  /** Makes the table, as that of a key-value store. Nothing else does. */
  setup(context?: PostgresContext): Promise<void>;
  close(): Promise<void>;
}

/**
 * Keeps records in a table: the first complete one of a key wins, whoever else records; one that was not completed was never there; one
 * that is older than `ttlMs` is not seen, and taken away by later writes. A record is one row, at most `maxBytes`.
 *
 * Throws: as `journal`, and as `postgresKeyValue`.
 * Closes: the pool, if it was opened here.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using answers = postgresJournal({ client, table: "answers" });
 * await answers.setup();
 * let asked = 0;
 * const ask = (): AsyncIterable<Part> => from(`answer ${(asked += 1)}`);
 * for (const _ of [1, 2]) console.log(await run(pipe(), answers.once("jobs/1", ask)).text()); // answer 1  answer 1
 */
export function postgresJournal(options: PostgresJournalOptions): PostgresJournal {
  const store = postgresKeyValue(options);
  return { once: journal(store, options).once, setup: store.setup, close: store.close, [Symbol.asyncDispose]: store.close };
}
