/**
 * NATS JetStream: a queue on a stream and a durable consumer that is asked for messages.
 *
 * Kind: queue. Client: `@nats-io/transport-node`, `@nats-io/jetstream` and `@nats-io/nats-core` 3 (optional peers, loaded at first use), or a ready
 * connection.
 * Server: 2.9 or newer, with JetStream; best 2.10.25 or newer, as an older one that was killed may give out nothing more of a consumer
 * (https://github.com/nats-io/nats-server/pull/6387).
 * Source: https://docs.nats.io/nats-concepts/jetstream, https://github.com/nats-io/nats.js/tree/main/jetstream
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { envelope, type MessageFormat, messageOf, writeMessage } from "../../kinds/envelope.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions } from "../../kinds/queue.ts";
import { redaction } from "../../wire/redact.ts";
import { connectNats, natsAddress, type NatsClient, type NatsTls, secretsOf } from "./client.ts";
import { Connection } from "./connection.ts";
import type { NatsNames, NatsSetupOptions } from "./consumer.ts";
import { deliveryOf, handsOf } from "./delivery.ts";
import { jetStreamOf } from "./jetstream.ts";
import { Reader, type ReaderSettings } from "./reader.ts";

export type { NatsClient, NatsHeaders, NatsMessage, NatsSubscription, NatsTls } from "./client.ts";
export type { NatsSetupOptions } from "./consumer.ts";

const service = "nats";

/** A lease ends here this share before it does at the server, and a second at most: what is on its way at its end must not come too late. */
const margin = 0.1;
const maxMarginMs = 1_000;

const lacks: Queue["lacks"] = {
  keys: "a consumer gives its messages to whoever asks, in no order of keys",
  delay: "before 2.12 JetStream takes no message for later",
  uncounted: "the server counts every delivery",
};

/** Of a queue on JetStream. */
export interface NatsOptions {
  /** `nats://user:password@host:4222`, `nats://token@host`, or `tls://…`; a list for the servers of a cluster. */
  readonly url?: string | readonly string[];
  /** A ready connection; it is not closed. One of ours comes back for ever; of this one see to `maxReconnectAttempts`. */
  readonly client?: NatsClient;
  /** Authority, certificate and key of one's own; not with `client`. Server and name are always verified. */
  readonly tls?: NatsTls;
  /** Letters, digits, `_` and `-`. */
  readonly stream: string;
  /** What messages are sent to. Without wildcards. @default the name of the stream */
  readonly subject?: string;
  /** The durable consumer that is read by. @default "millrace" */
  readonly consumer?: string;
  /** Milliseconds after which an unsettled message goes to somebody else: the consumer's `ack_wait`. @default 30_000 */
  readonly leaseMs?: number;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
  /** Milliseconds to get a connection, a new one or the one that was lost. @default 5_000 */
  readonly connectMs?: number;
  /** Milliseconds for an answer of the server. @default 5_000 */
  readonly timeoutMs?: number;
  /** Subjects for answers begin with it, where permissions want that. @default "_INBOX" */
  readonly inboxPrefix?: string;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** A queue on JetStream. */
export interface NatsQueue extends Queue {
  /** Makes the stream and the consumer where there are none, and compares those that are there. Nothing else does. */
  setup(options?: NatsSetupOptions): Promise<void>;
}

/**
 * Carries messages in a stream of JetStream.
 *
 * `send` resolves once the stream has the message; an `id` that it has had within its duplicate window gives the place of the first. Any
 * number of readers share the consumer. An unsettled message comes again after `leaseMs`, to whoever asks; `ack`, `nack` and `extend` are
 * confirmed. The server counts deliveries, also those that were nobody's fault. A connection that breaks comes back within one `open`.
 *
 * Reads:  what was sent to `subject`, oldest first; what comes again stands behind what is waiting.
 * Throws: as every queue; `not_found` where there is no stream or consumer, `conflict` for a consumer that loses messages or has another
 *         lease; from `send` `interrupted` when nobody knows whether it was stored: the same `id` again is safe; `unavailable` when the
 *         stream is full, or a cluster chooses a leader for it.
 * Closes: gives back what is unsettled, then the connection, if it was opened here.
 *
 * @example
 * await using queue = nats({ url: "nats://127.0.0.1:4222", stream: "jobs" });
 * await queue.setup();
 * await queue.send([text("hello")], { id: "order-7" });
 * const worker = consume(queue, pipe(), async (part, at) => console.log(at.key, part.kind));
 * await worker.stop();
 */
export function nats(options: NatsOptions): NatsQueue {
  const { url, client, tls, format = envelope(), clock = systemClock, inboxPrefix = "_INBOX" } = options;
  if ((url === undefined) === (client === undefined)) throw new MillraceError("missing_config", `${service}: needs either url or client`, { service });
  if (tls !== undefined && client !== undefined) throw new MillraceError("invalid_input", `${service}: tls is for a connection of its own, a client has its own`);
  const names = checkedNames(options);
  const { stream } = names;
  if (!isSubject(inboxPrefix)) throw invalidOption(service, "inboxPrefix", "a subject without wildcards", inboxPrefix);
  const leaseMs = wholeNumber(service, "leaseMs", options.leaseMs ?? 30_000, 100);
  const connectMs = wholeNumber(service, "connectMs", options.connectMs ?? 5_000, 1);
  const timeoutMs = wholeNumber(service, "timeoutMs", options.timeoutMs ?? 5_000, 1);
  const address = url === undefined ? undefined : natsAddress(service, url);
  const connection = new Connection({
    service,
    client,
    connectMs,
    timeoutMs,
    inboxPrefix,
    clock,
    redact: redaction({ secrets: address === undefined ? [] : secretsOf(address) }),
    async open() {
      if (address === undefined) throw new MillraceError("missing_config", `${service}: needs a url`, { service });
      return connectNats(address, { connectMs, inboxPrefix, tls });
    },
  });
  const jetStream = jetStreamOf({ service, connection, leaseMs, timeoutMs, ...names });
  const { look } = jetStream;
  const reading: ReaderSettings = { service, connection, inboxPrefix, clock, look, ...names, holdMs: leaseMs - Math.min(maxMarginMs, leaseMs * margin) };
  const delivering = { service, lacks, connection, format, leaseMs, clock };
  const readers = new Set<Reader>();
  const declared: Pick<Queue, "service" | "lacks"> = { service, lacks };
  const closedError = (): MillraceError => new MillraceError("closed", `${service}: the queue is closed`, { service });
  let closing: Promise<void> | undefined;
  const ready = (signal: AbortSignal | undefined): void => {
    if (closing !== undefined) throw closedError();
    signal?.throwIfAborted();
  };

  async function* open(opening: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    const { signal, drain } = opening;
    ready(signal);
    const leave = (): void => void reader.leave("its reader has left"); // also of a reader that nobody pulls any more
    const drained = (): void => reader.drain();
    const reader = new Reader(reading, opening, () => {
      readers.delete(reader);
      signal.removeEventListener("abort", leave);
      drain?.removeEventListener("abort", drained);
    });
    readers.add(reader);
    signal.addEventListener("abort", leave, { once: true });
    drain?.addEventListener("abort", drained, { once: true });
    let ended = false;
    try {
      await reader.open();
      if (drain?.aborted === true) drained();
      const hands = handsOf(delivering, reader);
      for (let held = await reader.take(); held !== undefined; held = await reader.take()) yield deliveryOf(delivering, hands, held);
      ended = true;
    } finally {
      if (!ended) await reader.leave("its reader has left");
    }
  }

  const close = (): Promise<void> => {
    closing ??= (async () => {
      const leaving = [...readers].map((reader) => {
        reader.fail(closedError());
        return reader.leave("the queue is closed");
      });
      await Promise.all(leaving);
      await connection.close();
    })();
    return closing;
  };

  return {
    ...declared,
    name: stream,
    guarantee: "at-least-once",
    redelivery: "lease",
    durable: true,
    leaseMs,
    async send(parts, sending = {}) {
      ready(sending.signal);
      checkSend(declared, sending);
      const message = messageOf(parts, sending);
      const place = await jetStream.store(writeMessage(service, format, message), message.id, sending.signal);
      return { id: `${stream}/${place}`, messageId: message.id };
    },
    open(opening) {
      checkOpen(declared, opening);
      return open(opening);
    },
    async setup(setup = {}) {
      ready(setup.signal);
      await jetStream.setup(setup);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Names come from options alone. */
function checkedNames({ stream, subject = stream, consumer = "millrace" }: NatsOptions): NatsNames {
  for (const [option, name] of Object.entries({ stream, consumer })) {
    if (typeof name !== "string" || !/^[\w-]{1,128}$/.test(name)) throw invalidOption(service, option, "1 to 128 letters, digits, '_' and '-'", name);
  }
  if (!isSubject(subject)) throw invalidOption(service, "subject", "words of letters, digits, '_' and '-' with '.' between", subject);
  return { stream, subject, consumer };
}

/** Without wildcards. What begins with `$` is the server's own. */
function isSubject(value: unknown): boolean {
  return typeof value === "string" && value.length <= 255 && /^[\w-]+(?:\.[\w-]+)*$/.test(value);
}
