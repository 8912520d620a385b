/**
 * The stream and the durable consumer behind a queue: made by `setup`, compared by everybody.
 *
 * Source: https://docs.nats.io/nats-concepts/jetstream/streams, https://docs.nats.io/nats-concepts/jetstream/consumers
 *
 * @module
 */
import { invalidOption, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import { fieldOf, numberOf } from "../../wire/error-fields.ts";

/** What JetStream takes for a millisecond. */
const nanosPerMs = 1_000_000;

/** The names of a queue. */
export interface NatsNames {
  readonly stream: string;
  readonly subject: string;
  readonly consumer: string;
}

/** How `setup` makes what is not there. */
export interface NatsSetupOptions {
  readonly signal?: AbortSignal;
  /**
   * `"workqueue"` keeps a message until it is acknowledged, and has one consumer; `"interest"` until all consumers have done so;
   * `"limits"` until a limit is reached. @default "workqueue"
   */
  readonly retention?: "workqueue" | "interest" | "limits";
  /** @default "file" */
  readonly storage?: "file" | "memory";
  /** Servers of the cluster that hold it. @default 1 */
  readonly replicas?: number;
  /** @default no limit */
  readonly maxMessages?: number;
  /** @default no limit */
  readonly maxBytes?: number;
  /** Milliseconds after which a message goes, read or not. @default never */
  readonly maxAgeMs?: number;
  /** What goes when the stream is full: the new message, refused as `unavailable`, or the oldest one, read or not. @default "new" */
  readonly discard?: "new" | "old";
  /** Milliseconds in which a message of the same id is the same message. @default 120_000 */
  readonly duplicateWindowMs?: number;
  /**
   * Messages that are out and unsettled, at most, over all readers; also those that were given back for later and wait for their time. More than
   * all their `maxInFlight`. @default 1_000
   */
  readonly maxAckPending?: number;
  /** Readers that wait at once, at most. @default 512 */
  readonly maxReaders?: number;
}

/** A configuration by the server's names. */
export type NatsConfig = Readonly<Record<string, unknown>>;

/** What `setup` makes. Throws `invalid_input` for options that cannot work. */
export function configsOf(who: string, { stream, subject, consumer }: NatsNames, leaseMs: number, options: NatsSetupOptions): { readonly stream: NatsConfig; readonly consumer: NatsConfig } {
  const { retention = "workqueue", storage = "file", discard = "new" } = options;
  oneOf(who, "retention", retention, ["workqueue", "interest", "limits"]);
  oneOf(who, "storage", storage, ["file", "memory"]);
  oneOf(who, "discard", discard, ["new", "old"]);
  const limit = (option: "maxMessages" | "maxBytes"): number => (options[option] === undefined ? -1 : wholeNumber(who, option, options[option], 1));
  const count = (option: "replicas" | "maxAckPending" | "maxReaders", otherwise: number): number => wholeNumber(who, option, options[option] ?? otherwise, 1);
  const maxAgeMs = options.maxAgeMs === undefined ? 0 : wholeNumber(who, "maxAgeMs", options.maxAgeMs, 100);
  const windowMs = wholeNumber(who, "duplicateWindowMs", options.duplicateWindowMs ?? Math.min(120_000, maxAgeMs === 0 ? Infinity : maxAgeMs), 100);
  if (maxAgeMs > 0 && windowMs > maxAgeMs) throw invalidOption(who, "duplicateWindowMs", `at most maxAgeMs, ${maxAgeMs}`, windowMs);
  return {
    stream: {
      name: stream,
      subjects: [subject],
      retention,
      storage,
      num_replicas: count("replicas", 1),
      max_msgs: limit("maxMessages"),
      max_bytes: limit("maxBytes"),
      max_age: maxAgeMs * nanosPerMs,
      discard,
      duplicate_window: windowMs * nanosPerMs,
    },
    consumer: {
      durable_name: consumer,
      ack_policy: "explicit",
      deliver_policy: "all",
      ack_wait: leaseMs * nanosPerMs,
      max_deliver: -1,
      max_ack_pending: count("maxAckPending", 1_000),
      max_waiting: count("maxReaders", 512),
    },
  };
}

/** Refuses what is there and is not as it should be, by the first field that differs. */
export function requireSame(who: string, what: string, wanted: NatsConfig, found: unknown): void {
  for (const [field, value] of Object.entries(wanted)) {
    const has = fieldOf(found, field);
    const is = JSON.stringify(has) ?? "none";
    const should = JSON.stringify(value);
    if (is !== should) throw conflict(who, `${what} has ${field} ${is.slice(0, 200)}, the queue needs ${should}`);
  }
}

/** Where a consumer stands, and whether it sees all of its stream. */
export interface ConsumerState {
  /** The last message it gave out: its number among all given out, and its place in the stream. */
  readonly delivered: { readonly consumerSeq: number; readonly streamSeq: number };
  readonly filtered: boolean;
}

/** Reads what the server tells of a consumer. Refuses one that a queue cannot live on: it would lose messages, or leases unnoticed. */
export function consumerState(who: string, name: string, leaseMs: number, info: unknown): ConsumerState {
  const config = fieldOf(info, "config");
  const what = `consumer ${name}`;
  const field = (of: string): unknown => fieldOf(config, of);
  if (field("deliver_subject") !== undefined && field("deliver_subject") !== "") throw conflict(who, `${what} pushes, the queue needs one that is asked`);
  if (field("ack_policy") !== "explicit") throw conflict(who, `${what} has ack_policy ${received(field("ack_policy"))}, the queue needs "explicit"`);
  const [waitMs, backoff] = [(numberOf(config, "ack_wait") ?? 0) / nanosPerMs, field("backoff")];
  if (waitMs !== leaseMs) throw conflict(who, `${what} has an ack_wait of ${waitMs} ms, leaseMs is ${leaseMs}`);
  if (Array.isArray(backoff) && backoff.length > 0) throw conflict(who, `${what} has a backoff, under which leases have no one length`);
  const deliveries = numberOf(config, "max_deliver") ?? -1;
  if (deliveries > 0) throw conflict(who, `${what} has max_deliver ${deliveries}, after which messages are dropped; the queue needs none`);
  const delivered = fieldOf(info, "delivered");
  return {
    delivered: { consumerSeq: numberOf(delivered, "consumer_seq") ?? 0, streamSeq: numberOf(delivered, "stream_seq") ?? 0 },
    filtered: [field("filter_subject"), field("filter_subjects")].some((filter) => filter !== undefined && filter !== "" && String(filter) !== ""),
  };
}

function conflict(who: string, what: string): MillraceError {
  return new MillraceError("conflict", `${who}: ${what}`, { service: who, scope: "process" });
}

function oneOf(who: string, option: string, value: unknown, words: readonly string[]): void {
  if (!words.includes(String(value))) throw invalidOption(who, option, words.map((word) => `"${word}"`).join(" or "), value);
}
