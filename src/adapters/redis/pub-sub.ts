/**
 * Redis pub/sub: messages for whoever listens just then.
 *
 * Kind: queue, at most once. Client: as for streams.
 * Source: https://redis.io/docs/latest/develop/pubsub/ (delivery semantics)
 *
 * @module
 */
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { envelope, type MessageFormat, messageOf, readMessage, writeMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueAbility, type QueueOpenOptions } from "../../kinds/queue.ts";
import { channelsFor } from "./channels.ts";
import { checkedName, redisSettings, type RedisOptions, service } from "./client.ts";
import { Link } from "./link.ts";
import { type OutOnce, Subscriber } from "./subscriber.ts";

/** Of a channel. */
export interface RedisPubSubOptions extends RedisOptions {
  readonly channel: string;
  /** Messages that are kept for a reader which is behind, at most. @default 1_000 */
  readonly maxBuffered?: number;
  /** Bytes of them, at most. @default 67_108_864 (64 MiB) */
  readonly maxBufferedBytes?: number;
  /** Which messages are dropped, and counted, when a reader is further behind. @default "oldest" */
  readonly drop?: "oldest" | "newest";
  /** Milliseconds between two looks at whether the server is still there: a channel may be silent for good reasons. @default 5000 */
  readonly pingMs?: number;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
}

const once = "a message goes once to whoever listens";
const lacks: Readonly<Record<QueueAbility, string>> = {
  keys: "a channel has one order and no keys",
  delay: once,
  nackDelay: once,
  attempts: once,
  uncounted: once,
  extend: "there are no leases",
};

/**
 * Carries messages over a channel of Redis: each goes once to all that listen at that moment, and is then gone. Confirmed is that Redis has
 * passed it on, not that anybody listens.
 *
 * What a reader missed is told as a `gap`: with their number when it was too far behind, without one when its connection was lost, also
 * when the server cut it off for being slow. It comes back by itself, for as long as it takes.
 *
 * The readers of a queue share one connection, and so do the readers of all queues that were given the same client: thousands of channels
 * are one socket then. Sending has one of its own, opened at the first `send`.
 *
 * Throws: as every queue; `interrupted` when the connection is lost before a `send` is confirmed.
 * Closes: its connections, and so its subscriptions.
 *
 * @example
 * await using queue = redisPubSub({ url: "redis://127.0.0.1:6379", channel: "news" });
 * const onEvent = (event: WorkerEvent): void => {
 *   if (event.kind === "gap") console.warn(event.reason);
 * };
 * const worker = consume(queue, pipe(), async (part) => console.log(part.kind), { onEvent });
 * await queue.send([text("hello")]);
 * await worker.stop();
 */
export function redisPubSub(options: RedisPubSubOptions): Queue {
  const who = "redisPubSub";
  const settings = redisSettings(who, options);
  const name = checkedName(who, "channel", options.channel);
  const maxBuffered = wholeNumber(who, "maxBuffered", options.maxBuffered ?? 1_000, 1);
  const maxBytes = wholeNumber(who, "maxBufferedBytes", options.maxBufferedBytes ?? 67_108_864, 1);
  const pingMs = wholeNumber(who, "pingMs", options.pingMs ?? 5_000, 1);
  const { format = envelope(), drop = "oldest" } = options;
  if (drop !== "oldest" && drop !== "newest") throw invalidOption(who, "drop", '"oldest" or "newest"', drop);
  const declared: Pick<Queue, "service" | "lacks"> = { service, lacks };
  const link = new Link(settings);
  const channels = channelsFor(options, settings, pingMs);
  const subscribers = new Set<Subscriber>();
  const closed = (): MillraceError => new MillraceError("closed", `${service}: the queue is closed`, { service });
  let over = false;

  const settle = (out: OutOnce): void => {
    if (over) throw closed();
    if (!out.settle()) throw out.signal.reason;
  };
  const hands: Hands<OutOnce> = { ...declared, ack: settle, nack: settle };
  const deliver = (subscriber: Subscriber, body: Uint8Array, count: number): Delivery => {
    const message = readMessage(service, format, body);
    const out = subscriber.out();
    return handOut(hands, out, message, { id: `${name}/${message.id ?? `${subscriber.id}-${count}`}`, attempt: 1, signal: out.signal });
  };

  async function* open({ signal, drain, maxInFlight, tell }: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    if (over) throw closed();
    signal.throwIfAborted();
    const subscriber = new Subscriber({ settings, channels, name, maxBuffered, maxBytes, drop, maxInFlight, tell: (event) => tell?.(event) });
    const abort = (): void => {
      drain?.removeEventListener("abort", drained);
      subscribers.delete(subscriber);
      subscriber.leave(signal.reason);
    };
    const drained = (): void => subscriber.drain();
    subscribers.add(subscriber);
    signal.addEventListener("abort", abort, { once: true });
    drain?.addEventListener("abort", drained, { once: true });
    if (drain?.aborted === true) drained();
    let ended = false;
    try {
      let count = 0;
      for (let body = await subscriber.next(); body !== undefined; body = await subscriber.next()) yield deliver(subscriber, body, (count += 1));
      ended = true; // what is out can still be settled, until the signal aborts
    } finally {
      if (!ended) {
        signal.removeEventListener("abort", abort);
        drain?.removeEventListener("abort", drained);
        subscribers.delete(subscriber);
        subscriber.leave(closed());
      }
    }
  }

  const close = async (): Promise<void> => {
    over = true;
    for (const subscriber of subscribers) subscriber.leave(closed());
    subscribers.clear();
    link.close();
  };

  return {
    ...declared,
    name,
    guarantee: "at-most-once",
    redelivery: "none",
    durable: false,
    async send(parts, sending = {}) {
      if (over) throw closed();
      sending.signal?.throwIfAborted();
      checkSend(declared, sending);
      const message = messageOf(parts, sending);
      await link.call("send", ["PUBLISH", name, writeMessage(service, format, message)], { signal: sending.signal, once: true });
      return { id: `${name}/${message.id}`, messageId: message.id };
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
