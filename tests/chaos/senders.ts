/**
 * Ten senders at once, which send until each message is confirmed.
 *
 * @module
 */
import type { Queue } from "../../src/index.ts";
import { type Kind, keyOf, payload } from "./payload.ts";
import type { Oracle } from "./oracle.ts";

const senders = 10;
/** Unconfirmed sends of each. */
const windowSize = 20;

/** What is sent. */
export interface Sending {
  readonly first: number;
  readonly count: number;
  readonly kindOf?: ((id: number) => Kind) | undefined;
  /** Confirmed messages that nobody has worked on yet, at most: senders wait for the workers there. @default no limit */
  readonly ahead?: number | undefined;
}

/** Sends messages `first` up to `first + count`. What was not confirmed is sent again under the same id, as long as it takes. */
export async function sendAll(oracle: Oracle, open: () => Queue, { first, count, kindOf = () => "plain", ahead = Infinity }: Sending): Promise<void> {
  let next = first;
  const one = async (queue: Queue): Promise<void> => {
    while (next < first + count) {
      if (oracle.left >= ahead) {
        await oracle.news(1_000);
        continue;
      }
      const id = next;
      next += 1;
      oracle.begins(id);
      await confirmed(queue, id, kindOf(id));
      oracle.owes(id);
    }
  };
  await Promise.all(
    Array.from({ length: senders }, async () => {
      await using queue = open();
      await Promise.all(Array.from({ length: windowSize }, () => one(queue)));
    }),
  );
}

/** The same, for messages that are to be in order: of each key one is sent when the one before is confirmed. */
export async function sendInOrder(oracle: Oracle, open: () => Queue, count: number): Promise<void> {
  const lanes = Map.groupBy(Array.from({ length: count }, (_, id) => id), keyOf);
  const shares = Map.groupBy([...lanes.values()].map((ids, lane) => ({ ids, sender: lane % senders })), ({ sender }) => sender);
  await Promise.all(
    [...shares.values()].map(async (share) => {
      await using queue = open();
      await Promise.all(
        share.map(async ({ ids }) => {
          for (const id of ids) {
            oracle.begins(id);
            await confirmed(queue, id, "plain");
            oracle.owes(id);
          }
        }),
      );
    }),
  );
}

async function confirmed(queue: Queue, id: number, kind: Kind): Promise<void> {
  for (;;) {
    try {
      await queue.send(payload(id, kind), { id: `m-${id}`, ...(queue.lacks.keys === undefined ? { key: keyOf(id) } : {}) });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100)); // the broker may be dead just now
    }
  }
}
