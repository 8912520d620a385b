/**
 * Carries messages from one queue to another.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { Context, Processor } from "../core/processor.ts";
import { type Queue, requireQueue } from "../kinds/queue.ts";
import { deliveryOf } from "./current.ts";
import { known } from "./dead-letter.ts";
import type { Ordering } from "./lanes.ts";
import type { ConsumeOptions } from "./options.ts";
import { consume, type Worker } from "./worker.ts";

const who = "relay";

/** What `relay` may be told: as `consume`, with other defaults. */
export interface RelayOptions extends Omit<ConsumeOptions, "batch" | "journal" | "version"> {
  /** Messages on their way at once. @default 16 */
  readonly concurrency?: number;
  /** @default "key", where the queue that is read has keys; those without one may overtake each other */
  readonly ordering?: Ordering;
}

/**
 * Sends each message of a queue to another, whole: its parts, message id, key, headers, correlation id and trace context. It is taken from
 * the first once the second has confirmed it, so it arrives at least once, and a second time under the same message id. Those of one key
 * arrive in their order.
 *
 * With a queue whose messages are written in a transaction, as `sendWithin` of `postgresQueue` does, that is an outbox.
 *
 * Throws: when it is built, as `consume`; `invalid_input` for one queue with itself; `missing_config` for a target that confirms nothing, and,
 *         without `ackOn: "handoff"`, for one in memory behind a durable one.
 * Closes: its reading; both queues belong to the caller.
 *
 * @example
 * await using outbox = memoryQueue({ name: "outbox" });
 * await using jobs = memoryQueue({ name: "jobs" });
 * await outbox.send([text("hello")], { id: "order-7" });
 * await using worker = relay(outbox, jobs, { onEvent: ({ kind }) => void (kind === "acked" && worker.stop()) });
 * await worker.finished;
 * for await (const { messageId } of jobs.open({ signal: new AbortController().signal, maxInFlight: 1 })) {
 *   console.log(messageId); // order-7
 *   break;
 * }
 */
export function relay(source: Queue, target: Queue, options: RelayOptions = {}): Worker {
  requireQueue(who, source, "source");
  requireQueue(who, target, "target");
  if (source === target) throw new MillraceError("invalid_input", `${who}: needs two queues, got the same`);
  if (target.guarantee !== "at-least-once") {
    throw new MillraceError("missing_config", `${who}: ${target.service} confirms nothing; what it loses would be acknowledged`);
  }
  if (source.durable && !target.durable && options.ackOn !== "handoff") {
    throw new MillraceError("missing_config", `${who}: ${target.service} keeps messages in memory only; say ackOn: "handoff" if that is enough`);
  }
  const carry = async (context: Context | undefined): Promise<IteratorReturnResult<undefined>> => {
    const delivery = context === undefined ? undefined : deliveryOf(context);
    if (context === undefined || delivery === undefined) throw new MillraceError("invalid_input", `${who}: works inside of its own worker alone`);
    await target.send(delivery.parts, { ...known(delivery, target), headers: delivery.headers, signal: context.signal });
    return { done: true, value: undefined };
  };
  /** Gives nothing: what is sent is the message, also one without parts. */
  const relayed: Processor = (_, context) => ({ [Symbol.asyncIterator]: () => ({ next: () => carry(context) }) });
  const { concurrency = 16, ordering = source.lacks.keys === undefined ? "key" : "none", ...rest } = options;
  for (const option of ["batch", "journal"]) {
    // by the type there is none, but what is read from a file, or spread, has no type; of a batch one message would be sent and all acknowledged
    if (option in rest) throw new MillraceError("missing_config", `${who}: ${option}: each message is sent by itself, as it is`);
  }
  return consume(source, relayed, undefined, { ...rest, concurrency, ordering });
}
