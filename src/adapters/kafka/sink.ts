/**
 * A sink whose effects are messages in a topic of Kafka, and happen once: with the place of what they come from in one transaction.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { type MessageFormat, messageOf, writeMessage } from "../../kinds/envelope.ts";
import { checkSend, type Queue } from "../../kinds/queue.ts";
import type { Sink, SinkContext } from "../../kinds/sink.ts";
import { areSettled, insideOf, placesBehind, type Shares, sharesOf } from "./held.ts";
import { isName, service } from "./options.ts";
import { headersOf } from "./records.ts";
import { batchBytes, type Outgoing, sizeOf } from "./outgoing.ts";
import { type Transaction, transactions } from "./transactions.ts";

const who = "kafkaSink";

/** Of a sink in a topic. */
export interface KafkaSinkOptions {
  /** Where outputs go, at the brokers of the queue. It must be there. */
  readonly topic: string;
  /**
   * The ordering key of an output. @default that of the delivery; none of a batch of several, where nobody knows which of them an
   * output comes from
   */
  readonly key?: (part: Part, at: SinkContext) => string | undefined;
  /**
   * A name that this worker has after a restart too, and no other: then a transaction that it left open is ended when it reads the queue
   * again, and not only after `transactionMs`. Of two that have it at once the older one fails with `closed`. @default a new one
   */
  readonly transactionalId?: string;
  /** Milliseconds after which the broker aborts a transaction that is not ended. @default 10_000 */
  readonly transactionMs?: number;
  /** What bodies look like. @default that of the queue */
  readonly format?: MessageFormat;
}

/** A sink in a topic, for deliveries of one queue. */
export interface KafkaSink extends Sink, AsyncDisposable {
  readonly atomic: NonNullable<Sink["atomic"]>;
  readonly settles: Pick<Queue, "service" | "name">;
  close(): Promise<void>;
}

/**
 * Sends the outputs of a run as messages to a topic, and commits the place of its deliveries in the same transaction: who reads with
 * `read_committed`, as `kafka()` does, sees all outputs of a delivery or none, and once.
 *
 * A log is committed up to a place, so `consume` has to be told `ordering: "strict"`; what is worked on at once is a batch, by
 * `batch` and the `concurrency` of stages. A transaction takes as long as it takes to send; outputs wait for it in memory, a megabyte
 * at most, then it begins. A partition that is lost meanwhile aborts it, and the broker takes nothing from who is no member any more.
 * Where the connection is lost in the commit the next attempt finds out what became of it. A worker that dies leaves a transaction
 * open for `transactionMs`, and for up to ten seconds more until the broker looks for such; so long its partitions stand still.
 *
 * Throws: `invalid_input` for bad options and for what is no queue of `kafka()`; in a worker, as `send` of the queue; `closed` when another
 *         took its `transactionalId`; `timeout` for a transaction that took too long.
 * Closes: its connections; the queue belongs to the caller.
 *
 * @example
 * await using jobs = kafka({ brokers: "127.0.0.1:9092", topic: "jobs", group: "workers" });
 * await using results = kafkaSink(jobs, { topic: "results", key: (part) => String(part.metadata.customer) });
 * await using worker = consume(jobs, each((part) => part), results, { ordering: "strict", batch: { count: 750 } });
 * await worker.finished;
 */
export function kafkaSink(queue: Queue, options: KafkaSinkOptions): KafkaSink {
  const inside = insideOf(queue);
  if (inside === undefined) throw invalidOption(who, "queue", "a queue of kafka()", queue);
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { settings, load } = inside;
  const { topic, key, transactionalId, format = settings.format } = options;
  if (settings.group === undefined) throw new MillraceError("missing_config", `${who}: the queue for ${settings.topic} was built without a group, and is not read`, { service });
  if (!isName(topic, 249)) throw invalidOption(who, "topic", "1 to 249 letters, digits, '.', '_' and '-'", topic);
  if (topic === settings.topic) throw new MillraceError("missing_config", `${who}: outputs in ${topic} would be worked on again, for ever`, { service });
  if (key !== undefined && typeof key !== "function") throw invalidOption(who, "key", "a function", key);
  if (transactionalId !== undefined && !isName(transactionalId, 249)) throw invalidOption(who, "transactionalId", "1 to 249 letters, digits, '.', '_' and '-'", transactionalId);
  const transactionMs = wholeNumber(who, "transactionMs", options.transactionMs ?? 10_000, 1_000);
  const all = transactions(settings, load, {
    topic,
    transactionalId: transactionalId ?? `${settings.group}-${randomUUID()}`,
    unique: transactionalId === undefined,
    transactionMs,
  });

  const contentType = Buffer.from(format.mimeType);
  const toMessage = (part: Part, at: SinkContext): Outgoing => {
    const { delivery: { key: itsKey, correlationId, traceparent }, deliveries } = at;
    const told = { ...(correlationId === undefined ? {} : { correlationId }), ...(traceparent === undefined ? {} : { traceparent }) };
    const outKey = key === undefined ? (deliveries.length === 1 ? itsKey : undefined) : key(part, at);
    checkSend({ service: who, lacks: {} }, outKey === undefined ? {} : { key: outKey });
    const message = messageOf([part], { id: at.key, ...told });
    return { key: outKey, value: writeMessage(who, format, message), headers: headersOf(message, contentType) };
  };
  /** Of commits that nobody has heard of. */
  const unheard = new Set<Shares>();
  /** After such a commit: a transaction of the same name has begun since, so it is decided, and the group's places tell. */
  const findOut = async (held: Shares): Promise<void> => {
    const partitions = [held, ...unheard].flatMap(({ shares }) => shares.map(({ partition }) => partition));
    try {
      const places = await all.patiently(() => held.session.places([...new Set(partitions.map(({ index }) => index))]));
      for (const partition of partitions) {
        const place = places.get(partition.index) ?? 0n;
        if (place > partition.committed) partition.committed = place;
      }
    } catch (error) {
      throw all.toError(error);
    }
    unheard.clear();
    all.sure();
  };
  const decide = async (held: Shares): Promise<void> => {
    const transaction = await all.begin();
    try {
      if (all.unsure) await findOut(held);
    } finally {
      await transaction.abort();
    }
  };

  // what the one before of this name left open is ended: until then its places cannot be read
  const begin = async (): Promise<void> => (await all.begin()).abort();
  if (transactionalId !== undefined) inside.prepare.add(begin);
  const close = (): Promise<void> => {
    inside.prepare.delete(begin);
    return all.close();
  };

  return {
    guarantee: "confirmed",
    settles: { service: queue.service, name: queue.name },
    write: () => Promise.reject(new MillraceError("invalid_input", `${who}: writes inside of a transaction alone`)),
    async atomic(delivery, writes, deliveries = [delivery]) {
      const held = sharesOf(inside, who, deliveries);
      if (all.unsure) await decide(held);
      if (areSettled(held)) return "already-applied";
      let transaction: Transaction | undefined;
      let waiting: Outgoing[] = [];
      let bytes = 0;
      let signal: AbortSignal | undefined;
      const begun = async (): Promise<Transaction> => (transaction ??= await all.begin());
      const send = async (): Promise<void> => {
        const messages = waiting;
        [waiting, bytes] = [[], 0];
        if (messages.length > 0) await (await begun()).send(messages);
      };
      const check = (): void => {
        for (const each of deliveries) each.signal.throwIfAborted(); // somebody else's now
        signal?.throwIfAborted(); // given up, and tried again or set aside
      };
      try {
        await writes({
          guarantee: "confirmed",
          async write(part, at) {
            ({ signal } = at);
            const message = toMessage(part, at);
            const size = sizeOf(message);
            if (waiting.length > 0 && bytes + size > batchBytes) await send();
            waiting.push(message);
            bytes += size;
          },
        });
        const last = await begun();
        check();
        if (all.unsure) await findOut(held); // the commit of an attempt that was not over when this one began
        if (areSettled(held)) return "already-applied"; // by an attempt that was given up too late
        await send();
        const places = placesBehind(who, held);
        unheard.add(held);
        try {
          await last.commit(held.session.member, places.map(({ partition, place }) => ({ partition: partition.index, place })), check);
        } finally {
          if (!all.unsure) unheard.delete(held);
        }
        for (const { partition, place } of places) if (place > partition.committed) partition.committed = place;
        return "applied";
      } finally {
        await transaction?.abort(); // unless it has ended; as long as it has not, no other begins
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
