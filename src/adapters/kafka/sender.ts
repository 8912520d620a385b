/**
 * Sends messages in batches, one on its way at a time: what is sent meanwhile makes up the next.
 *
 * So messages keep their order, and a batch that fails says what became of each of its messages: stored, refused, or unknown.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers";
import type { Producer } from "@platformatic/kafka";
import { MillraceError } from "../../core/errors.ts";
import { heard } from "../../wire/heard.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { refusedBy, storedBy, wasAnswered } from "./answers.ts";
import { closeClient, type KafkaPackage, openProducer } from "./client.ts";
import { backoffMs, faultOf, isUnknownTopic, toKafkaError, topicRefreshes, wasSent } from "./errors.ts";
import { service, type Settings } from "./options.ts";

/** Bytes of a batch: what brokers take of one partition unless they are told otherwise, less its head. A larger message goes alone. */
export const batchBytes = 1_000_000;
/** Bytes of a record beside key, value and headers, at most. */
const recordBytes = 64;
/** So often a broker may say that it cannot yet: one that has just come up, a partition whose leader is being elected. */
const maxFailures = 5;

/** A message to send. */
export interface Outgoing {
  readonly key: string | undefined;
  readonly value: Uint8Array;
  readonly headers: Map<Buffer, Buffer>;
}

/** Where a message was stored. */
export interface Place {
  readonly partition: number;
  readonly offset: bigint;
}

/** A class, as what is made once a message and holds it (see `WayOut` of core/runner.ts). */
class Waiting {
  readonly message: Outgoing;
  readonly bytes: number;
  readonly resolve: (place: Place) => void;
  readonly reject: (reason: unknown) => void;
  /** Nobody waits for it any more. */
  gone = false;

  constructor(message: Outgoing, resolve: (place: Place) => void, reject: (reason: unknown) => void) {
    this.message = message;
    this.bytes = sizeOf(message);
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** A message with the partition that was chosen for it. */
interface Placed {
  readonly waiting: Waiting;
  readonly partition: number;
}

/** Sends. */
export interface Sender {
  send(message: Outgoing, signal: AbortSignal | undefined): Promise<Place>;
  close(): Promise<void>;
}

/** Opens nothing yet: the first message does. */
export function sender(settings: Settings, load: () => Promise<KafkaPackage>): Sender {
  const { topic, clock, redact } = settings;
  const what = `sending to ${topic}`;
  const queue: Waiting[] = [];
  let working: Promise<void> | undefined;
  let kafka: KafkaPackage | undefined;
  let producer: Producer | undefined;
  let turn = 0;
  const stop = new AbortController();
  const life = lifetime(service, async () => {
    stop.abort(new MillraceError("closed", `${service}: was closed`, { service }));
    const last = producer;
    producer = undefined;
    if (last !== undefined) await closeClient(last, clock);
    await working;
  });

  /** A producer that has its id, and the number of partitions. Nothing has been sent when it fails. */
  const ready = async (): Promise<{ readonly client: Producer; readonly partitions: number }> => {
    kafka ??= await load();
    for (let failures = 0; ; failures += 1) {
      stop.signal.throwIfAborted();
      const client = (producer ??= openProducer(kafka, settings));
      try {
        const metadata = await client.metadata({ topics: [topic] });
        if (client.producerId === undefined) await client.initIdempotentProducer({});
        return { client, partitions: metadata.topics.get(topic)?.partitionsCount ?? 1 };
      } catch (error) {
        await discard(client);
        const fault = faultOf(error, failures + 1);
        // an answer of the broker's that will be another soon; to one that is out of reach the caller may come back
        const passes = fault.code === "unavailable" && (isUnknownTopic(error) || wasAnswered(error)) && failures < maxFailures;
        if (!passes) throw toKafkaError(what, error, redact, fault);
        await clock.sleep(backoffMs(failures) / 5, stop.signal);
      }
    }
  };
  /** A client that failed is made anew, not mended: its numbers of messages may be out of step with the broker's. */
  const discard = async (client: Producer): Promise<void> => {
    if (producer === client) producer = undefined;
    await closeClient(client, clock);
  };

  /** The next batch: as many as there are and as it holds. */
  const take = (): Waiting[] => {
    const batch: Waiting[] = [];
    let bytes = 0;
    while (queue.length > batch.length) {
      const next = queue[batch.length];
      if (next === undefined || (batch.length > 0 && bytes + next.bytes > batchBytes)) break;
      bytes += next.bytes;
      batch.push(next);
    }
    queue.splice(0, batch.length);
    return batch.filter(({ gone }) => !gone);
  };
  const work = async (): Promise<void> => {
    for (;;) {
      await new Promise<void>((resolve) => void setImmediate(resolve)); // who hears of one message sends the next: they go together
      if (queue.length === 0) break;
      const batch = take();
      try {
        const { client, partitions } = await ready();
        turn += 1; // those without a key share a partition, so that a batch is one; the next takes another
        await dispatch(client, batch.map((waiting) => ({ waiting, partition: partitionOf(kafka, waiting.message.key, turn, partitions) })));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    working = undefined;
  };
  const dispatch = async (client: Producer, batch: readonly Placed[], failures = 0): Promise<void> => {
    if (batch.length === 0) return;
    const messages = batch.map(({ waiting: { message: { key, value, headers } }, partition }) => ({
      topic,
      partition,
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
      value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      headers,
    }));
    let stored: ReadonlyMap<number, bigint>;
    let failed: { readonly error: unknown } | undefined;
    try {
      const { offsets = [] } = await client.send({ messages });
      stored = new Map(offsets.map(({ partition, offset }) => [partition, offset]));
    } catch (error) {
      failed = { error };
      stored = storedBy(error);
    }
    const left: Placed[] = [];
    const next = new Map(stored);
    for (const placed of batch) {
      const offset = next.get(placed.partition);
      if (offset === undefined) left.push(placed);
      else placed.waiting.resolve({ partition: placed.partition, offset });
      if (offset !== undefined) next.set(placed.partition, offset + 1n);
    }
    if (failed === undefined && left.length === 0) return;
    await discard(client);
    const certain = refusedBy(failed?.error);
    for (const { waiting, partition } of left) if (!certain.has(partition)) waiting.reject(unanswered(failed?.error));
    await again(left.filter(({ waiting, partition }) => certain.has(partition) && !waiting.gone), failed?.error, failures);
  };
  /** What was certainly not stored is sent once more, where that may help. */
  const again = async (refused: readonly Placed[], error: unknown, failures: number): Promise<void> => {
    const fault = faultOf(error, topicRefreshes);
    if (fault.code === "too_large" && refused.length > 1) {
      // together they are too much for this topic: each by itself may not be
      for (const placed of refused) await dispatch((await ready()).client, [placed]);
    } else if (fault.code === "unavailable" && refused.length > 0 && failures < maxFailures) {
      await clock.sleep(backoffMs(failures) / 5, stop.signal); // no leader yet, or another one
      await dispatch((await ready()).client, refused, failures + 1);
    } else for (const { waiting } of refused) waiting.reject(toKafkaError(what, error, redact, fault));
  };
  /** Of a message that no broker has answered for: it may be stored, if it was sent at all. */
  const unanswered = (error: unknown): MillraceError => {
    const fault = faultOf(error, topicRefreshes);
    const unknown = (fault.code === "unavailable" || fault.code === "timeout" || fault.code === "bad_response") && wasSent(error);
    return toKafkaError(unknown ? `${what}: it is not known whether it was stored` : what, error, redact, unknown ? { code: "interrupted" } : fault);
  };

  return {
    async send(message, signal) {
      let entry: Waiting | undefined;
      const { promise, resolve, reject } = Promise.withResolvers<Place>();
      const leave = life.enter(reject);
      try {
        entry = new Waiting(message, resolve, reject);
        queue.push(entry);
        working ??= work();
        return await heard(promise, signal);
      } finally {
        if (entry !== undefined) entry.gone = true;
        leave();
      }
    },
    close: life.close,
  };
}

/** Where a message goes: by its key, where Kafka's own client would put it; else to whose turn it is. */
export function partitionOf(kafka: KafkaPackage | undefined, key: string | undefined, turn: number, count: number): number {
  if (key === undefined || kafka === undefined) return turn % count;
  return (kafka.murmur2(Buffer.from(key)) & 0x7fff_ffff) % count;
}

/** Bytes of a message in a batch, at most. */
export function sizeOf({ key, value, headers }: Outgoing): number {
  let bytes = value.byteLength + recordBytes + 3 * (key?.length ?? 0);
  for (const [name, header] of headers) bytes += name.byteLength + header.byteLength + 4;
  return bytes;
}
