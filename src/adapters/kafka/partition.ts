/**
 * One partition while this reader has it: what was fetched, what is out, what comes again, and how far it may be committed.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import { Watermark } from "../../kinds/watermark.ts";
import type { LogRecord } from "./records.ts";

/** Messages beyond the committed place, at most: they all come again when the reader dies. */
const maxUnresolved = 1_000;
/** What is fetched anew when fewer messages are left; a request takes its time. */
const lowWater = 500;

/** A message that is out. */
export class Out {
  readonly record: LogRecord;
  readonly attempt: number;
  readonly partition: Partition;
  readonly lost: AbortController = new AbortController();
  node: ListNode<Out> | undefined = undefined;

  constructor(record: LogRecord, attempt: number, partition: Partition) {
    this.record = record;
    this.attempt = attempt;
    this.partition = partition;
  }
}

/** A message that was given back. */
interface Again {
  readonly record: LogRecord;
  readonly attempt: number;
  readonly dueMs: number;
}

/** A partition of ours. */
export class Partition {
  readonly index: number;
  /** Where the next fetch begins. */
  next: bigint;
  /** All before it is settled. */
  place: bigint;
  /** What the broker has confirmed of that. */
  committed: bigint;
  /** It is being taken away, or the reader drains: nothing more is handed out. */
  leaving: boolean;
  /** It is being taken away: what is not committed now is another's. */
  revoked = false;
  /** It is another's now. */
  lost = false;
  readonly out: LinkedList<Out> = new LinkedList();
  private readonly clock: Clock;
  private readonly lowBytes: number;
  /** Of the messages that are fetched and not handed out. */
  private bytes = 0;
  private readonly mark = new Watermark();
  private fetched: readonly LogRecord[] = [];
  private at = 0;
  private again: readonly Again[] = [];

  /** `lowBytes`: with as many in what is fetched and not handed out no more is fetched. */
  constructor(index: number, next: bigint, leaving: boolean, clock: Clock, lowBytes: number) {
    this.index = index;
    this.leaving = leaving;
    this.next = next;
    this.place = next;
    this.committed = next;
    this.clock = clock;
    this.lowBytes = lowBytes;
  }

  /** Is there room for what a fetch brings? */
  get wants(): boolean {
    return !this.leaving && !this.lost && this.fetched.length - this.at < lowWater && this.bytes < this.lowBytes;
  }

  /** Milliseconds of the clock at which what was given back comes again; until then the partition waits. */
  get dueMs(): number | undefined {
    return this.leaving ? undefined : this.again[0]?.dueMs;
  }

  /** The oldest message that is handed out and not settled: nothing behind it is committed. */
  get oldest(): bigint | undefined {
    return this.mark.oldest;
  }

  /** Is it handed out, and not settled? */
  holds(offset: bigint): boolean {
    return this.mark.has(offset);
  }

  add(records: readonly LogRecord[], next: bigint): void {
    this.next = next;
    if (records.length === 0) return;
    for (const { bytes } of records) this.bytes += bytes;
    this.fetched = this.at === this.fetched.length ? records : [...this.fetched.slice(this.at), ...records];
    this.at = 0;
  }

  /** The next message that may be handed out. */
  take(): Out | undefined {
    if (this.leaving || this.lost) return undefined;
    const [first, ...rest] = this.again;
    if (first !== undefined) {
      if (first.dueMs > this.clock.now()) return undefined;
      this.again = rest;
      return this.hand(first.record, first.attempt + 1);
    }
    const record = this.fetched[this.at];
    if (record === undefined || this.mark.size >= maxUnresolved) return undefined;
    this.at += 1;
    this.bytes -= record.bytes;
    this.mark.begin(record.offset);
    return this.hand(record, 1);
  }

  /** A message that is out is done with. */
  settle(out: Out): void {
    this.release(out);
    this.place = this.mark.settle(out.record.offset) ?? this.place;
  }

  /** The place behind these messages, were they settled; undefined where one before them is not, and is none of them. */
  placeBehind(offsets: ReadonlySet<bigint>): bigint | undefined {
    const last = [...offsets].reduce((a, b) => (a > b ? a : b));
    const open = [...Array.from(this.out, ({ record }) => record.offset), ...this.again.map(({ record }) => record.offset)];
    return open.some((offset) => offset < last && !offsets.has(offset)) ? undefined : last + 1n;
  }

  /** A message that is out comes again, before all that follow it. */
  giveBack(out: Out, delayMs: number, counted: boolean): void {
    this.release(out);
    const { record, attempt } = out;
    const again = { record, attempt: counted ? attempt : attempt - 1, dueMs: this.clock.now() + delayMs };
    this.again = [...this.again, again].sort((a, b) => Number(a.record.offset - b.record.offset));
  }

  /** It is this reader's no more; those that are out hear why. */
  lose(why: unknown): void {
    this.lost = true;
    this.fetched = [];
    this.again = [];
    const out = [...this.out];
    this.out.clear();
    for (const { lost } of out) lost.abort(why);
  }

  private hand(record: LogRecord, attempt: number): Out {
    const out = new Out(record, attempt, this);
    out.node = this.out.push(out);
    return out;
  }

  private release({ node }: Out): void {
    if (node !== undefined) this.out.delete(node);
  }
}
