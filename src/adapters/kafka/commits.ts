/**
 * Tells the broker how far each partition is done with: one request at a time, with all that has been settled meanwhile.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { MillraceError } from "../../core/errors.ts";
import { backoffMs, faultOf, toKafkaError } from "./errors.ts";
import { service, type Settings } from "./options.ts";
import type { Partition } from "./partition.ts";

/** A place of a partition, as the client takes it. */
interface CommitOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly leaderEpoch: number;
}

interface Waiting {
  readonly partition: Partition;
  readonly offset: bigint;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Unknown: none of the brokers needs it. */
const leaderEpoch = -1;

/** The commits of one member. */
export class Commits {
  private readonly settings: Settings;
  private readonly commit: (offsets: CommitOffset[]) => Promise<unknown>;
  private readonly changed: () => void;
  private readonly stop: AbortSignal;
  private waiting: Waiting[] = [];
  private busy = false;

  constructor(settings: Settings, commit: (offsets: CommitOffset[]) => Promise<unknown>, changed: () => void, stop: AbortSignal) {
    this.settings = settings;
    this.stop = stop;
    this.commit = commit;
    this.changed = changed;
  }

  /** Messages that are settled, and whose settling nobody has confirmed yet. */
  get size(): number {
    return this.waiting.length;
  }

  /** Is there something of this partition to be confirmed? */
  pending(partition: Partition): boolean {
    return this.waiting.some((each) => each.partition === partition);
  }

  /** Resolves when all before the partition's place is confirmed, `closed` when it is another's before. */
  confirm(partition: Partition): Promise<void> {
    const offset = partition.place;
    if (partition.committed >= offset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.waiting.push({ partition, offset, resolve, reject });
      if (!this.busy) void this.work();
    });
  }

  /** Those that wait for a partition that is lost hear of it. */
  drop(): void {
    let error: MillraceError | undefined;
    this.settle(({ partition }) => partition.lost, ({ reject }) => reject((error ??= lostError(this.settings.topic))));
  }

  private async work(): Promise<void> {
    this.busy = true;
    for (let failures = 0; this.waiting.length > 0; ) {
      await new Promise<void>((resolve) => void setImmediate(resolve)); // what is settled in the same turn of the loop goes along
      const places = new Map([...new Set(this.waiting.map(({ partition }) => partition))].map((partition) => [partition, partition.place]));
      try {
        await this.commit([...places].map(([{ index }, offset]) => ({ topic: this.settings.topic, partition: index, offset, leaderEpoch })));
        failures = 0;
        for (const [partition, offset] of places) if (offset > partition.committed) partition.committed = offset;
        this.settle(({ partition, offset }) => partition.committed >= offset, ({ resolve }) => resolve());
      } catch (error) {
        const fault = faultOf(error);
        // while the group is being divided anew the broker takes no commits; and an evicted member learns of its end by other ways
        const passes = fault.leaseLost === true || ["unavailable", "timeout", "bad_response"].includes(fault.code);
        if (!passes) this.settle(({ partition }) => places.has(partition), ({ reject }) => reject(toKafkaError(`committing ${this.settings.topic}`, error, this.settings.redact)));
        if (fault.leaseLost === true) for (const partition of places.keys()) if (partition.revoked) partition.lose(lostError(this.settings.topic));
        this.drop();
        if (this.waiting.length > 0) await this.settings.clock.sleep(backoffMs(failures) / (fault.leaseLost === true ? 8 : 1), this.stop).catch(() => {});
        failures += 1;
      }
    }
    this.busy = false;
  }

  private settle(which: (waiting: Waiting) => boolean, how: (waiting: Waiting) => void): void {
    const [those, rest]: [Waiting[], Waiting[]] = [[], []];
    for (const each of this.waiting) (which(each) ? those : rest).push(each);
    if (those.length === 0) return;
    this.waiting = rest;
    those.forEach(how);
    this.changed();
  }
}

/** Of a delivery whose partition was taken away. */
export function lostError(topic: string): MillraceError {
  return new MillraceError("closed", `${service}: the partition of ${topic} is this reader's no more`, { service });
}
