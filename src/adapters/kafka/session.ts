/**
 * One membership in the consumer group, from joining to its end: which partitions are ours, and what is in flight of them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Consumer } from "@platformatic/kafka";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { closeClient, type KafkaPackage, openFetcher, openMember } from "./client.ts";
import { Commits, lostError } from "./commits.ts";
import { backoffMs, faultOf, toKafkaError } from "./errors.ts";
import { Fetching } from "./fetching.ts";
import { watchGrowth } from "./growth.ts";
import { service, type Settings } from "./options.ts";
import { Partition } from "./partition.ts";
import { stablePlaces } from "./places.ts";

/** ListOffsets: the first message there is, and the end of the log. */
const earliest = -2n;
const latest = -1n;

/** What a session tells, and is told. */
export interface SessionHost {
  /** Of the topic, by the session before. */
  readonly topicId: string | undefined;
  /** Nothing more is handed out. */
  draining(): boolean;
  found(topicId: string): void;
  /** Messages have come, or something else that whoever waits may wait for. */
  changed(): void;
  gap(reason: string, count?: number): void;
  /** A broker did not answer; all have answered since. */
  away(): void;
  back(): void;
}

/** A membership. */
export class Session {
  readonly partitions: Map<number, Partition> = new Map();
  readonly commits: Commits;
  /** It commits for the group: by itself, or in transactions of a producer. */
  readonly member: Consumer;
  private readonly kafka: KafkaPackage;
  private readonly settings: Settings;
  private readonly host: SessionHost;
  private readonly fetcher: Consumer;
  private readonly fetching: Fetching;
  private readonly stop = new AbortController();
  private readonly ended = Promise.withResolvers<never>();
  private cancelWatch: () => void = () => {};
  private readonly cancelGrowth: () => void;
  /** Partitions by which this member has divided the group; undefined when another has. */
  private dividedBy: number | undefined;
  private joining = false;
  private wakeDrain: () => void = () => {};
  private topicId: string | undefined;
  /** The topic is another than the group has read: its places are not of this one. */
  private isAnew = false;
  private begun: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor(kafka: KafkaPackage, settings: Settings, host: SessionHost) {
    this.kafka = kafka;
    this.settings = settings;
    this.host = host;
    this.member = openMember(kafka, settings, () => this.beforeJoin());
    this.fetcher = openFetcher(kafka, settings);
    const changed = (): void => {
      this.wakeDrain();
      host.changed();
    };
    this.commits = new Commits(settings, (offsets) => this.member.commit({ offsets }), changed, this.stop.signal);
    const { partitions } = this;
    const target = { partitions, arrived: host.changed, gone: this.gone, away: host.away, back: host.back, fail: this.end };
    this.fetching = new Fetching(this.fetcher, settings, target, this.stop.signal);
    this.ended.promise.catch(() => {}); // who runs it hears of it
    this.member.on("consumer:group:join", ({ isLeader }) => {
      this.dividedBy = isLeader === true ? this.member.currentMetadata?.topics.get(settings.topic)?.partitionsCount : undefined;
      this.divided();
    });
    this.member.on("consumer:heartbeat:end", () => this.watch(settings.sessionMs));
    this.member.on("error", () => void this.join()); // joining anew failed
    this.cancelGrowth = watchGrowth({
      clock: settings.clock,
      divided: () => this.dividedBy,
      // of the member's client: that is what it divides by
      count: async () => (await this.member.metadata({ topics: [settings.topic], forceUpdate: true })).topics.get(settings.topic)?.partitionsCount ?? 0,
      grown: () => void this.join(),
    });
  }

  /** Joins, and stays until the session has ended. Rejects with the reason. */
  async run(): Promise<never> {
    void this.join();
    return this.ended.promise;
  }

  /** Fetches what is wanted. */
  pump(): void {
    this.fetching.pump();
    this.wakeDrain();
  }

  /** Where the group goes on in these partitions, where it has begun them; no pending transaction will change it. */
  places(indexes: readonly number[]): Promise<ReadonlyMap<number, bigint>> {
    return stablePlaces(this.kafka, this.member, this.settings.topic, indexes);
  }

  /** Leaves the group. What is out is lost. Twice is once. */
  close(why: unknown): Promise<void> {
    this.closing ??= this.leave(why);
    return this.closing;
  }

  private async leave(why: unknown): Promise<void> {
    this.stop.abort(why);
    this.ended.reject(why);
    this.cancelWatch();
    this.cancelGrowth();
    this.lose([...this.partitions.values()], why);
    const { clock } = this.settings;
    await Promise.all([closeClient(this.member, clock), closeClient(this.fetcher, clock)]);
  }

  private readonly end = (error: MillraceError): void => this.ended.reject(error);

  /** Asks to be let in, until it is: the group may be in the middle of being divided, the broker may be coming up. */
  private async join(): Promise<void> {
    if (this.joining) return;
    this.joining = true;
    const { topic, clock, redact } = this.settings;
    for (let failures = 0; !this.stop.signal.aborted; ) {
      try {
        await this.member.joinGroup({});
        break;
      } catch (error) {
        failures += 1;
        const fault = faultOf(error, failures);
        const passes = fault.leaseLost === true || (["unavailable", "timeout", "bad_response"].includes(fault.code) && fault.retryable !== false);
        if (!passes) this.end(toKafkaError(`joining the group for ${topic}`, error, redact, fault));
        if (!passes) break;
        await clock.sleep(backoffMs(failures - 1) / (fault.leaseLost === true ? 5 : 1), this.stop.signal).catch(() => {});
      }
    }
    this.joining = false;
  }

  /** The session is over when no sign of life was answered for so long. */
  private watch(ms: number): void {
    this.cancelWatch();
    if (this.stop.signal.aborted) return;
    const { topic, clock } = this.settings;
    this.cancelWatch = clock.timeout(ms, () => {
      this.end(new MillraceError("timeout", `${service}: the group for ${topic} has not answered for ${ms} ms`, { service, phase: "idle" }));
    });
  }

  /**
   * The group is being divided anew. What it wants back is drained for half the time in which we may be silent; the rest is lost.
   * Nothing else is touched: it goes on meanwhile.
   */
  private async beforeJoin(): Promise<Buffer> {
    const { sessionMs, topic } = this.settings;
    if (this.partitions.size > 0 || this.member.memberId !== null) this.watch(2 * sessionMs); // others may take their time
    const kept = this.assigned();
    const leaving = [...this.partitions.values()].filter(({ index }) => !kept.has(index));
    for (const partition of leaving) partition.leaving = partition.revoked = true;
    if (this.member.memberId !== null) await this.drained(leaving, sessionMs / 2); // else we were put out: nothing can be committed
    this.lose(leaving, lostError(topic));
    return Buffer.alloc(0);
  }

  private async drained(leaving: readonly Partition[], ms: number): Promise<void> {
    let late = false;
    const cancel = this.settings.clock.timeout(ms, () => {
      late = true;
      this.wakeDrain();
    });
    const busy = (): boolean => leaving.some((partition) => !partition.lost && (partition.out.size > 0 || this.commits.pending(partition)));
    while (!late && !this.stop.signal.aborted && busy()) {
      await new Promise<void>((resolve) => {
        this.wakeDrain = resolve;
      });
    }
    cancel();
  }

  /** The group is divided: what is new is begun, once nothing else is being begun. */
  private divided(): void {
    this.watch(this.settings.sessionMs);
    const assigned = this.assigned();
    this.lose([...this.partitions.values()].filter(({ index }) => !assigned.has(index)), lostError(this.settings.topic));
    this.begun = this.begun.then(() => this.beginFresh());
  }

  /** What is new is begun where it was left. */
  private async beginFresh(): Promise<void> {
    for (let failures = 0; !this.stop.signal.aborted; failures += 1) {
      const fresh = [...this.assigned()].filter((index) => !this.partitions.has(index));
      try {
        await this.check();
        if (fresh.length > 0) await this.begin(fresh);
        this.isAnew = false; // places are of this topic from now on: whoever hands over a partition has begun it
        return this.host.changed();
      } catch (error) {
        if (isMillraceError(error)) return this.end(error);
        const fault = faultOf(error, failures);
        const passes = fault.leaseLost === true || ["unavailable", "timeout", "bad_response"].includes(fault.code);
        if (!passes) return this.end(toKafkaError(`reading the places of ${this.settings.topic}`, error, this.settings.redact, fault));
        await this.settings.clock.sleep(backoffMs(failures), this.stop.signal).catch(() => {});
      }
    }
  }

  /** Is it still the topic that the session before has read? */
  private async check(): Promise<void> {
    if (this.topicId !== undefined) return;
    this.topicId = await this.fetching.topicId();
    const { topicId } = this.host;
    this.isAnew = topicId !== undefined && topicId !== this.topicId;
    if (this.isAnew) this.missed("the topic was deleted and made again");
    this.host.found(this.topicId);
  }

  private async begin(indexes: readonly number[]): Promise<void> {
    const { topic, startAt } = this.settings;
    const from = this.isAnew || startAt === "earliest" ? earliest : latest;
    const places = new Map(this.isAnew ? [] : await this.places(indexes));
    const missing = indexes.filter((index) => !places.has(index));
    const bounds = missing.length === 0 ? [] : await this.bounds(from);
    for (const index of missing) places.set(index, bounds[index] ?? 0n);
    // kept before anything is read, else the next reader would begin at a later end, or where the topic before was left
    const kept = this.isAnew || from === latest ? missing.filter((index) => this.assigned().has(index)) : [];
    if (kept.length > 0) await this.member.commit({ offsets: kept.map((partition) => ({ topic, partition, offset: places.get(partition) ?? 0n, leaderEpoch: -1 })) });
    const assigned = this.assigned();
    for (const index of indexes) {
      if (!assigned.has(index) || this.partitions.has(index) || this.stop.signal.aborted) continue; // divided anew meanwhile
      this.partitions.set(index, this.partitionAt(index, places.get(index) ?? 0n, this.host.draining()));
    }
    this.fetching.pump();
  }

  /** The log does not hold the wanted offset: it was cleared away before, or the log is shorter than it was. */
  private readonly gone = async (partition: Partition, logStart: bigint): Promise<void> => {
    const { index, next: wanted, leaving } = partition;
    const start = logStart >= 0n ? logStart : ((await this.bounds(earliest))[index] ?? 0n);
    if (partition.lost || partition.revoked) return; // another's to tell of
    this.missed(`partition ${index} has no offset ${wanted} any more, and begins at ${start}`, start > wanted ? Number(start - wanted) : undefined);
    if (start >= wanted) {
      partition.next = start;
      return;
    }
    // other messages are at its offsets now: what is out of it cannot be settled, and the group's place is beyond what is there
    this.lose([partition], lostError(this.settings.topic));
    const fresh = this.partitionAt(index, start, leaving);
    fresh.committed = -1n;
    this.partitions.set(index, fresh);
    await this.commits.confirm(fresh).catch(() => {}); // it is lost meanwhile, or the next commit says the same of it
  };

  private partitionAt(index: number, place: bigint, leaving: boolean): Partition {
    const { clock, fetchBytes } = this.settings;
    return new Partition(index, place, leaving, clock, fetchBytes);
  }

  /** One end of the log of each partition. */
  private async bounds(timestamp: bigint): Promise<readonly bigint[]> {
    const { topic } = this.settings;
    return (await this.fetcher.listOffsets({ topics: [topic], timestamp })).get(topic) ?? [];
  }

  private missed(reason: string, count?: number): void {
    const { whenGone, topic } = this.settings;
    if (whenGone === "fail") throw new MillraceError("not_found", `${service}: messages of ${topic} are gone: ${reason}`, { service });
    this.host.gap(reason, count);
  }

  private lose(partitions: readonly Partition[], why: unknown): void {
    for (const partition of partitions) {
      if (this.partitions.get(partition.index) === partition) this.partitions.delete(partition.index);
      partition.lose(why);
    }
    this.commits.drop();
    this.wakeDrain();
  }

  /** Partitions that the group has given us. */
  private assigned(): ReadonlySet<number> {
    return new Set(this.member.assignments?.find(({ topic }) => topic === this.settings.topic)?.partitions);
  }
}
