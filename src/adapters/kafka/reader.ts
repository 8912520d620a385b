/**
 * One reading of the topic: deliveries from whatever partitions the group gives us, over as many sessions as it takes.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Hands } from "../../kinds/hand-out.ts";
import type { Delivery, QueueOpenOptions } from "../../kinds/queue.ts";
import type { KafkaPackage } from "./client.ts";
import { lostError } from "./commits.ts";
import { deliver } from "./delivery.ts";
import { backoffMs, toKafkaError } from "./errors.ts";
import { lacks, service, type Settings } from "./options.ts";
import type { Out, Partition } from "./partition.ts";
import { Session } from "./session.ts";

/** What its end is, when it is no failure. */
type End = { readonly error: unknown } | "drained";

/** A reading. It joins the group when it is made. */
export class Reader {
  private readonly settings: Settings;
  private readonly load: () => Promise<KafkaPackage>;
  private readonly options: QueueOpenOptions;
  private readonly stop = new AbortController();
  /** Resolves when it has left the group and closed all connections. */
  readonly over: Promise<void>;
  private session: Session | undefined;
  private topicId: string | undefined;
  private hasRead = false;
  /** When a broker did not answer that has not answered since. */
  private lostMs: number | undefined;
  private wake: () => void = () => {};
  private end: End | undefined;
  private turn = 0;

  constructor(settings: Settings, load: () => Promise<KafkaPackage>, options: QueueOpenOptions) {
    this.settings = settings;
    this.load = load;
    this.options = options;
    const { drain, signal } = options;
    if (drain?.aborted === true) this.end = "drained";
    drain?.addEventListener("abort", this.drained, { once: true });
    signal.addEventListener("abort", this.aborted, { once: true }); // also of a reader that nobody pulls any more
    this.over = this.end === undefined ? this.keep() : Promise.resolve();
    if (this.end !== undefined) void this.leave(lostError(settings.topic));
  }

  /** The next delivery; undefined when it has been drained. Rejects with the reason of an abort, and with what cannot be helped. */
  async next(): Promise<Delivery | undefined> {
    for (;;) {
      if (typeof this.end === "object") throw this.end.error;
      if (this.end === "drained") return undefined;
      const delivery = this.take();
      if (delivery !== undefined) return delivery;
      await this.changed();
    }
  }

  /** Partitions that are this reader's now. */
  get partitions(): Iterable<Partition> {
    return this.session?.partitions.values() ?? [];
  }

  /** The session and the partition that a message is out of. */
  holding(index: number, offset: bigint): { readonly session: Session; readonly partition: Partition } | undefined {
    const { session } = this;
    const partition = session?.partitions.get(index);
    return session !== undefined && partition?.holds(offset) === true ? { session, partition } : undefined;
  }

  /** Leaves the group; what is out is lost. Resolves when all connections are closed; twice is once. */
  async leave(why: unknown): Promise<void> {
    this.end ??= { error: why };
    this.stop.abort(why);
    this.options.signal.removeEventListener("abort", this.aborted);
    this.options.drain?.removeEventListener("abort", this.drained);
    this.wake();
    void this.session?.close(why);
    await this.over;
  }

  private readonly aborted = (): void => {
    this.end = { error: this.options.signal.reason };
    void this.leave(lostError(this.settings.topic));
  };

  private readonly drained = (): void => {
    this.end ??= "drained";
    for (const partition of this.session?.partitions.values() ?? []) partition.leaving = true;
    this.settled();
    this.wake();
  };

  /** After a drain, the last that is settled is the end: others get the partitions. */
  private settled(): void {
    if (this.end !== "drained") return;
    const { session } = this;
    const idle = session === undefined || [...session.partitions.values()].every((partition) => partition.out.size === 0 && !session.commits.pending(partition));
    if (idle) void this.leave(lostError(this.settings.topic));
  }

  private readonly hands: Hands<Out> = {
    service,
    lacks,
    ack: async (out) => {
      const { partition, record: { offset } } = out;
      const { session } = this;
      this.check(out);
      partition.settle(out);
      this.wake();
      // a message before it may be unsettled: then that one's commit is this one's too
      if (partition.place > offset) await session?.commits.confirm(partition);
      this.settled();
      session?.pump();
    },
    nack: (out, { delayMs, counted }) => {
      this.check(out);
      out.partition.giveBack(out, delayMs, counted);
      this.settled();
      this.session?.pump();
      this.wake();
    },
  };

  private check({ partition, record }: Out): void {
    if (!partition.lost) return;
    const { topic } = this.settings;
    throw new MillraceError("closed", `${service}: delivery ${topic}/${partition.index}/${record.offset} is this reader's no more`, { service });
  }

  /** Session after session, until it is left or something cannot be helped. */
  private async keep(): Promise<void> {
    const { clock, topic, redact } = this.settings;
    const { signal } = this.stop;
    for (let failures = 0; !signal.aborted; failures += 1) {
      let session: Session | undefined;
      try {
        const kafka = await this.load();
        if (signal.aborted) return;
        session = new Session(kafka, this.settings, {
          topicId: this.topicId,
          draining: () => this.end === "drained",
          found: (topicId) => {
            this.topicId = topicId;
            failures = 0;
          },
          changed: () => {
            this.settled();
            this.wake();
          },
          away: this.away,
          back: this.back,
          gap: (reason, count) => this.options.tell?.({ kind: "gap", queue: topic, reason, ...(count === undefined ? {} : { count }) }),
        });
        this.session = session;
        await session.run();
      } catch (error) {
        const failure = toKafkaError(`reading ${topic}`, error, redact);
        await session?.close(lostError(topic));
        this.session = undefined;
        if (signal.aborted) return;
        if (this.end === "drained") return void this.leave(failure);
        const passes = failure.retryable && (failure.code === "unavailable" || failure.code === "timeout");
        if (!passes) return void this.leave(failure);
        this.away();
        await clock.sleep(backoffMs(failures), signal).catch(() => {});
      }
    }
  }

  private readonly away = (): void => {
    if (this.hasRead) this.lostMs ??= this.settings.clock.now();
  };

  private readonly back = (): void => {
    this.hasRead = true;
    if (this.lostMs === undefined) return;
    const { topic, clock } = this.settings;
    if (this.end === undefined) this.options.tell?.({ kind: "reconnected", queue: topic, awayMs: clock.now() - this.lostMs });
    this.lostMs = undefined;
  };

  /** The next message of the partition whose turn it is, if one more may be out. */
  private take(): Delivery | undefined {
    const { session } = this;
    if (session === undefined) return undefined;
    const { maxInFlight } = this.options;
    const partitions = [...session.partitions.values()];
    const out = partitions.reduce((sum, partition) => sum + partition.out.size, 0);
    // as many as may be out may wait for their commit besides, so that there is work while the broker takes its time for it
    if (out >= maxInFlight || out + session.commits.size >= 2 * maxInFlight) return undefined;
    for (let n = 0; n < partitions.length; n += 1) {
      const partition = partitions[(this.turn + n) % partitions.length];
      const message = partition?.take();
      if (partition === undefined || message === undefined) continue;
      this.turn = (this.turn + n + 1) % partitions.length;
      if (partition.wants) session.pump();
      return deliver(this.settings, this.hands, message);
    }
    return undefined;
  }

  /** Waits until something may have changed: a message came, one is due, one was settled. */
  private changed(): Promise<void> {
    const { clock } = this.settings;
    const due = [...(this.session?.partitions.values() ?? [])].flatMap(({ dueMs }) => dueMs ?? []);
    return new Promise((resolve) => {
      const cancel = due.length === 0 ? undefined : clock.timeout(Math.min(...due) - clock.now(), () => this.wake());
      this.wake = () => {
        cancel?.();
        this.wake = () => {};
        resolve();
      };
    });
  }
}
