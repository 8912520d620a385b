/**
 * A sink whose effects are rows of an SQL database, and happen once.
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import type { Delivery } from "../kinds/queue.ts";
import { requireSqlDatabase, type SqlContext, type SqlDatabase, type SqlSession } from "../kinds/sql.ts";
import { quotedName } from "../kinds/sql-text.ts";
import { idempotencyKey, type Sink, type SinkContext } from "../kinds/sink.ts";

const who = "sqlSink";

/** Deliveries between two sweeps of the inbox: each takes away more rows than were added meanwhile. */
const perSweep = 100;
const rowsPerSweep = 1_000;

/** Of a sink in a database. */
export interface SqlSinkOptions {
  /** Name of the table of deliveries that are done: letters, digits and `_`. One for each pipeline. */
  readonly inbox: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
  /** What is done for an output, by statements of this transaction. What it throws rolls all of it back. */
  readonly write: (session: SqlSession, part: Part, at: SinkContext) => Promise<unknown>;
  /** What a delivery is known by: give the message id, where senders send again under the same one. @default `idempotencyKey` */
  readonly id?: (delivery: Delivery) => string;
  /** Milliseconds for which it is known: longer than a message may be on its way. @default 604_800_000 (7 days) */
  readonly keepMs?: number;
}

/** A sink in a database. */
export interface SqlSink extends Sink {
  readonly atomic: NonNullable<Sink["atomic"]>;
  /** Makes the inbox, and the schema if there is none. Nothing else does. */
  setup(context?: SqlContext): Promise<void>;
}

/**
 * Writes all outputs of a delivery in one transaction, together with what it is known by: all of it or nothing, and once, however often it is
 * delivered. Of two workers that have the same delivery one waits for the other, and finds it done or does it.
 *
 * A delivery that is lost while it is worked on is rolled back. Where the connection is lost in the commit nobody knows whether it is
 * done; the next attempt finds out. What `write` does elsewhere than in its transaction is done again with every attempt.
 *
 * Throws: `invalid_input` for bad options; from its writes, what the database and `write` throw.
 * Closes: nothing; the database belongs to the caller.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using sql = postgres({ client });
 * await sql.execute({ text: "create table words (word text)" });
 * const sink = sqlSink(sql, {
 *   inbox: "words_inbox",
 *   write: (session, part) => session.execute({ text: "insert into words values ($1)", values: [isText(part) ? part.text : null] }),
 * });
 * await sink.setup();
 * await using queue = memoryQueue({ name: "jobs" });
 * await queue.send([text("hello")]);
 * await using worker = consume(queue, pipe(), sink, { onEvent: ({ kind }) => void (kind === "acked" && worker.stop()) });
 * await worker.finished;
 * console.log((await sql.execute({ text: "select * from words" })).rows[0]?.word); // hello
 */
export function sqlSink(sql: SqlDatabase, options: SqlSinkOptions): SqlSink {
  requireSqlDatabase(who, sql);
  const { inbox, schema, write, id = idempotencyKey } = options;
  if (typeof write !== "function") throw invalidOption(who, "write", "a function", write);
  if (typeof id !== "function") throw invalidOption(who, "id", "a function", id);
  const keepMs = wholeNumber(who, "keepMs", options.keepMs ?? 604_800_000, 1);
  const quotedSchema = schema === undefined ? undefined : quotedName(who, "schema", schema);
  const table = (quotedSchema === undefined ? "" : `${quotedSchema}.`) + quotedName(who, "inbox", inbox);
  let done = 0;

  return {
    guarantee: "confirmed",
    write: () => Promise.reject(new MillraceError("invalid_input", `${who}: writes inside of a transaction alone`)),
    async setup(context) {
      await sql.transaction(async (session) => {
        // two that look at the same moment would both make it
        await session.execute({ text: "select pg_advisory_xact_lock(hashtextextended($1, 0))", values: [`millrace: set up ${inbox}`] });
        if (quotedSchema !== undefined) await session.execute({ text: `create schema if not exists ${quotedSchema}` });
        const { rows } = await session.execute({ text: "select to_regclass($1) is not null as there", values: [table] });
        if (rows[0]?.["there"] === true) return;
        await session.execute({ text: `create table ${table} (id text collate "C" primary key, done_at timestamptz not null default statement_timestamp())` });
        await session.execute({ text: `create index on ${table} (done_at)` });
      }, context);
    },
    async atomic(delivery, writes) {
      const name = id(delivery);
      if (typeof name !== "string" || name === "") throw invalidOption(who, "id", "a text for each delivery", name);
      const applied = await sql.transaction(async (session) => {
        // first, as it waits for another that does the same delivery
        const { count } = await session.execute({ text: `insert into ${table} (id) values ($1) on conflict do nothing`, values: [name] });
        if (count === 0) return false;
        await writes({ guarantee: "confirmed", write: async (part, at) => void (await write(session, part, at)) });
        delivery.signal.throwIfAborted(); // it is somebody else's now, who may have set it aside
        return true;
      }, { signal: delivery.signal });
      done += 1;
      if (done % perSweep === 0) await sweep();
      return applied ? "applied" : "already-applied";
    },
  };

  /** Not the delivery's: its failure is nobody's, and the next one comes. */
  async function sweep(): Promise<void> {
    const past = `select id from ${table} where done_at <= statement_timestamp() - $1::float8 * interval '1 millisecond' order by done_at limit ${rowsPerSweep} for update skip locked`;
    await sql.execute({ text: `delete from ${table} where id = any (array(${past}))`, values: [keepMs] }).catch(ignore);
  }
}
