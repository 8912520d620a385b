/**
 * Apache Kafka: a topic as a queue, read by a consumer group.
 *
 * Kind: queue. Client: `@platformatic/kafka` 2.12 (optional peer, loaded at first use).
 * Source: https://kafka.apache.org/documentation/, https://kafka.apache.org/protocol, and what a broker 4.1 answers.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { messageOf, writeMessage } from "../../kinds/envelope.ts";
import { checkOpen, checkSend, type Delivery, type Queue, type QueueOpenOptions } from "../../kinds/queue.ts";
import { heard } from "../../wire/heard.ts";
import { kafkaPackage } from "./client.ts";
import { keepInside } from "./held.ts";
import { checked, type KafkaOptions, lacks, service } from "./options.ts";
import { Reader } from "./reader.ts";
import { headersOf } from "./records.ts";
import { Sender } from "./sender.ts";
import { watchStuck } from "./stuck.ts";

export type { KafkaOptions, KafkaSasl, KafkaSecret, KafkaTls } from "./options.ts";
export { kafkaSink } from "./sink.ts";
export type { KafkaSink, KafkaSinkOptions } from "./sink.ts";

/**
 * Carries messages in a topic of Kafka. Each reading is a member of the consumer group, with partitions of its own; a partition is
 * committed up to the first message that is not settled.
 *
 * What was given back comes again from memory, after its delay, and holds up its partition until then: a log takes nothing back. When a
 * partition goes to another reader, what is out of it may still be settled for half of `sessionMs`; then it is lost, and comes there.
 * One that is not settled for `maxStuckMs` is told of, by an event `stuck`: a worker gives up an attempt after its `deliveryTimeoutMs`, but
 * without dead letters it tries again for ever, and all behind it waits. While acknowledgements are being committed the next messages are
 * handed out: up to `maxInFlight` are unsettled, and as many settled and not yet confirmed.
 * Messages of one key lie in one partition, where Kafka's own client would put them, in the order in which they were sent. What is sent
 * at once goes in batches, on one connection and, where there is much of it, on a second. A reading survives brokers that go and come back.
 * Where partitions are added to the topic, messages go there within seconds, and are read five minutes later at the latest.
 *
 * Throws: as every queue. `send`: `interrupted` when nobody knows whether the message was stored; `not_found` for a topic that is not there.
 *         `open`: `missing_config` without a `group`; `not_found` for messages that are gone, with `whenGone: "fail"`.
 * Closes: its connections, and leaves the group; whoever reads or sends gets `closed`.
 *
 * @example
 * await using queue = kafka({ brokers: "127.0.0.1:9092", topic: "jobs", group: "workers" });
 * await queue.send([text("resize it")], { key: "image-7" });
 * const reading = new AbortController();
 * for await (const delivery of queue.open({ signal: reading.signal, maxInFlight: 10 })) {
 *   console.log(delivery.id, delivery.key); // jobs/0/17 image-7
 *   await delivery.ack();
 * }
 */
export function kafka(options: KafkaOptions): Queue {
  const settings = checked(options);
  const { topic, format, group } = settings;
  const declared: Pick<Queue, "service" | "lacks"> = { service, lacks };
  const { get: load } = kafkaPackage();
  const sending = new Sender(settings, load);
  const readers = new Set<Reader>();
  const prepare = new Set<() => Promise<void>>();
  let closed: Promise<void> | undefined;
  const isClosed = (): boolean => closed !== undefined;
  const closedError = (): MillraceError => new MillraceError("closed", `${service}: the queue is closed`, { service });

  async function* read(opening: QueueOpenOptions): AsyncGenerator<Delivery, void> {
    if (isClosed()) throw closedError();
    opening.signal.throwIfAborted();
    if (group === undefined) throw new MillraceError("missing_config", `${service}: open needs a group, which the queue for ${topic} was built without`, { service });
    for (const each of prepare) await heard(each(), opening.signal);
    if (isClosed()) throw closedError(); // meanwhile
    const reader = new Reader(settings, load, opening);
    readers.add(reader);
    let drained = false;
    const unwatch = watchStuck({
      clock: settings.clock,
      maxStuckMs: settings.maxStuckMs,
      partitions: () => reader.partitions,
      tell: (partition, offset, forMs) => opening.tell?.({ kind: "stuck", queue: topic, id: `${topic}/${partition}/${offset}`, forMs }),
    });
    void reader.over.then(unwatch); // also of a reading that nobody pulls any more
    try {
      for (let delivery = await reader.next(); delivery !== undefined; delivery = await reader.next()) yield delivery;
      drained = true;
    } finally {
      // not waited for: to leave a group takes a moment, and whoever leaves a loop should not
      if (!drained) void reader.leave(closedError());
      void reader.over.then(() => readers.delete(reader));
    }
  }

  const contentType = Buffer.from(format.mimeType);
  const close = (): Promise<void> => {
    closed ??= Promise.all([sending.close(), ...[...readers].map((reader) => reader.leave(closedError()))]).then(() => {});
    return closed;
  };

  const queue: Queue = {
    ...declared,
    name: topic,
    guarantee: "at-least-once",
    redelivery: "seek",
    durable: true,
    async send(parts, send = {}) {
      if (isClosed()) throw closedError();
      send.signal?.throwIfAborted();
      checkSend(declared, send);
      const message = messageOf(parts, send);
      const value = writeMessage(service, format, message);
      const { partition, offset } = await sending.send({ key: send.key, value, headers: headersOf(message, contentType) }, send.signal);
      return { id: `${topic}/${partition}/${offset}`, messageId: message.id };
    },
    open(opening) {
      checkOpen(declared, opening);
      return read(opening);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  const holding = (partition: number, offset: bigint) => [...readers].map((reader) => reader.holding(partition, offset)).find((held) => held !== undefined);
  keepInside(queue, { settings, load, prepare, holding });
  return queue;
}
