/**
 * The queue kind: messages of parts that are sent with a confirmation, and delivered until somebody has settled them.
 *
 * What brokers differ in is said, not hidden: how a message that failed comes back (`redelivery`), who counts (`lacks.attempts`),
 * whether messages end with this process (`durable`). `consume` of `delivery/worker.ts` lives on that; every queue passes
 * `testing/contracts/queue.ts`.
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import { checkedMetadata } from "../core/json-border.ts";
import type { Metadata, Part } from "../core/part.ts";

/** Does a message come again until it is settled? */
export type QueueGuarantee = "at-least-once" | "at-most-once";

/**
 * How an unsettled message comes back: when it is given back (`nack`), also by itself after a time (`lease`), when the log is read
 * again from the last settled place (`seek`: a `nack` leaves it unsettled, and nothing behind it is committed), or never.
 */
export type QueueRedelivery = "nack" | "lease" | "seek" | "none";

/**
 * What not every queue can do: order messages by `keys`; `delay` one that is sent; take one back for later (`nackDelay`), which is another
 * thing than to delay a new one; count `attempts` over crashes of its readers; take one back `uncounted`; `extend` a lease, where there is one.
 */
export type QueueAbility = "keys" | "delay" | "nackDelay" | "attempts" | "uncounted" | "extend";

/** What `send` may be told. */
export interface SendOptions {
  readonly signal?: AbortSignal;
  /** Messages of one key are delivered in the order in which they were sent, as long as none fails. */
  readonly key?: string;
  /** Names the message to its reader (`Delivery.messageId`): a sender that tries again gives the same. @default a new one */
  readonly id?: string;
  /** Milliseconds before which it is not delivered; not for a queue that lacks `delay`. @default 0 */
  readonly delayMs?: number;
  /** Of the logical operation, over runs and machines. @default a new one */
  readonly correlationId?: string;
  /** W3C trace context: `00-…-…-01`. */
  readonly traceparent?: string;
  /** What is told beside the parts: JSON, no secrets. */
  readonly headers?: Metadata;
}

/** A message that the broker has confirmed. */
export interface Sent {
  /** Its place in the queue, and the id of its deliveries. */
  readonly id: string;
  readonly messageId: string;
}

/** What `nack` may be told. */
export interface NackOptions {
  /**
   * Milliseconds before which it is not delivered again; not for a queue that lacks `nackDelay`. Its reader has room for another meanwhile;
   * a log (`seek`) holds up what stands behind it. @default 0
   */
  readonly delayMs?: number;
  /** `false`: it was nobody's fault, the attempt does not count. @default true */
  readonly counted?: boolean;
}

/** One message, handed to one reader. It settles once; a second `ack` or `nack` throws `closed`. */
export interface Delivery {
  /** The place in the queue, with the queue's name; the same at every delivery: `jobs/17`. */
  readonly id: string;
  /** From 1; at least the deliveries of this message so far that counted, where the queue counts. */
  readonly attempt: number;
  readonly key?: string;
  readonly messageId?: string;
  /** Not to be changed; may be read again. Of a message that cannot be read: its bytes, as they came. */
  readonly parts: readonly Part[];
  /** Why the message cannot be read. What reads it must not take `parts` for its content then. */
  readonly unreadable?: MillraceError;
  readonly correlationId?: string;
  readonly traceparent?: string;
  readonly headers: Metadata;
  /** Milliseconds since 1970 at which it was sent, by the sender's clock. */
  readonly sentAtMs?: number;
  /** Aborts when the delivery is this reader's no more: lease lost, partition revoked, connection gone. */
  readonly signal: AbortSignal;
  /** Done with, confirmed by the broker. */
  ack(): Promise<void>;
  /** Given back. */
  nack(options?: NackOptions): Promise<void>;
  /** Prolongs the lease: it ends so many milliseconds from now. Absent where leases cannot be prolonged. */
  extend?(ms: number): Promise<void>;
}

/** What a queue tells beside its deliveries. */
export type QueueEvent =
  /** Messages were lost, or may have been: trimmed, overrun, missed while the connection was gone. */
  | {
      readonly kind: "gap";
      readonly queue: string;
      /** How many, if that is known. */
      readonly count?: number;
      readonly reason: string;
    }
  /**
   * The server, or the way to it, was gone, and the same reading goes on: told once for each time, however often it was tried. What was out
   * may be lost to its holders, and come again.
   */
  | {
      readonly kind: "reconnected";
      readonly queue: string;
      /** Milliseconds from when the reading noticed it until it had the server again. */
      readonly awayMs: number;
    }
  /** A message of a log is not settled for so many milliseconds, and holds up all behind it; told again as long as that lasts. */
  | { readonly kind: "stuck"; readonly queue: string; readonly id: string; readonly forMs: number };

/** What `open` is told. */
export interface QueueOpenOptions {
  /** Ends the reading: a waiting `next()` rejects with the reason, what is unsettled goes back to the queue. */
  readonly signal: AbortSignal;
  /** Ends the handing out: the iteration comes to its end, what is out can still be settled until `signal` aborts. */
  readonly drain?: AbortSignal;
  /** Deliveries that are out and unsettled, at most. */
  readonly maxInFlight: number;
  /** Hears what there is to tell; must not throw. */
  readonly tell?: (event: QueueEvent) => void;
}

/**
 * Carries messages.
 *
 * Errors: `invalid_input` for options that are none and for what the queue lacks; `too_large` for a message above its limit;
 * `unavailable` when it is full or out of reach; `closed` after `close()`, for a delivery that is settled, and for one whose lease is
 * lost; an abort is the signal's reason.
 */
export interface Queue extends AsyncDisposable {
  /** For messages: `redis`, `memory`. */
  readonly service: string;
  /** Which queue of the service. */
  readonly name: string;
  readonly guarantee: QueueGuarantee;
  readonly redelivery: QueueRedelivery;
  /** What is confirmed survives the end of this process. Whether it survives a crash of the server too is for the server's settings to say. */
  readonly durable: boolean;
  /** Milliseconds after which an unsettled message is delivered to somebody else, where that is so. */
  readonly leaseMs?: number;
  /** What the queue cannot do, each with the reason. */
  readonly lacks: Readonly<Partial<Record<QueueAbility, string>>>;
  /** Sends one message; resolves once the broker has it. */
  send(parts: Iterable<Part>, options?: SendOptions): Promise<Sent>;
  /**
   * Reads until it is left or drained. A message that cannot be read is a delivery too: one bad message must not end the reading.
   * Leaving the loop, and `signal`, give back what is unsettled; who drains aborts `signal` at last.
   */
  open(options: QueueOpenOptions): AsyncIterable<Delivery>;
  close(): Promise<void>;
}

/** Refuses anything but a queue, when a stage is built. */
export function requireQueue(who: string, queue: unknown, option = "queue"): asserts queue is Queue {
  const made = typeof queue === "object" && queue !== null && "send" in queue && "open" in queue && "redelivery" in queue;
  if (!made || typeof queue.open !== "function") throw invalidOption(who, option, "a queue", queue);
}

const shortText = (value: unknown, most: number): boolean =>
  typeof value === "string" && value !== "" && value.length <= most && value.isWellFormed() && !/[\0-\x1f\x7f]/.test(value);

/** Can it be the key of a message? Foreign ones may have others. */
export function isKey(value: unknown): value is string {
  return shortText(value, 256);
}

/** Can it be the id of a message? Foreign ones may have others. */
export function isMessageId(value: unknown): value is string {
  return shortText(value, 512);
}

/** Refuses what `send` cannot take. */
export function checkSend(queue: Pick<Queue, "service" | "lacks">, options: SendOptions): void {
  const who = `${queue.service}: send`;
  const { key, id, delayMs, headers } = options;
  if (key !== undefined && !isKey(key)) throw invalidOption(who, "key", "1 to 256 characters without control characters", key);
  if (key !== undefined && queue.lacks.keys !== undefined) throw lacking(who, "a key", queue.lacks.keys);
  if (id !== undefined && !isMessageId(id)) throw invalidOption(who, "id", "1 to 512 characters without control characters", id);
  if (delayMs !== undefined) wholeNumber(who, "delayMs", delayMs, 0);
  if (delayMs !== undefined && delayMs > 0 && queue.lacks.delay !== undefined) throw lacking(who, "a delay", queue.lacks.delay);
  if (headers !== undefined) checkedMetadata(headers, "headers");
}

/** Refuses what `nack` cannot take; the delivery stays out. */
export function checkNack(queue: Pick<Queue, "service" | "lacks">, { delayMs = 0 }: NackOptions): void {
  const who = `${queue.service}: nack`;
  wholeNumber(who, "delayMs", delayMs, 0);
  if (delayMs > 0 && queue.lacks.nackDelay !== undefined) throw lacking(who, "a delay", queue.lacks.nackDelay);
}

/** Refuses what `open` cannot take. */
export function checkOpen(queue: Pick<Queue, "service">, { maxInFlight }: QueueOpenOptions): void {
  wholeNumber(`${queue.service}: open`, "maxInFlight", maxInFlight, 1);
}

function lacking(who: string, what: string, reason: string): MillraceError {
  return new MillraceError("invalid_input", `${who}: ${what} is not for this queue: ${reason}`);
}
