/**
 * RabbitMQ, AMQP 0-9-1: a queue whose messages are confirmed, and come again until they are acknowledged.
 *
 * Kind: queue. Client: `amqplib` 2 (optional peer, loaded at first use), or a function that connects.
 * Source: rabbitmq.com/docs/confirms, /docs/consumers, /docs/quorum-queues; amqp-node.github.io/amqplib/channel_api.html
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { utf8Length } from "../../core/part-size.ts";
import { envelope, type MessageFormat, messageOf } from "../../kinds/envelope.ts";
import { checkOpen, checkSend, type Queue } from "../../kinds/queue.ts";
import { heard } from "../../wire/heard.ts";
import { dialing, type RabbitmqConnectionOptions, service } from "./dial.ts";
import { majorVersionOf } from "./link.ts";
import { packetOf } from "./packet.ts";
import { Reader, type ReaderSettings } from "./reader.ts";
import { Sender } from "./sender.ts";
import { declarations, delayQueueFor, delayQueues, lacksDelay, type QueueDeclaration } from "./topology.ts";

export type { AmqpChannel, AmqpConfirmChannel, AmqpConnection, AmqpMessage } from "./client.ts";
export type { RabbitmqConnectionOptions } from "./dial.ts";
export type { QueueDeclaration } from "./topology.ts";

/** Of a queue of RabbitMQ. */
export interface RabbitmqOptions extends RabbitmqConnectionOptions, QueueDeclaration {
  /** Its name. */
  readonly queue: string;
  /** Bytes of a body at most, whatever `format` allows; of a larger one that comes nothing is kept. @default 16_777_216 (16 MiB) */
  readonly maxMessageBytes?: number;
  /** What bodies look like. @default `envelope()` */
  readonly format?: MessageFormat;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** A queue of RabbitMQ, which can be declared. */
export interface RabbitmqQueue extends Queue {
  /**
   * Declares the queue, and those for delays, as the options say. Nothing else declares anything. Throws `conflict` for one that is there and
   * is otherwise.
   */
  setup(context?: { readonly signal?: AbortSignal }): Promise<void>;
}

/** Bytes of a queue's name; AMQP allows 255, and names of queues for delays are longer. */
const maxNameBytes = 200;

/**
 * Carries messages through one queue of a RabbitMQ broker.
 *
 * `send` resolves once the broker has the message on disk; when the connection is lost before that the error is `interrupted`, as nobody
 * knows. AMQP confirms no acknowledgement: one that is lost with its connection brings the message again. A reader has a connection of its
 * own and connects again when it is lost; what is acknowledged in one moment goes in one frame where that can be. The broker also ends one
 * that holds a message for longer than its `consumer_timeout` (30 minutes).
 *
 * What the broker cannot do with a message, not to count a delivery and to wait, is done with a copy of it, which goes to the end of the
 * queue; a crash between the two leaves both. When no copy can be made the message goes back as it is: at once, and counted.
 *
 * Throws: as every queue; `no_route` from `send` and `not_found` from `open` when there is no such queue, or it was deleted;
 * `unavailable` when the broker is out of reach or refuses a message. While it is short of memory or disk, `send` waits.
 * Closes: its connections; calls in progress reject with `closed`.
 *
 * @example
 * await using queue = rabbitmq({ url: "amqp://localhost", queue: "jobs" });
 * await queue.setup();
 * await queue.send([text("hello")]);
 * await using worker = consume(queue, each((part) => console.log(part.kind)), undefined, { concurrency: 8 });
 * await worker.finished;
 */
export function rabbitmq(options: RabbitmqOptions): RabbitmqQueue {
  const { queue: name, format = envelope(), clock = systemClock } = options;
  checkName("queue", name);
  if (name.startsWith("amq.")) throw invalidOption(service, "queue", 'a name that does not begin with "amq."', name);
  checkDeclaration(options);
  const maxMessageBytes = wholeNumber(service, "maxMessageBytes", options.maxMessageBytes ?? 16_777_216, 1);
  const dialed = dialing(options);
  const sender = new Sender(dialed, clock);
  const readers = new Set<Reader>();
  const counts = options.type !== "classic";
  const hasDelays = options.delayQueues === true;
  const declared: Pick<Queue, "service" | "lacks"> = {
    service,
    lacks: {
      keys: "its readers compete for messages, whatever their key",
      ...(hasDelays ? {} : { delay: lacksDelay, nackDelay: lacksDelay }),
      ...(counts ? {} : { attempts: "classic queues count no deliveries" }),
    },
  };
  const settings: ReaderSettings = {
    name,
    format,
    maxMessageBytes,
    counts,
    delayQueues: hasDelays ? delayQueues(name) : [],
    dialing: dialed,
    sender,
    clock,
    begun(reader, signal) {
      enter(signal);
      readers.add(reader);
    },
    ended: (reader) => void readers.delete(reader),
  };
  let closing: Promise<void> | undefined;
  const closedError = (): MillraceError => new MillraceError("closed", `${service}: the queue is closed`, { service });
  const enter = (signal: AbortSignal | undefined): void => {
    if (closing !== undefined) throw closedError();
    signal?.throwIfAborted();
  };

  const close = (): Promise<void> => {
    if (closing === undefined) {
      const ends = [...readers].map((reader) => reader.leave(closedError()));
      closing = Promise.all([...ends, sender.close(closedError())]).then(() => {});
    }
    return closing;
  };

  return {
    ...declared,
    name,
    guarantee: "at-least-once",
    redelivery: "nack",
    durable: true,
    async send(parts, sending = {}) {
      enter(sending.signal);
      checkSend(declared, sending);
      const { delayMs = 0 } = sending;
      const message = messageOf(parts, sending);
      const place = sending.id === undefined ? message.id : crypto.randomUUID(); // whoever names messages may give a name twice
      const packet = packetOf(message, place, format, maxMessageBytes);
      if (delayMs === 0) await sender.send(name, packet, sending.signal);
      else await sender.send(delayQueueFor(name, delayMs), { ...packet, properties: { ...packet.properties, expiration: String(delayMs) } }, sending.signal);
      return { id: `${name}/${place}`, messageId: message.id };
    },
    open(opening) {
      checkOpen(declared, opening);
      return new Reader(settings, opening.maxInFlight).read(opening);
    },
    async setup({ signal } = {}) {
      enter(signal);
      try {
        const { connection } = await sender.link(signal);
        // a refusal ends the channel, so it has one of its own
        const channel = await heard(connection.createChannel(), signal);
        channel.on("error", () => {}); // the call rejects
        for (const each of declarations(name, options, majorVersionOf(connection))) await heard(channel.assertQueue(each.name, each.options), signal);
        await heard(channel.close(), signal);
      } catch (error) {
        if (signal?.aborted === true) throw signal.reason;
        throw closing === undefined ? dialed.toError(`cannot declare queue ${name}`, error) : closedError();
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkName(option: string, name: unknown): void {
  const fits = typeof name === "string" && name !== "" && name.isWellFormed() && utf8Length(name) <= maxNameBytes && !/[\0-\x1f\x7f]/.test(name);
  if (!fits) throw invalidOption(service, option, `1 to ${maxNameBytes} bytes without control characters`, name);
}

function checkDeclaration({ type, deadLetterExchange, deliveryLimit, delayQueues }: QueueDeclaration): void {
  if (type !== undefined && type !== "quorum" && type !== "classic") throw invalidOption(service, "type", '"quorum" or "classic"', type);
  if (deadLetterExchange !== undefined) checkName("deadLetterExchange", deadLetterExchange);
  if (deliveryLimit !== undefined) wholeNumber(service, "deliveryLimit", deliveryLimit, 1);
  if (deliveryLimit !== undefined && type === "classic") throw invalidOption(service, "deliveryLimit", "of a quorum queue", deliveryLimit);
  if (delayQueues !== undefined && typeof delayQueues !== "boolean") throw invalidOption(service, "delayQueues", "true or false", delayQueues);
}
