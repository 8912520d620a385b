/**
 * The sink kind: where the outputs of deliveries go. `consume` of `delivery/worker.ts` lives on it.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import { type Delivery, isMessageId, type Queue } from "./queue.ts";

/** Characters of a message id that are in a key, at most, the last: keys become message ids, whose messages have keys, and so on. */
const maxIdInKey = 128;

/**
 * Names a delivery in what outlives its queue: an inbox, a journal, a service that honours such keys. The same at every delivery of a message.
 *
 * Its place alone is not enough: a queue that is made anew counts its places from the beginning, and its first message would be taken for the
 * one that was done long ago. So its message id is in it, as far as it has one; ours have, foreign ones may not.
 *
 * @example
 * await using queue = memoryQueue({ name: "jobs" });
 * await queue.send([text("hello")], { id: "order-7" });
 * for await (const delivery of queue.open({ signal: new AbortController().signal, maxInFlight: 1 })) {
 *   console.log(idempotencyKey(delivery)); // jobs/1@order-7
 *   break;
 * }
 */
export function idempotencyKey({ id, messageId }: Delivery): string {
  if (!isMessageId(messageId)) return id;
  return `${id}@${messageId.length <= maxIdInKey ? messageId : messageId.slice(-maxIdInKey).toWellFormed()}`;
}

/** What a sink is told of an output. */
export interface SinkContext {
  /**
   * Of output n of a delivery its `idempotencyKey` and `:n`: the same at every attempt, so that one that was written already can be known.
   * Of a batch that of the first, and `+m` for those that came along.
   */
  readonly key: string;
  /** Of a batch the first. */
  readonly delivery: Delivery;
  /** All that the run is about; more than one in a batch. */
  readonly deliveries: readonly Delivery[];
  /** Aborts when the outcome of the write is of no use any more. */
  readonly signal: AbortSignal;
}

/** Takes outputs, and resolves once they are safe. */
export interface Sink {
  /** A sink that confirms nothing is refused: a delivery would be acknowledged before its outputs are safe. */
  readonly guarantee: "confirmed" | "fire-and-forget";
  write(part: Part, at: SinkContext): Promise<void>;
  /** The delivery has no more outputs; resolves once all that were written are safe. */
  flush?(delivery: Delivery): Promise<void>;
  /**
   * Does all the writes of one delivery in one transaction, with its `idempotencyKey` in it: `already-applied` when a transaction of that
   * key was committed before. Whether a commit that got lost has happened is found out by the next attempt, under the same key.
   * `deliveries` are all of the run, by default the one: more only where the sink settles them.
   */
  atomic?(delivery: Delivery, write: (sink: Sink) => Promise<void>, deliveries?: readonly Delivery[]): Promise<"applied" | "already-applied">;
  /**
   * The transactions of `atomic` settle deliveries of this queue, as those of a log do, up to a place: all of a run, so that it may be a
   * batch, and in the order of the queue (`ordering: "strict"`). To acknowledge them afterwards asks nothing more of the queue.
   */
  readonly settles?: Pick<Queue, "service" | "name">;
}
