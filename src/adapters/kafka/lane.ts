/**
 * One producer and what it sends: a batch at a time, and what comes meanwhile makes up the next.
 *
 * So messages keep their order, and a batch that fails says what became of each of its messages: stored, refused, or unknown.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers";
import type { MessageToProduce, Producer } from "@platformatic/kafka";
import type { MillraceError } from "../../core/errors.ts";
import { type Outcome, outcomeOf, wasAnswered } from "./answers.ts";
import { closeClient, type KafkaPackage, openProducer } from "./client.ts";
import { backoffMs, faultOf, isUnknownTopic, toKafkaError, topicRefreshes, wasSent } from "./errors.ts";
import type { Settings } from "./options.ts";
import { batchBytes, type Outgoing, partitionOf, type Place, sizeOf } from "./outgoing.ts";

/** So often a broker may say that it cannot yet: one that has just come up, a partition whose leader is being elected. */
const maxFailures = 5;

/** A message, and who waits for it. A class, as what is made once a message and holds it (see `WayOut` of core/runner.ts). */
export class Waiting {
  readonly message: Outgoing;
  readonly resolve: (place: Place) => void;
  readonly reject: (reason: unknown) => void;
  /** Where it is sent to, once that is chosen. */
  partition = 0;
  /** Nobody waits for it any more. */
  gone = false;

  constructor(message: Outgoing, resolve: (place: Place) => void, reject: (reason: unknown) => void) {
    this.message = message;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** Opens nothing yet: the first message does. */
export class Lane {
  private readonly settings: Settings;
  private readonly load: () => Promise<KafkaPackage>;
  private readonly what: string;
  private readonly queue: Waiting[] = [];
  private batch: readonly Waiting[] = [];
  private working: Promise<void> | undefined;
  private kafka: KafkaPackage | undefined;
  private producer: Producer | undefined;
  private turn = 0;
  /** Of the topic; 0 until the broker has said it. */
  partitions = 0;
  private readonly stop = new AbortController();

  constructor(settings: Settings, load: () => Promise<KafkaPackage>) {
    this.settings = settings;
    this.load = load;
    this.what = `sending to ${settings.topic}`;
  }

  /** Messages that wait or are on their way. */
  get size(): number {
    return this.queue.length + this.batch.length;
  }

  push(waiting: Waiting): void {
    this.queue.push(waiting);
    this.working ??= this.work();
  }

  /** Whoever waits gets the reason. */
  async close(reason: MillraceError): Promise<void> {
    this.stop.abort(reason);
    for (const { reject } of [...this.batch, ...this.queue]) reject(reason);
    const last = this.producer;
    this.producer = undefined;
    if (last !== undefined) await closeClient(last, this.settings.clock);
    await this.working;
  }

  private async work(): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => void setImmediate(resolve)); // who hears of one message sends the next: they go together
      if (this.queue.length === 0) break;
      const batch = (this.batch = this.take());
      try {
        const client = await this.ready();
        this.turn += 1; // those without a key share a partition, so that a batch is one; the next takes another
        for (const waiting of batch) waiting.partition = partitionOf(this.kafka, waiting.message.key, this.turn, this.partitions);
        await this.dispatch(client, batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      this.batch = [];
    }
    this.working = undefined;
  }

  /** The next batch: as many as there are and as it holds. */
  private take(): readonly Waiting[] {
    let [count, bytes] = [0, 0];
    for (const { message } of this.queue) {
      bytes += sizeOf(message);
      if (count > 0 && bytes > batchBytes) break;
      count += 1;
    }
    return this.queue.splice(0, count).filter(({ gone }) => !gone);
  }

  /** A producer that has its id, once the number of partitions is known. Nothing has been sent when it fails. */
  private async ready(): Promise<Producer> {
    const { topic, clock, redact } = this.settings;
    this.kafka ??= await this.load();
    for (let failures = 0; ; failures += 1) {
      this.stop.signal.throwIfAborted();
      const client = (this.producer ??= openProducer(this.kafka, this.settings));
      try {
        const metadata = await client.metadata({ topics: [topic] });
        if (client.producerId === undefined) await client.initIdempotentProducer({});
        this.partitions = metadata.topics.get(topic)?.partitionsCount ?? 1;
        return client;
      } catch (error) {
        await this.discard(client);
        const fault = faultOf(error, failures + 1);
        // an answer of the broker's that will be another soon; to one that is out of reach the caller may come back
        const passes = fault.code === "unavailable" && (isUnknownTopic(error) || wasAnswered(error)) && failures < maxFailures;
        if (!passes) throw toKafkaError(this.what, error, redact, fault);
        await clock.sleep(backoffMs(failures) / 5, this.stop.signal);
      }
    }
  }

  /** A client that failed is made anew, not mended: its numbers of messages may be out of step with the broker's. */
  private async discard(client: Producer): Promise<void> {
    if (this.producer === client) this.producer = undefined;
    await closeClient(client, this.settings.clock);
  }

  private async dispatch(client: Producer, batch: readonly Waiting[], failures = 0): Promise<void> {
    if (batch.length === 0) return;
    const { topic } = this.settings;
    let next: Map<number, bigint>;
    let failed: Outcome | undefined;
    try {
      const { offsets = [] } = await client.send({ messages: batch.map((waiting) => toRecord(topic, waiting)) });
      next = new Map(offsets.map(({ partition, offset }) => [partition, offset]));
    } catch (error) {
      failed = outcomeOf(error);
      next = new Map(failed.stored);
    }
    const left: Waiting[] = [];
    for (const waiting of batch) {
      const { partition } = waiting;
      const offset = next.get(partition);
      if (offset === undefined) left.push(waiting);
      else {
        waiting.resolve({ partition, offset });
        next.set(partition, offset + 1n);
      }
    }
    if (failed === undefined && left.length === 0) return;
    await this.discard(client);
    const refused = failed?.refused ?? new Map<number, unknown>();
    for (const { partition, reject } of left) if (!refused.has(partition)) reject(this.unanswered(failed?.unsure.get(partition) ?? failed?.unanswered));
    await this.again(left.filter(({ partition, gone }) => refused.has(partition) && !gone), refused, failures);
  }

  /** What was certainly not stored is sent once more, where that may help: by a new client, which looks anew where the leaders are. */
  private async again(left: readonly Waiting[], refused: ReadonlyMap<number, unknown>, failures: number): Promise<void> {
    const [late, large]: [Waiting[], Waiting[]] = [[], []];
    const tooLarge = left.filter(({ partition }) => faultOf(refused.get(partition)).code === "too_large");
    for (const waiting of left) {
      const error = refused.get(waiting.partition);
      const fault = faultOf(error, failures); // a broker may not know yet of a topic that was just made
      if (fault.code === "too_large" && tooLarge.length > 1) large.push(waiting);
      else if (fault.code === "unavailable" && failures < maxFailures) late.push(waiting);
      else waiting.reject(toKafkaError(this.what, error, this.settings.redact, fault));
    }
    // together they are too much for this topic: each by itself may not be
    for (const waiting of large) await this.dispatch(await this.ready(), [waiting]);
    if (late.length === 0) return;
    await this.settings.clock.sleep(backoffMs(failures) / 5, this.stop.signal); // no leader yet, or another one
    await this.dispatch(await this.ready(), late, failures + 1);
  }

  /** Of a message that may be stored, if it was sent at all. */
  private unanswered(error: unknown): MillraceError {
    const { redact } = this.settings;
    const fault = faultOf(error, topicRefreshes);
    const unknown = (fault.code === "unavailable" || fault.code === "timeout" || fault.code === "bad_response") && wasSent(error);
    return toKafkaError(unknown ? `${this.what}: it is not known whether it was stored` : this.what, error, redact, unknown ? { code: "interrupted" } : fault);
  }
}

function toRecord(topic: string, { message: { key, value, headers }, partition }: Waiting): MessageToProduce<Buffer, Buffer, Buffer, Buffer> {
  const record = { topic, partition, value: Buffer.from(value.buffer, value.byteOffset, value.byteLength), headers };
  return key === undefined ? record : { ...record, key: Buffer.from(key) };
}
