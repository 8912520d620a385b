/**
 * The calls of the queue: bounded in time, since a connection that is half open never answers, and tried again where that helps.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { Postgres, PostgresRow } from "../../wire/postgres.ts";
import { sqlStateOf } from "../../wire/postgres-errors.ts";
import type { QueueStatements } from "./queue-statements.ts";

const service = "postgres";

/** Milliseconds a call may take, with the wait for a connection. */
const callMs = 8_000;
/** Before a call is made again: a random time from the half of this on, twice as long each time. */
const backoffMs = { first: 300, most: 3_000 } as const;

/** Milliseconds that a lease which is over waits, at most, until it is looked for, while other messages wait. */
const endedMs = 1_000;

/** A message that was claimed. */
export interface Claimed {
  readonly id: string;
  readonly messageId: string;
  readonly key: string | undefined;
  readonly body: Uint8Array;
  readonly attempts: number;
  readonly epoch: number;
}

/** What is asked of a row that is out. */
export interface Asked {
  readonly id: string;
  readonly epoch: number;
  /** Of the message, where it has one. */
  readonly key: string | undefined;
  /** What the statement has besides. */
  readonly more?: readonly number[];
}

/** Runs the statements of a queue. `left` gives a call up while it waits for a connection; what the server was asked is waited for. */
export interface QueueCalls {
  send(rows: readonly SentRow[]): Promise<readonly string[]>;
  claim(holder: string, leaseMs: number, most: number, left: AbortSignal): Promise<readonly Claimed[]>;
  /** Milliseconds until something is due; `undefined` where nothing is. */
  next(left: AbortSignal): Promise<number | undefined>;
  /** Ids of those that were out under their epochs, and are changed. */
  settle(statement: "ack" | "nack" | "extend", asked: readonly Asked[], limitMs?: number): Promise<ReadonlySet<string>>;
  /** Which of these there are. */
  remaining(ids: readonly string[]): Promise<ReadonlySet<string>>;
  disown(holder: string, known: readonly string[], tried: readonly string[], left: AbortSignal): Promise<void>;
}

interface CallOptions {
  readonly limitMs?: number | undefined;
  readonly left?: AbortSignal;
}

/** A message as a row. */
export interface SentRow {
  readonly messageId: string;
  readonly key: string | undefined;
  readonly body: Uint8Array;
  readonly delayMs: number;
}

/** Can the call be made again: was it the connection, the load, another transaction? */
export function isPassing(error: unknown): boolean {
  return isMillraceError(error) && (error.code === "interrupted" || (error.retryable && ["unavailable", "timeout", "conflict"].includes(error.code)));
}

/** Before another call after so many failures. */
export function pauseMs(failures: number): number {
  const most = Math.min(backoffMs.most, backoffMs.first * 2 ** Math.min(failures - 1, 10));
  return most / 2 + (Math.random() * most) / 2;
}

/** Errors: as `postgresConnections`; `not_found` where there is no table; `interrupted` for a call whose outcome nobody knows. */
export function queueCalls(server: Postgres, statements: QueueStatements): QueueCalls {
  const call = async (what: string, text: string, values: readonly unknown[], { limitMs = callMs, left }: CallOptions = {}): Promise<readonly PostgresRow[]> => {
    const limit = new AbortController();
    let asked = false;
    const leave = (): void => {
      if (!asked) limit.abort(left?.reason);
    };
    if (left?.aborted === true) leave();
    left?.addEventListener("abort", leave, { once: true });
    const forget = systemClock.timeout(limitMs, () => limit.abort(new MillraceError("unavailable", `${service}: ${what}: no answer for ${limitMs} ms`, { service })));
    try {
      return await server.run(what, (session) => {
        asked = true;
        return session.query(text, values);
      }, { signal: limit.signal });
    } catch (error) {
      throw asErrorOf(what, error, asked);
    } finally {
      forget();
      left?.removeEventListener("abort", leave);
    }
  };
  const asErrorOf = (what: string, error: unknown, asked: boolean): unknown => {
    if (!isMillraceError(error)) return error;
    const state = sqlStateOf(error.cause);
    if (state === "42P01") {
      const message = `${service}: there is no table ${statements.name}${statements.archive === undefined ? "" : `, or no ${statements.archive}`}; setup() makes it`;
      return new MillraceError("not_found", message, { service, scope: "dependency", cause: error.cause });
    }
    // without a word of the server the statement may have been carried out
    if (error.code !== "unavailable" || state !== undefined || !asked) return error;
    return new MillraceError("interrupted", `${service}: ${what}: the connection was lost, and nobody knows whether it was done`, { service, cause: error });
  };

  /** Until then, unless fewer messages wait than are wanted, those that wait are enough to look at. */
  let plainUntilMs = -Infinity;
  const claimAny = async (holder: string, leaseMs: number, most: number, left: AbortSignal): Promise<readonly PostgresRow[]> => {
    const rows = await call("claim", statements.claim, [holder, leaseMs, most], { left });
    const isBacklog = rows.length === most && rows.every(({ key }) => key === null);
    plainUntilMs = isBacklog ? systemClock.now() + Math.min(endedMs, leaseMs / 4) : -Infinity;
    return rows;
  };

  return {
    async send(rows) {
      const keyed = rows.some(({ key }) => key !== undefined);
      const values = [rows.map((it) => it.messageId), rows.map((it) => it.key ?? null), rows.map((it) => it.body), rows.map((it) => it.delayMs)];
      const added = await call("send", keyed ? statements.sendKeyed : statements.send, values);
      if (added.length !== rows.length) throw new MillraceError("bad_response", `${service}: send: stored ${added.length} rows of ${rows.length}`, { service });
      return added.map(({ id }) => String(id));
    },
    async claim(holder, leaseMs, most, left) {
      const rows = systemClock.now() < plainUntilMs ? await call("claim", statements.claimPlain, [holder, leaseMs, most], { left }) : [];
      if (rows.length < most) plainUntilMs = -Infinity;
      return (rows.length > 0 ? rows : await claimAny(holder, leaseMs, most, left)).map(toClaimed);
    },
    async next(left) {
      const [row] = await call("look", statements.next, [], { left });
      return row?.["ms"] === null || row?.["ms"] === undefined ? undefined : Number(row["ms"]);
    },
    async settle(statement, asked, limitMs) {
      const more = (asked[0]?.more ?? []).map((_, at) => asked.map((it) => it.more?.[at] ?? 0));
      const isPlain = statement === "ack" && asked.every(({ key }) => key === undefined);
      const text = (isPlain ? statements.ackPlain : undefined) ?? statements[statement];
      const rows = await call(statement, text, [asked.map(({ id }) => id), asked.map(({ epoch }) => epoch), ...more], { limitMs });
      return idsIn(rows);
    },
    async remaining(ids) {
      return idsIn(await call("look", statements.remaining, [ids]));
    },
    async disown(holder, known, tried, left) {
      await call("disown", statements.disown, [holder, known, tried], { left });
    },
  };
}

// --- shapes: only the fields we read ---

function idsIn(rows: readonly PostgresRow[]): ReadonlySet<string> {
  return new Set(rows.map(({ id }) => String(id)));
}

function toClaimed({ id, message_id, key, body, attempts, epoch }: PostgresRow): Claimed {
  if (!(body instanceof Uint8Array)) throw new MillraceError("bad_response", `${service}: column body holds no bytes`, { service });
  return { id: String(id), messageId: String(message_id), key: typeof key === "string" ? key : undefined, body, attempts: Number(attempts), epoch: Number(epoch) };
}
