/**
 * A queue in one table of Postgres, for those who have no broker.
 *
 * Kind: queue. Client: `pg` 8 (optional peer, loaded at first use), or a ready pool. A single client and PGlite have one connection and no
 * notifications: enough for tests and tools, as every call waits for its turn there.
 * All times are the server's. Transactions are expected to be "read committed", the server's own default.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { envelope, type MessageFormat, messageOf, writeMessage } from "../../kinds/envelope.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions, type SendOptions, type Sent } from "../../kinds/queue.ts";
import type { SqlSession } from "../../kinds/sql.ts";
import { heard } from "../../wire/heard.ts";
import { postgresConnections, type PostgresContext, type PostgresOptions } from "../../wire/postgres.ts";
import { queueCalls, type SentRow } from "./queue-calls.ts";
import { QueueReader } from "./queue-reader.ts";
import { archiveShape, queueShape, queueStatements } from "./queue-statements.ts";
import { wakes } from "./queue-wakes.ts";
import { setUp } from "./set-up.ts";
import { type Together, together } from "./together.ts";

const service = "postgres";

/** Rows and bytes of one statement at most; the bytes go as hexadecimal text. */
const maxRows = 500;
const maxRowBytes = 4_194_304;
/** Milliseconds that the end waits for what is given back. */
const endMs = 2_000;

/** Of a queue in one table. */
export interface PostgresQueueOptions extends PostgresOptions {
  /** Letters, digits and `_`; no schema in it. Also the name of the queue. */
  readonly table: string;
  /** @default the first schema of the connection's search path */
  readonly schema?: string;
  /** Milliseconds after which an unsettled message goes to somebody else, unless its lease is prolonged. @default 30_000 */
  readonly leaseMs?: number;
  /** Milliseconds after which an idle reader looks even if nothing has been notified, at most 5_000. @default 5_000 */
  readonly pollMs?: number;
  /** Name of a table that takes messages once they are acknowledged. @default they are deleted */
  readonly archive?: string;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
}

/** A queue in Postgres. */
export interface PostgresQueue extends Queue {
  /** Makes the tables and their indexes, and the schema if there is none; compares those that are there. Nothing else does. */
  setup(context?: PostgresContext): Promise<void>;
  /**
   * Sends within a transaction of the caller's on the same database: the message is there exactly if that commits. An outbox; `relay`
   * carries it to any other queue.
   */
  sendWithin(session: SqlSession, parts: Iterable<Part>, options?: Omit<SendOptions, "signal">): Promise<Sent>;
}

/**
 * Carries messages in a table. Whoever claims one has it for `leaseMs`; nobody waits for a row that another has locked. Readers are woken
 * by notifications, and look by themselves now and then, as those may get lost. What a reader has fetched ahead and is not asked for goes
 * back while its lease lasts, and counts no attempt.
 *
 * A key is with one reader at a time, and its messages come in the order in which they were sent: behind one that failed or is delayed
 * the later ones of its key wait. Only a lease that was lost breaks that order. Who sends waits for transactions
 * that have sent for its key and are not over: those must be short. A long backlog of a key that another reader has must be searched past at every claim.
 *
 * An acknowledgement that is lost on its way is repeated while the lease lasts, and so is a claim; sending is not: that is `interrupted`
 * when nobody knows what became of it. A server that restarts is waited for within the reading, for a minute.
 *
 * Old transactions anywhere in the database keep the server from clearing away settled rows, and claims get slow meanwhile.
 *
 * Throws: as every queue; `not_found` where there is no table; from `setup()` `conflict` for a table of another shape; `interrupted`.
 * Closes: the pool, if it was opened here; what is out is given back.
 *
 * @example
 * import { PGlite } from "@electric-sql/pglite";
 *
 * await using client = await PGlite.create();
 * await using queue = postgresQueue({ client, table: "jobs" });
 * await queue.setup();
 * await queue.send([text("hello")]);
 * await using worker = consume(queue, pipe(), async (part, { delivery: { id } }) => {
 *   console.log(id, isText(part) && part.text); // jobs/1 hello
 *   void worker.stop();
 * });
 * await worker.finished;
 */
export function postgresQueue(options: PostgresQueueOptions): PostgresQueue {
  const { table, schema, archive, format = envelope() } = options;
  const leaseMs = wholeNumber("postgresQueue", "leaseMs", options.leaseMs ?? 30_000, 100);
  const pollMs = wholeNumber("postgresQueue", "pollMs", options.pollMs ?? 5_000, 1);
  if (pollMs > 5_000) throw invalidOption("postgresQueue", "pollMs", "at most 5000, as notifications may get lost", pollMs);
  const statements = queueStatements("postgresQueue", { schema, table, archive });
  const server = postgresConnections(service, options);
  const calls = queueCalls(server, statements);
  const readers = wakes(server, statements.channel);
  const declared: Pick<Queue, "service" | "lacks"> = { service, lacks: {} };
  const name = schema === undefined ? table : `${schema}.${table}`;
  const ending = new AbortController();
  const leavings = new Set<Promise<void>>();
  let closing: Promise<void> | undefined;

  const ready = (signal: AbortSignal | undefined): void => {
    ending.signal.throwIfAborted();
    signal?.throwIfAborted();
  };
  const sender = (): Together<SentRow, string> => together({ work: calls.send, most: maxRows, weigh: ({ body }) => body.byteLength, heaviest: maxRowBytes });
  /** Apart, as those with a key may wait for a transaction of somebody else's. */
  const sending = { plain: sender(), keyed: sender() };
  const written = (parts: Iterable<Part>, given: SendOptions): SentRow => {
    checkSend(declared, given);
    const message = messageOf(parts, given);
    return { messageId: message.id, key: given.key, body: writeMessage(service, format, message), delayMs: given.delayMs ?? 0 };
  };
  const sent = (row: SentRow, id: string): Sent => ({ id: `${name}/${id}`, messageId: row.messageId });

  async function* open({ signal, drain, maxInFlight, tell }: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    ready(signal);
    const over = AbortSignal.any([signal, ending.signal]);
    const reader = new QueueReader({ name, calls, format, leaseMs, pollMs, maxInFlight, tell: (event) => tell?.(event), wakeOthers: readers.all });
    const look = (): void => reader.look();
    const remove = readers.add(look);
    let left: Promise<void> | undefined;
    const leave = (): void => {
      if (left !== undefined) return;
      remove();
      over.removeEventListener("abort", leave);
      drain?.removeEventListener("abort", look);
      const leaving = reader.leave().finally(() => leavings.delete(leaving));
      leavings.add((left = leaving));
    };
    over.addEventListener("abort", leave, { once: true }); // also of a reader that nobody pulls any more
    drain?.addEventListener("abort", look, { once: true });
    let drained = false;
    try {
      for (;;) {
        const delivery = await reader.next(over, () => drain?.aborted === true);
        if (delivery === undefined) break;
        yield delivery;
      }
      drained = true;
      await reader.shed();
    } finally {
      if (drained) reader.whenEmpty(leave);
      else leave();
    }
  }

  const end = async (): Promise<void> => {
    ending.abort(new MillraceError("closed", `${service}: the queue is closed`, { service }));
    readers.close();
    const late = Promise.withResolvers<void>();
    const forget = systemClock.timeout(endMs, late.resolve);
    await Promise.race([Promise.allSettled(leavings), late.promise]);
    forget();
    await server.close();
  };
  const close = (): Promise<void> => (closing ??= end());

  return {
    ...declared,
    name,
    guarantee: "at-least-once",
    redelivery: "lease",
    durable: true,
    leaseMs,
    async setup(context) {
      const tables = [{ name: statements.name, shape: queueShape, setup: statements.setup }];
      if (statements.archive !== undefined) tables.push({ name: statements.archive, shape: archiveShape, setup: statements.setupArchive });
      await setUp(server, tables, context);
    },
    async send(parts, given = {}) {
      ready(given.signal);
      const row = written(parts, given);
      const id = await heard((row.key === undefined ? sending.plain : sending.keyed).add(row), given.signal);
      readers.all();
      return sent(row, id);
    },
    async sendWithin(session, parts, given = {}) {
      ready(undefined);
      const row = written(parts, given);
      const values = [[row.messageId], [row.key ?? null], [row.body], [row.delayMs]];
      const { rows } = await session.execute({ text: row.key === undefined ? statements.send : statements.sendKeyed, values });
      return sent(row, String(rows[0]?.["id"]));
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
