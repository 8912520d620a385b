/**
 * Redis streams: a queue whose readers share one stream as a group.
 *
 * Kind: queue. Client: `redis` 6.3 (optional peer, loaded at first use), or a ready client of `redis` or `ioredis`. Redis 7.0 or later, Valkey.
 * Source: https://redis.io/docs/latest/develop/data-types/streams/
 *
 * @module
 */
import { bytes } from "../../core/constructors.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { ignore } from "../../core/flow.ts";
import { envelope, type MessageFormat, messageOf, readMessage, type ReadMessage, writeMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions } from "../../kinds/queue.ts";
import { checkedName, redisSettings, type RedisOptions, service } from "./client.ts";
import { Link } from "./link.ts";
import { persistenceOf, type RedisPersistence } from "./persistence.ts";
import type { Out } from "./holdings.ts";
import { type Entry, StreamGroup } from "./stream-group.ts";
import { StreamReader } from "./stream-reader.ts";

export type { IoredisClient, NodeRedisClient, RedisOptions } from "./client.ts";
export type { RedisPersistence } from "./persistence.ts";
export { redisKeyValue, type RedisKeyValueOptions } from "./key-value.ts";
export { redisPubSub, type RedisPubSubOptions } from "./pub-sub.ts";

/** Consumers that the server has not heard for so many leases, and for a minute at least, are dead. */
const deadLeases = 3;
const minDeadMs = 60_000;
/** Milliseconds that closing waits for the server to take back what is out. */
const closeMs = 1_000;

/** Of a stream. */
export interface RedisStreamsOptions extends RedisOptions {
  /** The stream; the group keeps two more keys, `{stream}:group:later` and `{stream}:group:floor`. */
  readonly stream: string;
  /** Readers of one group share the messages; each group gets all of them. @default "millrace" */
  readonly group?: string;
  /** Where a group begins that is not there yet: with what the stream holds, or with what comes. @default "oldest" */
  readonly start?: "oldest" | "newest";
  /** Milliseconds after which an unsettled message goes to somebody else. @default 30_000 */
  readonly leaseMs?: number;
  /** Readers take away what all groups have acknowledged. A group that is made later does not find it. @default true */
  readonly trim?: boolean;
  /** Field of an entry that holds the body. @default "body" */
  readonly field?: string;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
}

/** A queue in a stream of Redis. */
export interface RedisStreamsQueue extends Queue {
  /**
   * Asks the server what its confirmations are worth when it crashes; undefined where it does not let itself be asked. Nothing here depends on
   * it: who needs a log looks before the work begins.
   */
  persistence(options?: { readonly signal?: AbortSignal }): Promise<RedisPersistence | undefined>;
}

/**
 * Carries messages in a stream of Redis, to the readers of a group. Confirmed is what Redis has answered; whether that outlives a crash of
 * the server is said by its `appendonly` and `appendfsync`, for which `persistence()` asks.
 *
 * Each reader has a connection of its own and comes back by itself when the server was away for less than a lease. A message that is
 * given back, or sent with a delay, waits in a sorted set under its own id: a delay costs one more round trip and one more read of the
 * message, and other processes see within a second that it is due. A stream that lost unsettled messages is told as a `gap`.
 *
 * Throws: as every queue; `interrupted` when the connection is lost before a `send` is confirmed: it may have arrived. `conflict` when the
 *         name is one of something else than a stream.
 * Closes: its connections; what is out goes back to the stream.
 *
 * @example
 * await using queue = redisStreams({ url: "redis://127.0.0.1:6379", stream: "jobs" });
 * await queue.send([text("hello")]);
 * const worker = consume(queue, pipe(), async (part) => console.log(part.kind));
 * await worker.stop();
 */
export function redisStreams(options: RedisStreamsOptions): RedisStreamsQueue {
  const who = "redisStreams";
  const settings = redisSettings(who, options);
  const name = checkedName(who, "stream", options.stream);
  const group = checkedName(who, "group", options.group ?? "millrace");
  const field = checkedName(who, "field", options.field ?? "body");
  const leaseMs = wholeNumber(who, "leaseMs", options.leaseMs ?? 30_000, 100);
  const { format = envelope(), start = "oldest", trim = true } = options;
  if (start !== "oldest" && start !== "newest") throw invalidOption(who, "start", '"oldest" or "newest"', start);
  const declared: Pick<Queue, "service" | "lacks"> = {
    service,
    lacks: { keys: "the readers of a group share a stream message by message, whatever their keys" },
  };
  const shared = new Link(settings);
  const deadMs = Math.max(minDeadMs, deadLeases * leaseMs);
  const stream = new StreamGroup({ stream: name, group, field, leaseMs, deadMs, trim, start: start === "oldest" ? "0" : "$" }, shared);
  const readers = new Set<StreamReader>();
  /** Readers that are on their way out, each with its own way to the server. */
  const leaving = new Map<Promise<void>, Link>();
  let closing: Promise<void> | undefined;
  const closed = (): MillraceError => new MillraceError("closed", `${service}: the queue is closed`, { service });

  /** Something will be due: other processes look for it every second, readers here need not. */
  const expect = (ms: number): void => {
    for (const reader of readers) reader.expect(ms);
  };
  const left = (leave: Promise<void>, link: Link): void => {
    leaving.set(leave, link);
    void leave.finally(() => {
      leaving.delete(leave);
      expect(0); // what it gave back
    });
  };

  const handsOf = (reader: StreamReader): Hands<Out> => {
    const mine = (out: Out): void => {
      if (closing !== undefined) throw closed();
      if (!reader.held.has(out)) throw out.controller.signal.aborted ? out.controller.signal.reason : reader.lostError(out, "it was settled");
    };
    const settled = (out: Out, had: boolean): void => {
      reader.release(out, had ? undefined : "its lease is over");
      if (!had) throw reader.lostError(out, "its lease is over");
    };
    return {
      ...declared,
      async ack(out) {
        mine(out);
        settled(out, await reader.acknowledge(out.entry.id));
      },
      async nack(out, { delayMs, counted }) {
        mine(out);
        settled(out, await reader.giveBack([out.entry.id], delayMs, counted));
        expect(delayMs);
      },
      async extend(out, ms) {
        wholeNumber(`${service}: extend`, "ms", ms, 1, leaseMs);
        mine(out);
        const askedMs = settings.clock.now();
        if (!(await reader.extend(out.entry.id, ms))) settled(out, false);
        out.endsMs = askedMs + ms;
      },
    };
  };
  const deliver = (hands: Hands<Out>, out: Out): Delivery => {
    const { entry, controller: { signal } } = out;
    return handOut(hands, out, contentOf(entry, field, format), { id: `${name}/${entry.id}`, attempt: entry.attempt, signal });
  };

  async function* open({ signal, drain, maxInFlight, tell }: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    if (closing !== undefined) throw closed();
    signal.throwIfAborted();
    const link = new Link(settings, Math.min(1_000, leaseMs));
    const abort = (): void => void reader.leave({ error: signal.reason });
    const drained = (): void => reader.drain();
    const reader = new StreamReader({
      group: stream,
      link,
      name,
      leaseMs,
      clock: settings.clock,
      maxInFlight,
      tell: (event) => tell?.(event),
      left(leave) {
        readers.delete(reader);
        signal.removeEventListener("abort", abort);
        drain?.removeEventListener("abort", drained);
        left(leave, link);
      },
    });
    const hands = handsOf(reader);
    readers.add(reader);
    signal.addEventListener("abort", abort, { once: true }); // also of a reader that nobody pulls any more
    drain?.addEventListener("abort", drained, { once: true });
    if (drain?.aborted === true) drained();
    let ended = false;
    try {
      for (let out = await reader.next(); out !== undefined; out = reader.take() ?? (await reader.next())) yield deliver(hands, out);
      ended = true; // what is out can still be settled
    } finally {
      if (!ended) void reader.leave({ error: closed() });
    }
  }

  const close = (): Promise<void> => {
    closing ??= (async () => {
      await Promise.resolve(); // `closing` is set
      for (const reader of readers) void reader.leave({ error: closed() });
      const over = new AbortController();
      await Promise.race([Promise.allSettled(leaving.keys()), settings.clock.sleep(closeMs, over.signal).catch(ignore)]);
      over.abort();
      for (const link of leaving.values()) link.close(); // it would wait for a silent server as long as for any answer
      shared.close();
    })();
    return closing;
  };

  return {
    ...declared,
    name,
    guarantee: "at-least-once",
    redelivery: "lease",
    durable: true,
    leaseMs,
    async send(parts, sending = {}) {
      if (closing !== undefined) throw closed();
      sending.signal?.throwIfAborted();
      checkSend(declared, sending);
      const message = messageOf(parts, sending);
      const id = await stream.send(writeMessage(service, format, message), sending.delayMs ?? 0, sending.signal);
      return { id: `${name}/${id}`, messageId: message.id };
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    async persistence({ signal } = {}) {
      if (closing !== undefined) throw closed();
      return persistenceOf(shared, signal);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// --- shapes ---

/** What an entry holds. Of one without our field, its fields as JSON, as somebody else's message. */
function contentOf({ body, fields }: Entry, field: string, format: MessageFormat): ReadMessage {
  if (body !== undefined) return readMessage(service, format, body);
  const texts = JSON.stringify(fields.map((field) => new TextDecoder().decode(field)));
  const unreadable = new MillraceError("invalid_input", `${service}: an entry has no field ${field}, and so no body`, { service });
  return { parts: [bytes(new TextEncoder().encode(texts), "application/json")], unreadable };
}
