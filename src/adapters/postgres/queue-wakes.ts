/**
 * What wakes the readers of a queue: a notification of the server, and what this process does itself.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import type { Postgres } from "../../wire/postgres.ts";
import { pauseMs } from "./queue-calls.ts";

/** The readers of a queue, and how they hear of messages. */
export interface Wakes {
  /** Adds a reader; the first one begins to listen. Gives what removes it again. */
  add(look: () => void): () => void;
  /** All readers look. */
  all(): void;
  /** Nobody listens any more, and nobody will. */
  close(): void;
}

/** A lost connection costs time alone: readers look by themselves now and then, and at once when it is back. */
export function wakes(server: Postgres, channel: string): Wakes {
  const readers = new Set<() => void>();
  let ending: AbortController | undefined;
  const all = (): void => {
    for (const look of readers) look();
  };
  const listen = async (signal: AbortSignal): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      await server.listen(channel, () => {
        failures = 0;
        all();
      }, signal).catch(() => {});
      failures += 1;
      await systemClock.sleep(pauseMs(failures + 1), signal).catch(() => {});
    }
  };
  return {
    add(look) {
      readers.add(look);
      if (ending === undefined) {
        ending = new AbortController();
        void listen(ending.signal);
      }
      return () => {
        readers.delete(look);
        if (readers.size > 0) return;
        ending?.abort();
        ending = undefined;
      };
    },
    all,
    close() {
      ending?.abort();
      all();
    },
  };
}
