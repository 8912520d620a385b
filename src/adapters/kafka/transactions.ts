/**
 * Transactions of one producer: messages to a topic and places of a group, all or nothing.
 *
 * One at a time. A producer whose transaction failed is thrown away; the next one of the same name makes the broker decide what became
 * of it, and is told nothing before that is certain.
 *
 * Source: KIP-98, KIP-447; kafka.apache.org/protocol; `Transaction` of @platformatic/kafka 2.12.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Consumer, Producer } from "@platformatic/kafka";
import { MillraceError } from "../../core/errors.ts";
import { wasProduced } from "./answers.ts";
import { closeClient, type KafkaPackage, openTransactional } from "./client.ts";
import { answeredBy, faultOf, isUnknownTopic, toKafkaError, topicRefreshes } from "./errors.ts";
import { service, type Settings } from "./options.ts";
import { addPlaces, type Mark } from "./places.ts";
import { type Outgoing, partitionOf } from "./outgoing.ts";

/** Answers that are others soon: the end of the transaction before is still being written down, or of one that somebody left open. */
const passing: ReadonlySet<string> = new Set(["CONCURRENT_TRANSACTIONS", "UNSTABLE_OFFSET_COMMIT", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"]);
/** Of a producer whose place another of its name has taken; or whose transaction took too long, which is the same to the broker. */
const fenced: ReadonlySet<string> = new Set(["PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"]);
/** The group has put this member out, or is being divided anew: what it did since is of no effect. */
const putOut: ReadonlySet<string> = new Set(["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID", "FENCED_MEMBER_EPOCH", "STALE_MEMBER_EPOCH"]);
/** Waits between such answers, in milliseconds: together about five seconds. */
const waits: readonly number[] = [10, 20, 40, 80, 160, ...Array.from({ length: 20 }, () => 250)];
/** "I have no id yet": what the client says by itself would be another producer's, which brokers refuse for a name they know. */
const noId = { producerId: -1n, producerEpoch: -1 };

/** A transaction. It has to be ended: no other begins before. */
export interface Transaction {
  send(messages: readonly Outgoing[]): Promise<void>;
  /** Ends it with places of the member's group. `check` throws when it must not be, at the last moment. */
  commit(member: Consumer, marks: readonly Mark[], check: () => void): Promise<void>;
  /** Ends it: nobody who reads what is committed ever sees anything of it. Never rejects; twice is once. */
  abort(): Promise<void>;
}

/** What they are about. */
export interface TransactionOptions {
  /** Where messages go. */
  readonly topic: string;
  readonly transactionalId: string;
  /** The name was made up here: nobody else has it. */
  readonly unique: boolean;
  readonly transactionMs: number;
}

/** The transactions of one name. */
export interface Transactions {
  /** Waits for the one before. What became of all before is certain when it resolves. */
  begin(): Promise<Transaction>;
  /** Was there a commit of which nobody has heard? */
  readonly unsure: boolean;
  /** It is known now. */
  sure(): void;
  /** Asks again as long as the answer is one that passes soon. */
  patiently<T>(call: () => Promise<T>): Promise<T>;
  toError(error: unknown): unknown;
  close(): Promise<void>;
}

/** Opens nothing yet: the first transaction does. */
export function transactions(settings: Settings, load: () => Promise<KafkaPackage>, options: TransactionOptions): Transactions {
  const { topic, transactionalId, unique, transactionMs } = options;
  const { clock, redact } = settings;
  const what = `a transaction to ${topic}`;
  const stop = new AbortController();
  let producer: Producer | undefined;
  let last: Promise<void> = Promise.resolve();
  let unsure = false;
  let turn = 0;

  const patiently: Transactions["patiently"] = async (call) => {
    for (let failures = 0; ; failures += 1) {
      stop.signal.throwIfAborted();
      try {
        return await call();
      } catch (error) {
        const answers = answeredBy(error);
        // the client has counted a batch that a broker refused, and would number it anew
        const passes = !wasProduced(error) && ((answers.size > 0 && [...answers].every((answer) => passing.has(answer))) || (isUnknownTopic(error) && failures < topicRefreshes));
        const ms = waits[failures];
        if (!passes || ms === undefined) throw error;
        await clock.sleep(ms, stop.signal);
      }
    }
  };
  const toError: Transactions["toError"] = (error) => {
    if (stop.signal.aborted) return stop.signal.reason;
    const answers = answeredBy(error);
    const has = (names: ReadonlySet<string>): boolean => [...answers].some((answer) => names.has(answer));
    if (has(fenced) && unique) return toKafkaError(`${what}: it was aborted, since it took longer than ${transactionMs} ms`, error, redact, { code: "timeout" });
    if (has(fenced)) return toKafkaError(`${what}: another producer is named ${transactionalId}, or it took longer than ${transactionMs} ms`, error, redact, { code: "closed" });
    // nobody's fault: the partition goes to somebody else, or the next attempt is made as a member of the new generation
    if (has(putOut) || has(passing)) return toKafkaError(what, error, redact, { code: "unavailable" });
    if (answers.has("INVALID_TXN_STATE") || answers.has("INVALID_PRODUCER_ID_MAPPING")) return toKafkaError(what, error, redact, { code: "unavailable" });
    return toKafkaError(what, error, redact, faultOf(error, wasProduced(error) ? 0 : topicRefreshes)); // the topic was there a moment ago
  };
  const discard = async (client: Producer): Promise<void> => {
    if (producer === client) producer = undefined;
    await closeClient(client, clock);
  };

  const open = async (client: Producer, kafka: KafkaPackage, left: () => void): Promise<Transaction> => {
    const begun = await patiently(async () => {
      await client.transaction?.cancel(); // one that did not get so far
      return client.beginTransaction(noId);
    });
    const partitions = (await patiently(() => client.metadata({ topics: [topic] }))).topics.get(topic)?.partitionsCount ?? 1;
    turn += 1; // those without a key share a partition, and keep their order
    let told = false;
    let over = false;
    /** Whatever failed: without an answer, or with one that no further call mends. */
    const failed = async (error: unknown): Promise<never> => {
      await abort();
      throw toError(error);
    };
    const end = (): void => {
      over = true;
      left();
    };
    const abort = async (): Promise<void> => {
      if (over) return;
      over = true;
      try {
        // the broker knows nothing of one that has nothing in it
        if (told) await patiently(() => begun.abort());
        else await begun.cancel();
      } catch {
        await discard(client); // the next of its name aborts it, else the broker when its time is over
      } finally {
        left();
      }
    };
    return {
      abort,
      async send(messages) {
        if (over) throw new MillraceError("closed", `${service}: ${what}: is over`, { service });
        told = true;
        const placed = messages.map(({ key, value, headers }) => ({
          topic,
          partition: partitionOf(kafka, key, turn, partitions),
          ...(key === undefined ? {} : { key: Buffer.from(key) }),
          value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
          headers,
        }));
        try {
          await patiently(() => begun.send({ messages: placed }));
        } catch (error) {
          await abort();
          await discard(client); // it counts what was refused as sent, and the broker would miss it
          throw toError(error);
        }
      },
      async commit(member, marks, check) {
        told = true;
        try {
          await patiently(() => begun.addConsumer(member));
          await patiently(() => addPlaces(kafka, { id: transactionalId, producer: client }, member, settings.topic, marks));
        } catch (error) {
          await failed(error);
        }
        try {
          check();
        } catch (reason) {
          await abort();
          throw reason;
        }
        try {
          await patiently(() => begun.commit());
        } catch (error) {
          unsure = true;
          await discard(client);
          const failure = toError(error);
          end();
          throw failure;
        }
        end();
      },
    };
  };

  return {
    patiently,
    toError,
    get unsure() {
      return unsure;
    },
    sure() {
      unsure = false;
    },
    async begin() {
      const before = last;
      const mine = Promise.withResolvers<void>();
      last = mine.promise;
      await before;
      try {
        stop.signal.throwIfAborted();
        const kafka = await load();
        const client = (producer ??= openTransactional(kafka, settings, transactionalId, transactionMs));
        try {
          return await open(client, kafka, mine.resolve);
        } catch (error) {
          await discard(client);
          throw toError(error);
        }
      } catch (error) {
        mine.resolve();
        throw error;
      }
    },
    async close() {
      stop.abort(new MillraceError("closed", `${service}: was closed`, { service }));
      if (producer !== undefined) await discard(producer);
    },
  };
}
