/**
 * Notifications of Postgres, on a connection that does nothing else.
 *
 * They say that something may have changed, and they get lost: with the connection, and between two of them. Whoever listens looks
 * by himself whenever it begins again, and now and then in any case.
 * Source: https://www.postgresql.org/docs/current/sql-notify.html
 *
 * @module
 */
import { systemClock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { heard } from "./heard.ts";
import type { PostgresClient } from "./postgres.ts";

/** A client of `pg` that may hear notifications. */
export interface ListeningClient extends PostgresClient {
  on(event: "notification" | "error" | "end", listener: (told?: unknown) => void): unknown;
  off(event: "notification" | "error" | "end", listener: (told?: unknown) => void): unknown;
}

/** Milliseconds after which a silent connection is asked whether it is there, and how long it may take to say so. */
const beatMs = 10_000;
const answerMs = 5_000;

/** Listens until `signal` aborts; rejects when the connection is lost. `wake` is called when it begins, and at every notification. */
export async function listenOn(client: ListeningClient, channel: string, wake: () => void, signal: AbortSignal): Promise<void> {
  const lost = new AbortController();
  const gone = (error?: unknown): void => lost.abort(error ?? new Error("Connection terminated"));
  const notified = (): void => wake();
  client.on("notification", notified);
  client.on("error", gone);
  client.on("end", gone);
  const over = AbortSignal.any([signal, lost.signal]);
  try {
    await answered(client, `listen "${channel}"`, over);
    wake();
    for (;;) {
      await systemClock.sleep(beatMs, over);
      await answered(client, "select 1", over); // a connection that is half open says nothing by itself
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    client.off("notification", notified);
    client.off("error", gone);
    client.off("end", gone);
  }
}

async function answered(client: ListeningClient, text: string, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const forget = systemClock.timeout(answerMs, () => late.abort(new MillraceError("unavailable", `postgres: listen: no answer for ${answerMs} ms`)));
  try {
    await heard(client.query(text), AbortSignal.any([signal, late.signal]));
  } finally {
    forget();
  }
}

/** Ends a client of `pg`: in order, and by force after so many milliseconds, as a connection that is half open never says goodbye. */
export async function endClient(client: { end(): Promise<void> }, graceMs = 1_000): Promise<void> {
  const forget = systemClock.timeout(graceMs, () => destroySocket(client));
  await client.end().catch(ignore);
  forget();
}

/** Drops the socket of a client of `pg`, where it can be seen. */
export function destroySocket(client: object): void {
  const connection = "connection" in client ? client.connection : undefined;
  const stream = typeof connection === "object" && connection !== null && "stream" in connection ? connection.stream : undefined;
  if (typeof stream === "object" && stream !== null && "destroy" in stream && typeof stream.destroy === "function") stream.destroy();
}
