/**
 * A delivery of which something is otherwise.
 *
 * @module
 */
import type { Delivery } from "../kinds/queue.ts";

/** What may be otherwise. */
export type Changes = Partial<Pick<Delivery, "parts" | "signal" | "unreadable" | "ack" | "nack">>;

/** The same delivery but for `changes`; a queue's own may have methods that a copy has not. */
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
