/**
 * One connection for all calls, which take turns: a client of `pg`, or PGlite.
 *
 * @module
 */
import { systemClock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { isPglite, pgliteSession, sessionOf, within } from "./postgres-session.ts";
import type { Lender, PostgresClient, PostgresSession } from "./postgres.ts";

/** Who has the connection now: statements of two calls must not meet in one transaction. */
const queues = new WeakMap<PostgresClient, Promise<unknown>>();

/** Lends the one connection there is. Whoever waits longer than `connectMs` for it gets `unavailable`, as from a full pool. */
export function single(service: string, client: PostgresClient, connectMs: number): Lender {
  return {
    lend(work, transaction, onStop) {
      let stopped = false;
      const guarded = (session: PostgresSession): PostgresSession => ({
        query: (text, values) => (stopped ? givenUp() : session.query(text, values)),
        cells: (text, values) => (stopped ? givenUp() : session.cells(text, values)),
      });
      const begin = async (): ReturnType<typeof work> => {
        if (stopped) return givenUp();
        const session = sessionOf(client);
        if (!transaction) return work(guarded(session));
        if (isPglite(client)) return client.transaction((inner) => work(guarded(pgliteSession(inner, client))));
        return within(guarded(session), work, session, ignore);
      };
      return new Promise((resolve, reject) => {
        const before = queues.get(client);
        const stop = (): void => {
          stopped = true;
          forget();
        };
        const forget =
          before === undefined
            ? ignore
            : systemClock.timeout(connectMs, () => {
                stopped = true;
                reject(new MillraceError("unavailable", `${service}: the one connection there is has not been free for ${connectMs} ms`, { service }));
              });
        onStop(stop);
        const turn = (before ?? Promise.resolve()).then(() => {
          forget();
          return begin();
        });
        const quiet = turn.then(ignore, ignore).then(() => {
          if (queues.get(client) === quiet) queues.delete(client); // the next one need not wait
        });
        queues.set(client, quiet);
        turn.then(resolve, reject);
      });
    },
    listen: (_, __, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      }),
    end: async () => {},
  };
}

/** Heard by nobody; inside a transaction it rolls back. */
async function givenUp(): Promise<never> {
  throw new MillraceError("closed", "postgres: the call was given up");
}
