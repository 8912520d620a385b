/**
 * One reader of a group: fetches messages as there is room for them, keeps what is out, and comes back when the server was away.
 *
 * @module
 */
import { ignore } from "../../core/flow.ts";
import { MillraceError } from "../../core/errors.ts";
import { gatheredAcks, type Settle } from "./acks.ts";
import { service } from "./client.ts";
import { Doubt } from "./doubt.ts";
import { isGroupGone, isPassing } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { Holdings, type Out } from "./holdings.ts";
import type { Line } from "./link.ts";
import type { ReaderOptions } from "./reader-options.ts";
import { consumerPrefix } from "./stream-scripts.ts";
import type { Entry, Taken } from "./stream-group.ts";
import { Sweeping } from "./sweeping.ts";

/** Milliseconds a read waits at the server at most: how late the reader sees what others gave back. */
const maxBlockMs = 1_000;
/** Round trips in which a read arrives that was sent before the first of them. */
const maxWakes = 50;
/** A lease counts as over when so much of it has passed: the server's began before its answer was here. */
const leaseShare = 0.9;
/** How often it is looked for leases that are over. */
const looksPerLease = 20;
/** Milliseconds before an answer is asked for again, the first time and at most; half of it at random. */
const baseRetryMs = 300;
const maxRetryMs = 2_000;

/** Reads for one `open`. */
export class StreamReader {
  /** Unique: nobody else's entries are ever taken for its own. */
  readonly consumer: string = `${consumerPrefix}${crypto.randomUUID()}`;
  readonly held: Holdings;
  /** Acknowledges a message; gives whether it was still the reader's. */
  readonly acknowledge: (id: string) => Promise<boolean>;
  private readonly options: ReaderOptions;
  private ready: Out[] = [];
  private fetching: Promise<void> = Promise.resolve();
  private interrupt: (reason?: { readonly error: unknown }) => void = ignore;
  private changed: () => void = ignore;
  private readonly over = new AbortController();
  private left: { readonly error: unknown } | undefined;
  private drained = false;
  private leaving: Promise<void> | undefined;
  private line: Line | undefined;
  private lostMs = 0;
  private connectionId = "";
  private joined = false;
  private hadJoined = false;
  /** When it is looked at what is due, and when at what others have held for too long; in the clock's milliseconds. */
  private takeMs = -Infinity;
  private othersMs = -Infinity;
  /** Somebody waits for a message, and all that it may have is out. */
  private waits = false;
  private readonly exchange = new Exchange();
  private tookLast = false;
  private blocked = false;
  private hasFetched = false;
  private readonly sweeping: Sweeping;
  private readonly doubt: Doubt;
  private readonly blockMs: number;
  private cancelLook: (() => void) | undefined;
  private cancelDue: () => void = ignore;

  constructor(options: ReaderOptions) {
    this.options = options;
    this.held = new Holdings(options.maxInFlight);
    this.acknowledge = gatheredAcks(options.maxInFlight, (ids) => this.acknowledgeAll(ids));
    this.blockMs = Math.min(maxBlockMs, Math.ceil(options.leaseMs / 4));
    this.doubt = new Doubt(options.clock, this.blockMs);
    this.sweeping = new Sweeping(options.clock, () => options.group.sweep());
  }

  /** The next message, if one is there to be handed out: without a wait, which takes longer than all else here. */
  take(): Out | undefined {
    if (this.left !== undefined || this.drained) return undefined;
    let out = this.ready.shift();
    while (out !== undefined && !this.held.handOut(out)) out = this.ready.shift(); // a lease may be over before anybody asks
    return out;
  }

  /** The next message; `undefined` once it is drained. Throws what cannot be helped by waiting, and why it was left. */
  async next(): Promise<Out | undefined> {
    for (;;) {
      if (this.left?.error !== undefined) throw this.left.error;
      if (this.left !== undefined || this.drained) return undefined;
      const out = this.take();
      if (out !== undefined) return out;
      if (this.room > 0) await this.until(this.fetch());
      else await this.change();
    }
  }

  /** For messages: neither here nor on their way. */
  private get room(): number {
    return this.held.room - this.exchange.coming;
  }

  /** Waits until something was settled or has come. */
  private async change(): Promise<void> {
    this.waits = true;
    try {
      await this.until(new Promise((resolve) => (this.changed = resolve)));
    } finally {
      this.waits = false;
    }
  }

  /**
   * Acknowledges, and brings as many new messages in the same step of the server if somebody waits for them: so there is never more out than may
   * be, and no round trip between. What is due, or may have been lost on the way, goes before what is new, and is fetched by itself.
   */
  private async acknowledgeAll(ids: readonly string[]): Promise<Settle> {
    const { clock, group } = this.options;
    const brings = this.waits && clock.now() < this.takeMs && !this.doubt.isDue;
    const room = this.room + this.exchange.going + ids.length; // once all that is being acknowledged is gone
    const count = brings ? Math.max(0, Math.min(ids.length, room)) : 0;
    const over = this.exchange.begin(ids.length, count);
    try {
      const { had, entries } = await group.ack(this.consumer, ids, this.held.size, count);
      return () => {
        over();
        this.keepNew(entries).catch(() => this.doubt.begin());
        this.changed();
        return had;
      };
    } catch (error) {
      over();
      this.doubt.begin();
      this.changed();
      throw error;
    }
  }

  /** It was settled, or is somebody else's. */
  release(out: Out, lost?: string): void {
    if (!this.held.forget(out)) return;
    if (lost !== undefined) out.controller.abort(this.lostError(out, lost));
    else this.sweeping.settled();
    this.changed();
    if (this.drained && this.held.size === 0) void this.leave({ error: undefined });
  }

  lostError({ entry }: Out, why: string): MillraceError {
    return new MillraceError("closed", `${service}: delivery ${this.options.name}/${entry.id} is this reader's no more: ${why}`, { service });
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

  /** Hands out no more; what is out stays the reader's until it is settled. */
  drain(): void {
    if (this.drained) return;
    this.drained = true;
    this.interrupt();
    void this.wake();
    void Promise.all([this.fetching, this.exchange.over]).then(() => this.returnUnseen()).catch(ignore);
    if (this.held.size === 0) void this.leave({ error: undefined });
  }

  /** Gives back all it has. A waiting `next` rejects with the reason at once; resolves when the server has heard of it. */
  leave(reason: { readonly error: unknown }): Promise<void> {
    if (this.leaving === undefined) {
      this.leaving = this.close(reason);
      this.options.left(this.leaving);
    }
    return this.leaving;
  }

  private async close(reason: { readonly error: unknown }): Promise<void> {
    const { group, link } = this.options;
    this.left = reason;
    this.over.abort();
    this.cancelLook?.();
    const outs = [...this.held];
    const handed = outs.filter((out) => out.handed).map(({ entry }) => entry.id);
    this.held.clear();
    for (const out of outs) out.controller.abort(this.lostError(out, "its reader has left"));
    this.interrupt(reason);
    void this.wake();
    await Promise.allSettled([this.fetching, this.exchange.over]); // what they bring is given back with the rest
    if (this.joined) await group.leave(this.consumer, handed).catch(ignore); // else the lease does it
    this.cancelDue();
    link.close();
  }

  /** Lets the read that waits at the server end. It may not have arrived there yet, by its other connection: then once more. */
  private async wake(): Promise<void> {
    for (let tries = 0; this.blocked && tries < maxWakes; tries += 1) if (await this.options.group.unblock(this.connectionId)) return;
  }

  /** Waits for the work, unless it is drained or left meanwhile. */
  private until(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.interrupt = (reason) => (reason === undefined ? resolve() : reject(reason.error));
      work.then(resolve, reject);
    });
  }

  private fetch(): Promise<void> {
    this.fetching = this.fetchAgain();
    return this.fetching;
  }

  /** Fetches something, or finds nothing. What passes is waited for, as long as the messages that are out are the reader's. */
  private async fetchAgain(): Promise<void> {
    const { clock, leaseMs } = this.options;
    const askedMs = clock.now(); // not when it was last there: who is not asked for messages asks nobody
    for (let failures = 0; this.left === undefined; failures += 1) {
      try {
        await this.fetchOnce();
        this.hasFetched = true;
        return;
      } catch (error) {
        this.doubt.begin();
        if (isGroupGone(error)) this.forgetAll();
        else if (!isPassing(error) || !this.hasFetched || clock.now() - askedMs > leaseMs) throw error;
        const ms = Math.min(maxRetryMs, baseRetryMs * 2 ** Math.min(failures, 8));
        if (this.joined || failures > 0) await clock.sleep(ms * (0.5 + Math.random() / 2), this.over.signal).catch(ignore);
        if (this.drained) return;
      }
    }
  }

  private async fetchOnce(): Promise<void> {
    const { clock, group, link, leaseMs } = this.options;
    if (!this.joined) await this.join();
    const line = await link.get(this.over.signal);
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
      if (this.tookLast) return this.keep(entries);
    }
    const waitMs = this.tookLast ? 0 : Math.max(1, Math.ceil(Math.min(this.blockMs, this.takeMs - clock.now())));
    this.tookLast = false;
    this.blocked = waitMs > 1;
    if (this.drained || this.left !== undefined) return;
    try {
      await this.keepNew(await group.read(link, this.consumer, room, waitMs));
    } finally {
      this.blocked = false;
      this.cancelDue();
    }
  }

  /** Keeps those of new messages that are for now, and lets the others wait. */
  private async keepNew(entries: readonly Entry[]): Promise<void> {
    const later = entries.filter(({ dueMs }) => dueMs !== undefined);
    this.keep(later.length === 0 ? entries : entries.filter(({ dueMs }) => dueMs === undefined));
    if (later.length === 0) return;
    await this.options.group.postpone(this.consumer, later);
    this.takeMs = -Infinity; // one of them may be due
  }

  /** Keeps what the reader has without knowing; gives whether there was something. */
  private async keepOwn(): Promise<boolean> {
    await this.exchange.over; // what comes by acknowledgements is known then; none brings more while there is doubt
    const entries = this.found(await this.options.group.own(this.consumer, this.held.ids()));
    this.doubt.asked();
    this.keep(entries);
    return entries.length > 0;
  }

  private async join(): Promise<void> {
    const { group, name, tell } = this.options;
    const made = await group.ensure();
    if (made && this.hadJoined) tell({ kind: "gap", queue: name, reason: "the group was gone and is made anew: what was out comes again, what went with the stream does not" });
    this.joined = true;
    this.hadJoined = true;
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
    const { name, tell } = this.options;
    if (gone > 0) tell({ kind: "gap", queue: name, count: gone, reason: "messages were trimmed away before they were settled" });
    return entries;
  }

  /** Keeps what was fetched. What the reader still had by an older lease, it has by the new one. */
  private keep(entries: readonly Entry[]): void {
    if (this.left !== undefined) return;
    const { clock, leaseMs } = this.options;
    const endsMs = clock.now() + leaseMs * leaseShare;
    for (const entry of entries) {
      if (entry.attempt > 1) this.renewed(entry.id);
      this.ready.push(this.held.keep(entry, endsMs));
    }
    if (this.held.size > 0) this.look();
  }

  /** It was taken from the reader by itself: only the newer delivery counts. */
  private renewed(id: string): void {
    for (const out of this.held) {
      if (out.entry.id !== id) continue;
      this.held.forget(out);
      out.controller.abort(this.lostError(out, "its lease is over"));
    }
  }

  /** With the group went all that it knew to be out: what is still in the stream comes again. */
  private forgetAll(): void {
    this.joined = false;
    this.ready = [];
    for (const out of this.held) this.release(out, "its group is gone");
  }

  /** What was fetched and never handed out goes back at once, as if it had not been. */
  private async returnUnseen(): Promise<void> {
    const unseen = this.ready.filter((out) => !out.handed && this.held.has(out));
    this.ready = [];
    if (unseen.length > 0) await this.options.group.giveBack(this.consumer, unseen.map(({ entry }) => entry.id), 0, false);
    for (const out of unseen) this.release(out, "its reader is drained");
  }

  private look(): void {
    const { clock, leaseMs } = this.options;
    this.cancelLook ??= clock.timeout(leaseMs / looksPerLease, () => {
      this.cancelLook = undefined;
      const nowMs = clock.now();
      for (const out of this.held) if (out.endsMs <= nowMs) this.release(out, "its lease is over");
      if (this.held.size > 0) this.look();
    });
  }
}
