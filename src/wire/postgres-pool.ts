/**
 * Connections lent from a pool of `pg`: our own, made at first use, or a ready one.
 *
 * @module
 */
import type * as pg from "pg";
import { systemClock } from "../core/clock.ts";
import { MillraceError, wholeNumber } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { heard } from "./heard.ts";
import { isConnectionLost } from "./postgres-errors.ts";
import { destroySocket, endClient, type ListeningClient, listenOn } from "./postgres-listen.ts";
import { sessionOf, within } from "./postgres-session.ts";
import { tlsOf } from "./postgres-tls.ts";
import type { Lender, PostgresClient, PostgresOptions } from "./postgres.ts";

interface PoolClient extends ListeningClient {
  readonly processID?: number | null;
  release(destroy?: boolean): void;
}

interface Pool extends PostgresClient {
  /** Who waits while it has no connection to lend. */
  readonly waitingCount: number;
  connect(): Promise<PoolClient>;
}

/** Comes to a connection; `onStop` hears how to give up the wait for it. */
type Connect = (pool: Pool, onStop: (giveUp: () => void) => void) => Promise<PoolClient>;

/** Milliseconds that connections which answer nothing may hold up the end of our own pool. */
const endMs = 2_000;
/** Milliseconds for a ready pool's connection to stop listening: a round trip, where anybody answers; who closes waits for it. */
const unlistenMs = 1_000;

/** A pool counts its connections; a client has `connect` too, but lends nothing. */
export function isPool(client: PostgresClient): client is Pool {
  return "connect" in client && "totalCount" in client;
}

/** A pool of the adapter's own. Throws `invalid_input` for options that cannot work. */
export function ownPool(service: string, options: PostgresOptions, connectMs: number): Lender {
  const max = wholeNumber(service, "connections", options.connections ?? 10, 1);
  const timeoutMs = wholeNumber(service, "timeoutMs", options.timeoutMs ?? 30_000, 1);
  const tls = tlsOf(service, options);
  const settings = async (): Promise<pg.ClientConfig> => ({
    connectionString: tls.connectionString,
    ssl: await tls.settings(),
    connectionTimeoutMillis: connectMs,
    statement_timeout: timeoutMs,
    idle_in_transaction_session_timeout: timeoutMs,
    application_name: "millrace",
  });
  let opened: Promise<{ readonly pool: Pool; end(): Promise<void> }> | undefined;
  const open = async (): Promise<{ readonly pool: Pool; end(): Promise<void> }> => {
    const { default: pg } = await loadPg(service);
    const pool = new pg.Pool({ ...(await settings()), max });
    const clients = new Set<object>();
    pool.on("error", ignore); // an idle connection that the server drops would end the process otherwise
    pool.on("connect", (client) => void clients.add(client));
    pool.on("remove", (client) => void clients.delete(client));
    const end = async (): Promise<void> => {
      const forget = systemClock.timeout(endMs, () => {
        for (const client of clients) destroySocket(client);
      });
      await pool.end();
      forget();
    };
    return { pool, end };
  };
  const lent = lendingFrom(async () => {
    // a failed load is forgotten, so that a later call may try again
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return (await opened).pool;
  }, atOnce);
  return {
    lend: lent.lend,
    async listen(channel, wake, signal) {
      const { default: pg } = await loadPg(service);
      const client = new pg.Client({ ...(await settings()), keepAlive: true });
      client.on("error", ignore);
      try {
        await heard(client.connect(), signal);
        await listenOn(client, channel, wake, signal);
      } finally {
        await endClient(client);
      }
    },
    async end() {
      await lent.settled();
      await (await opened?.catch(() => undefined))?.end();
    },
  };
}

async function loadPg(service: string): Promise<typeof pg> {
  try {
    return await import("pg");
  } catch (error) {
    if (typeof error === "object" && error !== null && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") {
      throw new MillraceError("missing_config", `${service}: needs the package pg: npm install pg`, { service, cause: error });
    }
    throw error;
  }
}

/** A pool of the caller's, which stays open. */
export function borrowedPool(pool: Pool): Lender {
  const connect = inTurns();
  const lent = lendingFrom(async () => pool, connect);
  return {
    lend: lent.lend,
    async listen(channel, wake, signal) {
      const client = await connect(pool, (giveUp) => {
        if (signal.aborted) giveUp();
        else signal.addEventListener("abort", giveUp, { once: true });
      });
      client.on("error", ignore);
      let fine = false;
      try {
        await listenOn(client, channel, wake, signal);
        fine = await inTime(client.query(`unlisten "${channel}"`), unlistenMs);
      } finally {
        client.release(!fine); // a connection that does not answer is destroyed, with the statement on it
        client.off("error", ignore);
      }
    },
    end: lent.settled,
  };
}

/** Who waits for a connection. */
interface Turn extends PromiseWithResolvers<PoolClient> {
  asked: Asked | undefined;
}

/** A connection that the pool was asked for, and who waits for it now. */
interface Asked {
  turn: Turn | undefined;
  /** Did the pool have none to lend, nor room for another? */
  inLine: boolean;
}

/** From our own pool, whose line nobody is in for longer than `connectMs`. */
const atOnce: Connect = (pool) => pool.connect();

/**
 * A pool hears nobody who gives up, and by default has no limit for the wait: its line would get longer with each who comes and leaves. So
 * the place of who has left goes to the next; a connection that comes when nobody wants it goes back.
 */
function inTurns(): Connect {
  const left = new Set<Asked>();
  const ask = (pool: Pool, turn: Turn): void => {
    const asked: Asked = { turn, inLine: false };
    const before = pool.waitingCount;
    const connecting = (async () => pool.connect())(); // pg throws for settings that are none
    asked.inLine = pool.waitingCount > before;
    turn.asked = asked;
    /** Gives who waits for it. */
    const settled = (): Turn | undefined => {
      left.delete(asked);
      if (asked.turn !== undefined) asked.turn.asked = undefined;
      return asked.turn;
    };
    connecting.then(
      (client) => {
        const its = settled();
        if (its === undefined) client.release();
        else its.resolve(client);
      },
      (error: unknown) => {
        const its = settled();
        if (its === turn) turn.reject(error);
        else if (its !== undefined) ask(pool, its); // it has not waited as long as who asked
      },
    );
  };
  return (pool, onStop) => {
    const turn: Turn = { ...Promise.withResolvers<PoolClient>(), asked: undefined };
    // where the pool's line is empty, what is still asked for is being connected, and may never be
    const [place] = pool.waitingCount > 0 ? left : [];
    if (place === undefined) ask(pool, turn);
    else {
      left.delete(place);
      place.turn = turn;
      turn.asked = place;
    }
    onStop(() => {
      const { asked } = turn;
      if (asked === undefined) return;
      turn.asked = undefined;
      asked.turn = undefined;
      if (asked.inLine) left.add(asked);
      turn.reject(new MillraceError("closed", "postgres: the wait for a connection was given up"));
    });
    return turn.promise;
  };
}

/** Has it come about within so many milliseconds? Rejects when it has failed by then. */
async function inTime(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const forget = systemClock.timeout(ms, () => late.resolve(false));
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    forget();
  }
}

function lendingFrom(poolOf: () => Promise<Pool>, connect: Connect): Pick<Lender, "lend"> & { settled(): Promise<void> } {
  const cancels = new Set<Promise<unknown>>();
  return {
    async lend(work, transaction, onStop) {
      const pool = await poolOf();
      const client = await connect(pool, onStop);
      client.on("error", ignore); // while it is lent the pool does not listen, and the query in progress rejects anyway
      let given = false;
      let busy = false;
      let broken = false;
      const giveBack = (destroy: boolean): void => {
        if (given) return;
        given = true;
        client.release(destroy);
        client.off("error", ignore);
      };
      onStop(() => {
        giveBack(busy); // first, so that a full pool has room for the cancelling connection
        const pid = client.processID;
        if (!busy || typeof pid !== "number") return;
        const cancel = pool.query("select pg_cancel_backend($1)", [pid]).catch(ignore);
        cancels.add(cancel);
        void cancel.finally(() => cancels.delete(cancel));
      });
      if (given) throw new MillraceError("closed", "postgres: the call was given up"); // heard by nobody
      busy = true;
      try {
        const session = sessionOf(client);
        const result = transaction ? await within(session, work, session, () => (broken = true)) : await work(session);
        giveBack(false);
        return result;
      } catch (error) {
        giveBack(broken || isConnectionLost(error));
        throw error;
      }
    },
    async settled() {
      await inTime(Promise.all(cancels), endMs); // what is to be cancelled does not hold it up either, where nobody answers
    },
  };
}
