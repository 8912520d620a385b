/**
 * What a queue consists of in the broker: itself, and the queues in which delayed messages wait.
 *
 * AMQP cannot delay. A message that must wait is sent, with a time to live, to a queue that nobody reads; when its time is over the broker
 * hands it to the queue proper. Only the head of a queue ends its time, so there is a queue for each order of magnitude.
 *
 * Source: rabbitmq.com/docs/ttl, /docs/dlx, /docs/quorum-queues (dead lettering at least once).
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { service } from "./dial.ts";

/** How the queue is declared by `setup`. */
export interface QueueDeclaration {
  /**
   * `quorum`: kept by a majority of the nodes; the broker counts attempts. `classic`: kept by one node, and nobody counts.
   * @default "quorum"
   */
  readonly type?: "quorum" | "classic";
  /**
   * Exchange for what the broker itself gives up: messages whose time to live is over, or that were delivered more than `deliveryLimit`
   * times. What a worker sets aside goes to its own `deadLetter`, with the reason. @default none: the broker drops them
   */
  readonly deadLetterExchange?: string;
  /** Deliveries after which the broker gives a message up; of quorum queues. @default none */
  readonly deliveryLimit?: number;
  /** There are queues for delays: `send` and `nack` can delay then. `setup` declares them too, ten of them. @default false */
  readonly delayQueues?: boolean;
}

/** One queue, as it is declared. */
export interface Declared {
  readonly name: string;
  readonly options: object;
}

/** The longest wait in each queue for delays, in milliseconds: a message waits behind one that was there before, so up to four times as long. */
const bounds: readonly number[] = Array.from({ length: 10 }, (_, power) => 1_000 * 4 ** power);

/** About three days. */
export const maxDelayMs: number = bounds.at(-1) ?? 0;

/** Why the queue cannot delay without its queues for that. */
export const lacksDelay = "it was made without delayQueues";

/** The queue in which a message waits so long. */
export function delayQueueFor(queue: string, delayMs: number): string {
  const bound = bounds.find((each) => delayMs <= each);
  if (bound === undefined) throw new MillraceError("invalid_input", `${service}: delayMs may be ${maxDelayMs}, got ${delayMs}`);
  return delayQueue(queue, bound);
}

export function delayQueues(queue: string): readonly string[] {
  return bounds.map((bound) => delayQueue(queue, bound));
}

function delayQueue(queue: string, bound: number): string {
  return `${queue}.delay.${bound}`;
}

/** All that `setup` declares. */
export function declarations(queue: string, options: QueueDeclaration, majorVersion: number | undefined): readonly Declared[] {
  const { type = "quorum", deadLetterExchange, deliveryLimit } = options;
  // from version 4 on a quorum queue drops what was delivered twenty times, unless it is told otherwise; older ones know no such word
  const limit = type === "classic" ? undefined : (deliveryLimit ?? ((majorVersion ?? 0) >= 4 ? -1 : undefined));
  const own: Declared = {
    name: queue,
    options: {
      durable: true,
      ...(deadLetterExchange === undefined ? {} : { deadLetterExchange }),
      arguments: { "x-queue-type": type, ...(limit === undefined ? {} : { "x-delivery-limit": limit }) },
    },
  };
  if (options.delayQueues !== true) return [own];
  const waiting = delayQueues(queue).map((name): Declared => ({ name, options: waitingOptions(queue) }));
  return [own, ...waiting];
}

/** Handed on only when the queue proper has confirmed it; that needs `reject-publish`. */
function waitingOptions(queue: string): object {
  return {
    durable: true,
    deadLetterExchange: "",
    deadLetterRoutingKey: queue,
    overflow: "reject-publish",
    arguments: { "x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once" },
  };
}
