/**
 * The sink kind: where the outputs of deliveries go. `consume` of `delivery/worker.ts` lives on it.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import type { Delivery, Queue } from "./queue.ts";

/** What a sink is told of an output. */
export interface SinkContext {
  /** Of output n of a delivery `id:n`: the same at every attempt, so that one that was written already can be known. */
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
   * Does all the writes of one delivery in one transaction, with `delivery.id` in it: `already-applied` when a transaction of that
   * id was committed before. Whether a commit that got lost has happened is found out by the next attempt, under the same id.
   * `deliveries` are all of the run, by default the one: more only where the sink settles them.
   */
  atomic?(delivery: Delivery, write: (sink: Sink) => Promise<void>, deliveries?: readonly Delivery[]): Promise<"applied" | "already-applied">;
  /**
   * The transactions of `atomic` settle deliveries of this queue, as those of a log do, up to a place: all of a run, so that it may be a
   * batch, and in the order of the queue (`ordering: "strict"`). To acknowledge them afterwards asks nothing more of the queue.
   */
  readonly settles?: Pick<Queue, "service" | "name">;
}
