/**
 * Where the outputs of deliveries go.
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import type { Delivery, Queue } from "../kinds/queue.ts";

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
   */
  atomic?(delivery: Delivery, write: (sink: Sink) => Promise<void>): Promise<"applied" | "already-applied">;
}

/** A sink, a queue to which each output is sent as a message, or a function that resolves once the part is safe. */
export type SinkLike = Sink | Queue | ((part: Part, at: SinkContext) => Promise<void>);

/** Makes one sink of one or several: all of them must confirm. */
export function sinkOf(who: string, sinks: SinkLike | readonly SinkLike[]): Sink {
  const all = (isList(sinks) ? sinks : [sinks]).map((sink) => toSink(who, sink));
  const unconfirmed = all.find(({ guarantee }) => guarantee !== "confirmed");
  if (unconfirmed !== undefined) {
    throw new MillraceError("missing_config", `${who}: the sink confirms nothing (${unconfirmed.guarantee}); what it loses would be acknowledged`);
  }
  const [only] = all;
  if (only !== undefined && all.length === 1) return only;
  if (all.some(({ atomic }) => atomic !== undefined)) {
    throw new MillraceError("missing_config", `${who}: an atomic sink must be the only one: what goes to others is not in its transaction`);
  }
  return {
    guarantee: "confirmed",
    write: (part, at) => together(all.map(async (sink) => sink.write(part, at))),
    flush: (delivery) => together(all.map(async (sink) => sink.flush?.(delivery))),
  };
}

/** The queues among sinks. */
export function queuesIn(sinks: SinkLike | readonly SinkLike[]): Queue[] {
  return (isList(sinks) ? sinks : [sinks]).filter(isQueue);
}

function isList(sinks: SinkLike | readonly SinkLike[]): sinks is readonly SinkLike[] {
  return Array.isArray(sinks);
}

function isQueue(sink: SinkLike): sink is Queue {
  return typeof sink === "object" && sink !== null && "send" in sink && "redelivery" in sink;
}

function toSink(who: string, sink: SinkLike): Sink {
  if (typeof sink === "function") return { guarantee: "confirmed", write: sink };
  if (isQueue(sink)) {
    return {
      guarantee: sink.guarantee === "at-least-once" ? "confirmed" : "fire-and-forget",
      async write(part, { key, delivery, signal }) {
        const { correlationId, traceparent } = delivery;
        const about = { ...(correlationId === undefined ? {} : { correlationId }), ...(traceparent === undefined ? {} : { traceparent }) };
        await sink.send([part], { id: key, signal, ...about });
      },
    };
  }
  if (typeof sink === "object" && sink !== null && "guarantee" in sink && typeof sink.write === "function") return sink;
  throw invalidOption(who, "sink", "a sink, a queue or a function", sink);
}

/** How far the damage of an error reaches; the furthest decides. */
const reach: readonly unknown[] = ["part", "delivery", undefined, "dependency", "process"];

/** Waits for all, then fails with the worst. */
async function together(writes: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(writes)).filter((result) => result.status === "rejected");
  const scopeOf = (error: unknown): unknown => (isMillraceError(error) ? error.scope : undefined);
  const [worst] = failures.map(({ reason }) => reason as unknown).sort((a, b) => reach.indexOf(scopeOf(b)) - reach.indexOf(scopeOf(a)));
  if (failures.length > 0) throw worst;
}
