/**
 * One reader of a group: hands out messages, knows what is out until it is settled or lost, and gives back the rest when it leaves.
 *
 * @module
 */
import { ignore } from "../../core/flow.ts";
import { MillraceError } from "../../core/errors.ts";
import { gatheredAcks, type Settle } from "./acks.ts";
import { service } from "./client.ts";
import { Exchange } from "./exchange.ts";
import { Holdings, type Out } from "./holdings.ts";
import { type ReaderOptions, tellGone } from "./reader-options.ts";
import { StreamFetching } from "./stream-fetching.ts";
import type { Entry, Moved } from "./stream-group.ts";
import { Sweeping } from "./sweeping.ts";

/** A lease counts as over when so much of it has passed: the server's began before its answer was here. */
const leaseShare = 0.9;
/** How often it is looked for leases that are over. */
const looksPerLease = 20;

/** Reads for one `open`. */
export class StreamReader {
  /** Whose its messages are, at the server. */
  readonly consumer: string;
  readonly held: Holdings;
  /** Acknowledges a message; gives whether it was still the reader's. */
  readonly acknowledge: (id: string) => Promise<boolean>;
  private readonly options: ReaderOptions;
  private ready: Out[] = [];
  private readonly fetching: StreamFetching;
  private interrupt: (reason?: { readonly error: unknown }) => void = ignore;
  private changed: () => void = ignore;
  private left: { readonly error: unknown } | undefined;
  private drained = false;
  private leaving: Promise<void> | undefined;
  /** Somebody waits for a message, and all that it may have is out. */
  private waits = false;
  private readonly exchange = new Exchange();
  private readonly sweeping: Sweeping;
  private cancelLook: (() => void) | undefined;

  constructor(options: ReaderOptions) {
    this.options = options;
    this.held = new Holdings(options.maxInFlight);
    this.acknowledge = gatheredAcks(options.maxInFlight, (ids) => this.acknowledgeAll(ids));
    const { held, exchange } = this;
    this.fetching = new StreamFetching(options, { held, exchange, keep: (entries) => this.keep(entries), forgetAll: () => this.forgetAll() });
    this.consumer = this.fetching.consumer;
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
      if (this.fetching.room > 0) await this.until(this.fetching.fetch());
      else await this.change();
    }
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
   * be, and no round trip between.
   */
  private async acknowledgeAll(ids: readonly string[]): Promise<Settle> {
    const { fetching } = this;
    const brings = this.waits && fetching.mayBring;
    const room = fetching.room + this.exchange.going + ids.length; // once all that is being acknowledged is gone
    const count = brings ? Math.max(0, Math.min(ids.length, room)) : 0;
    const over = this.exchange.begin(ids.length, count);
    try {
      const { had, entries } = await this.options.group.ack(this.consumer, ids, this.held.size, count);
      return () => {
        over();
        fetching.keepNew(entries).catch(() => fetching.lost());
        this.changed();
        return had;
      };
    } catch (error) {
      over();
      fetching.lost();
      this.changed();
      throw error;
    }
  }

  /** Gives back messages, to be due after a while; gives whether the first was still the reader's. What was trimmed away is told, and settled so. */
  async giveBack(ids: readonly string[], delayMs: number, counted: boolean): Promise<boolean> {
    return this.isMoved(await this.options.group.giveBack(this.consumer, ids, delayMs, counted));
  }

  /** Lets a lease end so many milliseconds from now; gives whether it goes on. */
  async extend(id: string, ms: number): Promise<boolean> {
    return this.isMoved(await this.options.group.extend(this.consumer, id, ms));
  }

  private isMoved({ had: [first], gone }: Moved): boolean {
    tellGone(this.options, gone);
    return first === true;
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

  /** Something will be due in so many milliseconds. */
  expect(ms: number): void {
    this.fetching.expect(ms);
  }

  /** Hands out no more; what is out stays the reader's until it is settled. */
  drain(): void {
    if (this.drained) return;
    this.drained = true;
    this.interrupt();
    this.fetching.drain();
    void Promise.all([this.fetching.over, this.exchange.over]).then(() => this.returnUnseen()).catch(ignore);
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
    this.left = reason;
    this.cancelLook?.();
    const outs = [...this.held];
    const handed = outs.filter((out) => out.handed).map(({ entry }) => entry.id);
    this.held.clear();
    for (const out of outs) out.controller.abort(this.lostError(out, "its reader has left"));
    this.interrupt(reason);
    this.fetching.leave();
    await Promise.all([this.fetching.over, this.exchange.over]); // what they bring is given back with the rest
    await this.fetching.close(handed);
  }

  /** Waits for the work, unless it is drained or left meanwhile. */
  private until(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.interrupt = (reason) => (reason === undefined ? resolve() : reject(reason.error));
      work.then(resolve, reject);
    });
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

  private forgetAll(): void {
    this.ready = [];
    for (const out of this.held) this.release(out, "its group is gone");
  }

  /** What was fetched and never handed out goes back at once, as if it had not been. */
  private async returnUnseen(): Promise<void> {
    const unseen = this.ready.filter((out) => !out.handed && this.held.has(out));
    this.ready = [];
    if (unseen.length > 0) await this.giveBack(unseen.map(({ entry }) => entry.id), 0, false);
    for (const out of unseen) this.release(out, "its reader is drained");
  }

  private look(): void {
    const { clock, leaseMs } = this.options;
    this.cancelLook ??= clock.timeout(leaseMs / looksPerLease, () => {
      this.cancelLook = undefined;
      this.endLeases(clock.now());
      if (this.held.size > 0) this.look();
    });
  }

  /** What was never handed out goes back before its lease is over at the server, where whoever took it then would count one attempt more. */
  private endLeases(nowMs: number): void {
    const over = [...this.held].filter(({ endsMs }) => endsMs <= nowMs);
    const unseen = over.filter(({ handed }) => !handed).map(({ entry }) => entry.id);
    for (const out of over) this.release(out, "its lease is over");
    if (unseen.length === 0) return;
    this.giveBack(unseen, 0, false)
      .then(() => this.expect(0))
      .catch(ignore); // else its lease ends
  }
}
