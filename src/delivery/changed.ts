/**
 * A delivery, or a queue, of which something is otherwise; one of its own may have methods that a copy has not.
 *
 * @module
 */
import type { Delivery, Queue } from "../kinds/queue.ts";

/** What may be otherwise. */
export type Changes = Partial<Pick<Delivery, "parts" | "signal" | "unreadable" | "ack" | "nack">>;

/** The same delivery but for `changes`. */
export function changed(delivery: Delivery, changes: Changes): Delivery {
  const { id, attempt, key, messageId, parts, unreadable, correlationId, traceparent, headers, sentAtMs, signal } = delivery;
  return {
    id,
    attempt,
    ...(key === undefined ? {} : { key }),
    ...(messageId === undefined ? {} : { messageId }),
    parts,
    ...(unreadable === undefined ? {} : { unreadable }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    headers,
    ...(sentAtMs === undefined ? {} : { sentAtMs }),
    signal,
    ack: () => delivery.ack(),
    nack: (options) => delivery.nack(options),
    ...(delivery.extend === undefined ? {} : { extend: (ms) => delivery.extend?.(ms) ?? Promise.resolve() }),
    ...changes,
  };
}

/** The same queue but for `changes`. */
export function changedQueue(queue: Queue, changes: Partial<Pick<Queue, "send" | "open">>): Queue {
  const { service, name, guarantee, redelivery, durable, leaseMs, lacks } = queue;
  return {
    service,
    name,
    guarantee,
    redelivery,
    durable,
    ...(leaseMs === undefined ? {} : { leaseMs }),
    lacks,
    send: (parts, options) => queue.send(parts, options),
    open: (options) => queue.open(options),
    close: () => queue.close(),
    [Symbol.asyncDispose]: () => queue.close(),
    ...changes,
  };
}
