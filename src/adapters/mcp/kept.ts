/**
 * A connection that outlives the runs that use it: opened when one needs it, replaced when it is lost.
 *
 * @module
 */
import { heard } from "../../wire/heard.ts";
import type { Connection } from "./connection.ts";

/** At most one connection at a time. */
export interface Kept {
  /** Opened for whoever waits: one who leaves does not end it for the others. */
  get(signal: AbortSignal): Promise<Connection>;
  /** It is no good any more. */
  drop(connection: Connection): Promise<void>;
  close(): Promise<void>;
}

/** Keeps what `open` opens. */
export function kept(open: () => Promise<Connection>): Kept {
  let current: Promise<Connection> | undefined;
  const forget = (opening: Promise<Connection> | undefined): void => {
    if (current === opening) current = undefined;
  };
  const wanted = (): Promise<Connection> => {
    if (current !== undefined) return current;
    const opening = open();
    opening.catch(() => forget(opening)); // so that a later run may try again
    current = opening;
    return opening;
  };
  return {
    async get(signal) {
      const opening = wanted();
      const connection = await heard(opening, signal);
      if (!connection.isLost) return connection;
      forget(opening);
      return heard(wanted(), signal);
    },
    async drop(connection) {
      const opening = current;
      if ((await opening?.catch(() => undefined)) === connection) forget(opening);
      await connection.close();
    },
    async close() {
      await (await current?.catch(() => undefined))?.close();
    },
  };
}
