/**
 * Fetches the partitions that have room, one request at a time of each broker that leads some.
 *
 * @module
 */
import type { Consumer } from "@platformatic/kafka";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { backoffMs, faultOf, isUnknownTopic, toKafkaError } from "./errors.ts";
import { service, type Settings } from "./options.ts";
import type { Partition } from "./partition.ts";
import { type Fetched, recordsIn } from "./records.ts";

/** Milliseconds that a broker waits for a message when all partitions have been asked of. */
const idleWaitMs = 1_000;
/** The same while others are not asked of, since they have enough: they must not wait for this answer when they have no more. */
const busyWaitMs = 100;
/** Bytes of an answer at most, however many partitions are in it. */
const answerPartitions = 16;

/** Error codes of one partition in an answer: kafka.apache.org/protocol#protocol_error_codes */
const outOfRange = 1;
const forbidden = 29;
/** Of a whole answer: the broker has forgotten what we asked for last time. The client says all of it again, next time. */
const sessionErrors: ReadonlySet<unknown> = new Set([70, 71, 106]);

/** What of an answer is read, for each partition. */
interface Answer extends Fetched {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly logStartOffset: bigint;
}

/** Where the leaders are. */
interface Leaders {
  readonly topicId: string;
  readonly of: readonly (number | undefined)[];
}

/** What becomes of fetched messages. */
export interface FetchTarget {
  readonly partitions: ReadonlyMap<number, Partition>;
  /** Messages have come. */
  arrived(): void;
  /** The wanted offset is not there any more. Throws if that is the end. */
  gone(partition: Partition, earliest: bigint): Promise<void>;
  /** A broker did not answer. */
  away(): void;
  /** All brokers that were asked have answered since. */
  back(): void;
  /** Nothing can be fetched. */
  fail(error: MillraceError): void;
}

/** The fetching of one session. */
export class Fetching {
  private readonly client: Consumer;
  private readonly settings: Settings;
  private readonly target: FetchTarget;
  private readonly stop: AbortSignal;
  private readonly asked = new Set<number>();
  /** Partitions whose broker did not answer, and that have not been fetched since. */
  private readonly away = new Set<number>();
  private leaders: Leaders | undefined;
  private finding = false;
  private failures = 0;
  private unknown = 0;
  private resting = false;

  constructor(client: Consumer, settings: Settings, target: FetchTarget, stop: AbortSignal) {
    this.client = client;
    this.settings = settings;
    this.target = target;
    this.stop = stop;
  }

  /** The topic by its id: one that was deleted and made again has another. */
  async topicId(): Promise<string> {
    return (this.leaders ?? (await this.find(false))).topicId;
  }

  /** Asks for what is wanted and not being asked for. */
  pump(): void {
    if (this.stop.aborted || this.resting || this.finding) return;
    const { leaders } = this;
    const wanting = [...this.target.partitions.values()].filter(({ wants }) => wants);
    if (wanting.length === 0) return;
    if (leaders === undefined || wanting.some(({ index }) => leaders.of[index] === undefined)) return void this.refresh();
    for (const [node, partitions] of Map.groupBy(wanting, ({ index }) => leaders.of[index] ?? -1)) {
      if (!this.asked.has(node)) void this.fetch(node, partitions, leaders.topicId);
    }
  }

  private async fetch(node: number, partitions: readonly Partition[], topicId: string): Promise<void> {
    this.asked.add(node);
    const { fetchBytes } = this.settings;
    const all = partitions.length === this.target.partitions.size;
    try {
      const wanted = partitions.map(({ index, next }) => ({ partition: index, fetchOffset: next, partitionMaxBytes: fetchBytes, currentLeaderEpoch: -1, lastFetchedEpoch: -1 }));
      const limits = { minBytes: 1, maxBytes: fetchBytes * Math.min(answerPartitions, partitions.length), maxWaitTime: all ? idleWaitMs : busyWaitMs };
      const answer = await this.client.fetch({ node, ...limits, topics: [{ topicId, partitions: wanted }] });
      await this.take(answer, partitions);
      this.failures = 0;
      this.unknown = 0;
      this.answered(partitions);
    } catch (error) {
      if (this.stop.aborted) return;
      await this.failed(error, partitions);
    } finally {
      this.asked.delete(node);
    }
    this.pump();
  }

  /** Takes what came for partitions that are as they were when they were asked for. Gives those with an error. */
  private async take(answer: unknown, partitions: readonly Partition[]): Promise<number> {
    let errors = 0;
    let arrived = false;
    for (const each of answersIn(answer)) {
      const partition = partitions.find(({ index }) => index === each.partitionIndex);
      if (partition === undefined || partition.lost) continue;
      if (each.errorCode === 0) {
        const { records, next } = recordsIn(each, partition.next);
        partition.add(records, next);
        arrived ||= records.length > 0;
      } else if (each.errorCode === outOfRange) await this.target.gone(partition, each.logStartOffset);
      else if (each.errorCode === forbidden) throw new MillraceError("unauthorized", `${service}: may not read ${this.settings.topic}`, { service });
      else errors += 1;
    }
    if (arrived) this.target.arrived();
    return errors;
  }

  private async failed(error: unknown, partitions: readonly Partition[]): Promise<void> {
    if (isMillraceError(error)) return this.target.fail(error);
    try {
      // the answer may hold messages of some partitions beside the errors of others
      const answered = fieldOf(error, "response");
      if (answered === undefined) this.unanswered(partitions);
      const errors = answered === undefined ? 1 : await this.take(answered, partitions);
      const whole = fieldOf(answered, "errorCode");
      if (errors === 0 && (whole === 0 || sessionErrors.has(whole))) return;
    } catch (worse) {
      return this.target.fail(toKafkaError(`reading ${this.settings.topic}`, worse, this.settings.redact));
    }
    await this.rest(error);
    await this.refresh();
  }

  private unanswered(partitions: readonly Partition[]): void {
    for (const { index } of partitions) this.away.add(index);
    this.target.away();
  }

  private answered(partitions: readonly Partition[]): void {
    for (const { index } of partitions) this.away.delete(index);
    for (const index of this.away) if (!this.target.partitions.has(index)) this.away.delete(index); // another's now
    if (this.away.size === 0 && !this.stop.aborted) this.target.back();
  }

  /** Waits before the next attempt, or gives up. */
  private async rest(error: unknown): Promise<void> {
    const { topic, clock, redact } = this.settings;
    if (isUnknownTopic(error)) this.unknown += 1;
    const fault = faultOf(error, this.unknown);
    const passes = ["unavailable", "timeout", "bad_response"].includes(fault.code) && fault.retryable !== false;
    if (!passes) return this.target.fail(toKafkaError(`reading ${topic}`, error, redact, fault));
    this.resting = true;
    this.failures += 1;
    await clock.sleep(backoffMs(this.failures - 1), this.stop).catch(() => {});
    this.resting = false;
  }

  /** Looks where the leaders are now, until they are found. */
  private async refresh(): Promise<void> {
    if (this.finding) return;
    this.finding = true;
    for (let found = false; !found && !this.stop.aborted; ) {
      try {
        const before = this.leaders?.topicId;
        const { topicId } = await this.find(true);
        if (before !== undefined && before !== topicId) throw new MillraceError("unavailable", `${service}: ${this.settings.topic} was made again`, { service });
        found = true;
      } catch (error) {
        if (this.stop.aborted) break;
        if (isMillraceError(error)) {
          this.target.fail(error);
          break;
        }
        await this.rest(error);
      }
    }
    this.finding = false;
    this.pump();
  }

  private async find(forceUpdate: boolean): Promise<Leaders> {
    const { topic } = this.settings;
    const metadata = await this.client.metadata({ topics: [topic], forceUpdate });
    const found = metadata.topics.get(topic);
    if (found === undefined) throw new MillraceError("unavailable", `${service}: no broker tells of ${topic}`, { service });
    this.leaders = { topicId: found.id, of: found.partitions.map(({ leader }) => (leader < 0 ? undefined : leader)) };
    return this.leaders;
  }
}

function answersIn(answer: unknown): readonly Answer[] {
  const responses = fieldOf(answer, "responses");
  if (!Array.isArray(responses)) return [];
  return responses.flatMap((each: unknown): readonly Answer[] => {
    const partitions = fieldOf(each, "partitions");
    return Array.isArray(partitions) ? partitions : [];
  });
}
