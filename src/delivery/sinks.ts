/**
 * Where the outputs of deliveries go.
 *
 * @module
 */
import { invalidOption, isMillraceError, MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import type { Queue } from "../kinds/queue.ts";
import type { Sink, SinkContext } from "../kinds/sink.ts";

export type { Sink, SinkContext } from "../kinds/sink.ts";

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
