/**
 * How a reader of a stream comes by its messages: what is due, what it may have without knowing, and what is new.
 *
 * @module
 */
import { ignore } from "../../core/flow.ts";
import { Doubt } from "./doubt.ts";
import { isGroupGone, isPassing } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { Holdings } from "./holdings.ts";
import type { Line } from "./link.ts";
import { type ReaderOptions, tellGone } from "./reader-options.ts";
import type { Entry, Taken } from "./stream-group.ts";
import { consumerPrefix } from "./stream-scripts.ts";

/** Milliseconds a read waits at the server at most: how late the reader sees what others gave back. */
const maxBlockMs = 1_000;
/** Round trips in which a read arrives that was sent before the first of them. */
const maxWakes = 50;
/** Milliseconds before an answer is asked for again, the first time and at most; half of it at random. */
const baseRetryMs = 300;
const maxRetryMs = 2_000;

/** Whom messages are fetched for. */
export interface FetchTarget {
  readonly held: Holdings;
  readonly exchange: Exchange;
  /** They are the reader's now. */
  keep(entries: readonly Entry[]): void;
  /** With the group went all that it knew to be out: what is still in the stream comes again. */
  forgetAll(): void;
}

/** Fetches for one reader. */
export class StreamFetching {
  /** Unique: nobody else's entries are ever taken for its own. */
  readonly consumer: string = `${consumerPrefix}${crypto.randomUUID()}`;
  private readonly options: ReaderOptions;
  private readonly target: FetchTarget;
  private readonly doubt: Doubt;
  private readonly blockMs: number;
  private readonly stop = new AbortController();
  private fetching: Promise<void> = Promise.resolve();
  /** No more is wanted. */
  private drained = false;
  private line: Line | undefined;
  private lostMs = 0;
  private connectionId = "";
  private joined = false;
  /** When it is looked at what is due, and when at what others have held for too long; in the clock's milliseconds. */
  private takeMs = -Infinity;
  private othersMs = -Infinity;
  private tookLast = false;
  private blocked = false;
  private hasFetched = false;
  private cancelDue: () => void = ignore;

  constructor(options: ReaderOptions, target: FetchTarget) {
    this.options = options;
    this.target = target;
    this.blockMs = Math.min(maxBlockMs, Math.ceil(options.leaseMs / 4));
    this.doubt = new Doubt(options.clock, this.blockMs);
  }

  /** For messages: neither here nor on their way. */
  get room(): number {
    return this.target.held.room - this.target.exchange.coming;
  }

  /** May an acknowledgement bring new ones? What is due, or may have been lost on the way, goes before what is new. */
  get mayBring(): boolean {
    return this.options.clock.now() < this.takeMs && !this.doubt.isDue;
  }

  /** Resolves when nothing is being fetched any more, whatever came of it. */
  get over(): Promise<void> {
    return this.fetching.catch(ignore);
  }

  /** Fetches something, or finds nothing. */
  fetch(): Promise<void> {
    this.fetching = this.fetchAgain();
    return this.fetching;
  }

  /** An answer was lost: there may have been messages in it. */
  lost(): void {
    this.doubt.begin();
  }

  /** Something will be due in so many milliseconds: it need not wait longer. */
  expect(ms: number): void {
    const { clock } = this.options;
    const atMs = clock.now() + ms;
    if (atMs >= this.takeMs) return;
    this.takeMs = atMs;
    if (!this.blocked) return;
    this.cancelDue();
    this.cancelDue = clock.timeout(ms, () => void this.wake());
  }

  /** No more is wanted; what is being fetched comes. */
  drain(): void {
    this.drained = true;
    void this.wake();
  }

  /** As `drain`, and nothing is waited for. */
  leave(): void {
    this.stop.abort();
    void this.wake();
  }

  /** Gives back all that the reader has at the server; `handed`: which of it may have been worked on. */
  async close(handed: readonly string[]): Promise<void> {
    const { group, link } = this.options;
    if (this.joined) await group.leave(this.consumer, handed).then((gone) => tellGone(this.options, gone)).catch(ignore); // else the lease does it
    this.cancelDue();
    link.close();
  }

  /** Keeps those of new messages that are for now, and lets the others wait. */
  async keepNew(entries: readonly Entry[]): Promise<void> {
    const later = entries.filter(({ dueMs }) => dueMs !== undefined);
    this.target.keep(later.length === 0 ? entries : entries.filter(({ dueMs }) => dueMs === undefined));
    if (later.length === 0) return;
    tellGone(this.options, await this.options.group.postpone(this.consumer, later));
    this.takeMs = -Infinity; // one of them may be due
  }

  private get isOver(): boolean {
    return this.drained || this.stop.signal.aborted;
  }

  /** Lets the read that waits at the server end. It may not have arrived there yet, by its other connection: then once more. */
  private async wake(): Promise<void> {
    for (let tries = 0; this.blocked && tries < maxWakes; tries += 1) if (await this.options.group.unblock(this.connectionId)) return;
  }

  /** What passes is waited for, as long as the messages that are out are the reader's. */
  private async fetchAgain(): Promise<void> {
    const { clock, leaseMs } = this.options;
    const { signal } = this.stop;
    const askedMs = clock.now(); // not when it was last there: who is not asked for messages asks nobody
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        await this.fetchOnce();
        this.hasFetched = true;
        return;
      } catch (error) {
        this.doubt.begin();
        if (isGroupGone(error)) this.forgetAll();
        else if (!isPassing(error) || !this.hasFetched || clock.now() - askedMs > leaseMs) throw error;
        const ms = Math.min(maxRetryMs, baseRetryMs * 2 ** Math.min(failures, 8));
        if (this.joined || failures > 0) await clock.sleep(ms * (0.5 + Math.random() / 2), signal).catch(ignore);
        if (this.drained) return;
      }
    }
  }

  private async fetchOnce(): Promise<void> {
    const { clock, group, link, leaseMs } = this.options;
    if (!this.joined) await this.join();
    const line = await link.get(this.stop.signal);
    if (line !== this.line) await this.connected(line);
    if (this.doubt.isDue && (await this.keepOwn())) return;
    const { room } = this;
    if (room <= 0) return; // what a lost answer held has filled it; and to Redis a count of 0 is all there is
    if (clock.now() >= this.takeMs && !this.tookLast) {
      const others = clock.now() >= this.othersMs;
      this.takeMs = clock.now() + this.blockMs;
      if (others) this.othersMs = clock.now() + Math.min(leaseMs / 4, 5_000);
      const taken = await group.take(this.consumer, room, others);
      if (taken.nextMs !== undefined) this.takeMs = Math.min(this.takeMs, clock.now() + taken.nextMs);
      const entries = this.found(taken);
      this.tookLast = entries.length > 0;
      if (this.tookLast) return this.target.keep(entries);
    }
    const waitMs = this.tookLast ? 0 : Math.max(1, Math.ceil(Math.min(this.blockMs, this.takeMs - clock.now())));
    this.tookLast = false;
    this.blocked = waitMs > 1;
    if (this.isOver) return;
    try {
      await this.keepNew(await group.read(link, this.consumer, room, waitMs));
    } finally {
      this.blocked = false;
      this.cancelDue();
    }
  }

  /** Keeps what the reader has without knowing; gives whether there was something. */
  private async keepOwn(): Promise<boolean> {
    const { exchange, held } = this.target;
    await exchange.over; // what comes by acknowledgements is known then; none brings more while there is doubt
    const entries = this.found(await this.options.group.own(this.consumer, held.ids()));
    this.doubt.asked();
    this.target.keep(entries);
    return entries.length > 0;
  }

  private async join(): Promise<void> {
    const { group, name, tell } = this.options;
    if (await group.ensure()) tell({ kind: "gap", queue: name, reason: "the group was gone and is made anew: what was out comes again, what went with the stream does not" });
    this.joined = true;
    this.takeMs = -Infinity;
  }

  /** A connection is there: the answer that the one before did not bring may have had messages in it. */
  private async connected(line: Line): Promise<void> {
    const { clock, link, name, tell } = this.options;
    const again = this.line !== undefined;
    this.connectionId = String(await link.call("read", ["CLIENT", "ID"]));
    if (again) this.doubt.begin();
    if (again) await this.keepOwn();
    this.line = line; // only now: if one of these calls failed it is asked again
    line.down.signal.addEventListener("abort", () => (this.lostMs = clock.now()), { once: true });
    if (again) tell({ kind: "reconnected", queue: name, awayMs: clock.now() - this.lostMs });
  }

  private found({ entries, gone }: Taken): readonly Entry[] {
    tellGone(this.options, gone);
    return entries;
  }

  private forgetAll(): void {
    this.joined = false;
    this.target.forgetAll();
  }
}
