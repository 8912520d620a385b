/**
 * How the contract of queues reads: one delivery after the other, unsettled.
 *
 * @module
 */
import type { Part } from "../../core/part.ts";
import type { Delivery, Queue, QueueOpenOptions } from "../../kinds/queue.ts";
import { check } from "./check.ts";

/** One `open`. */
export interface Reading {
  /** The next delivery; fails when the reading has ended. */
  next(): Promise<Delivery>;
  /** The next so many. */
  take(count: number): Promise<Delivery[]>;
  /** The next so many, each acknowledged. */
  settle(count: number): Promise<Delivery[]>;
  /** The result that `next` gives next, as it is; asked for now if it was not before. */
  raw(): Promise<IteratorResult<Delivery, unknown>>;
  leave(): Promise<void>;
}

/** Opens a queue for reading. */
export function reading(queue: Queue, options: Partial<QueueOpenOptions> = {}): Reading {
  const iterator = queue.open({ signal: new AbortController().signal, maxInFlight: 32, ...options })[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<Delivery, unknown>> | undefined;
  const raw = (): Promise<IteratorResult<Delivery, unknown>> => (pending ??= iterator.next());
  const next = async (): Promise<Delivery> => {
    const taken = raw();
    pending = undefined;
    const { done, value } = await taken;
    check(done !== true, "the reading goes on");
    return value;
  };
  const take = async (count: number): Promise<Delivery[]> => {
    const deliveries: Delivery[] = [];
    while (deliveries.length < count) deliveries.push(await next());
    return deliveries;
  };
  return {
    next,
    take,
    raw,
    async settle(count) {
      const deliveries = await take(count);
      for (const delivery of deliveries) await delivery.ack();
      return deliveries;
    },
    async leave() {
      await iterator.return?.();
    },
  };
}

/** The texts of deliveries. */
export function textsIn(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ parts }) => parts.map((part) => (part.kind === "text" ? part.text : part.kind)).join(" "));
}

/** A part as JSON, its bytes as numbers. */
export function shown(part: Part): unknown {
  return part.kind === "bytes" ? { ...part, bytes: [...part.bytes] } : { ...part };
}
