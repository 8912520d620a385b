/**
 * One reading of the queue in Postgres: what it has claimed, until each message is settled, lost or given back.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { type Deadline, Deadlines } from "../../core/deadlines.ts";
import { MillraceError } from "../../core/errors.ts";
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import { type MessageFormat, readMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import type { Delivery, QueueOpenOptions } from "../../kinds/queue.ts";
import { heard } from "../../wire/heard.ts";
import { Outage } from "./outage.ts";
import { type Asked, type Claimed, isPassing, pauseMs, type QueueCalls } from "./queue-calls.ts";
import { type Together, together } from "./together.ts";

const service = "postgres";
const ignore = (): void => {};

/** Rows of one statement, at most. */
const most = 1_000;
/** Milliseconds for giving back what a reader held: after that its lease says so. */
const leaveMs = 2_000;
/** Of its lease, what was claimed and is not asked for waits so long: the rest is for giving it back, and for another reader to have it. */
const waitShare = 2 / 3;
/** A server that has been away for so many milliseconds is no passing matter: the reading fails, and whoever reads hears of it. */
const awayMs = 60_000;

/** What a reader needs of its queue. */
export interface ReaderSettings {
  readonly name: string;
  readonly calls: QueueCalls;
  readonly format: MessageFormat;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly maxInFlight: number;
  readonly tell: NonNullable<QueueOpenOptions["tell"]>;
  /** Something came back, or a key has become free: other readers of this process look at once. */
  readonly wakeOthers: () => void;
}

/** A message that this reader has. */
class Held {
  readonly claimed: Claimed;
  readonly controller: AbortController = new AbortController();
  node: ListNode<Held> | undefined = undefined;
  /** Its lease by our own clock is over before the server's: it began when the claim was sent. */
  lease: Deadline<Held> | undefined = undefined;
  /** Was it handed out? */
  out = false;

  constructor(claimed: Claimed) {
    this.claimed = claimed;
  }
}

const none: readonly number[] = [];

type Settling = "ack" | "nack" | "extend";
type Settled = Asked & { readonly held: Held };

/** Claims, hands out, settles. */
export class QueueReader {
  private readonly settings: ReaderSettings;
  private readonly holder = crypto.randomUUID();
  private readonly held = new LinkedList<Held>();
  private readonly leases = new Deadlines<Held>(systemClock, (held) => this.late(held));
  /** Claimed by one call, and not handed out. */
  private ready: Held[] = [];
  private cancelWait: () => void = ignore;
  /** Ids that were handed out and whose lease is over here; at the server it may last, where nobody has heard what became of prolonging it. */
  private readonly lost = new Set<string>();
  /** May the server have rows under our name that we do not: of a claim, or a giving back, whose answer was lost? */
  private strays = false;
  private readonly settling: Readonly<Record<Settling, Together<Settled, boolean>>>;
  private wake: () => void = ignore;
  private emptied: () => void = ignore;
  private woken = false;
  private failures = 0;
  private awaySinceMs: number | undefined;
  private readonly outage: Outage;
  private claiming: Promise<unknown> = Promise.resolve();
  private readonly left = new AbortController();

  constructor(settings: ReaderSettings) {
    this.settings = settings;
    this.outage = new Outage((awayMs) => settings.tell({ kind: "reconnected", queue: settings.name, awayMs }));
    const settler = (statement: Settling): Together<Settled, boolean> => together({ work: (asked) => this.settle(statement, asked), most });
    this.settling = { ack: settler("ack"), nack: settler("nack"), extend: settler("extend") };
  }

  /** Calls `emptied` once nothing is out: now, or with the last that is settled or lost. */
  whenEmpty(emptied: () => void): void {
    if (this.held.size === 0) emptied();
    else this.emptied = emptied;
  }

  /** Something may have changed. */
  look(): void {
    this.woken = true;
    this.wake();
  }

  /** The next delivery; `undefined` when `over` says so. Rejects with the signal's reason, and with what is no passing failure. */
  async next(signal: AbortSignal, over: () => boolean): Promise<Delivery | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (over()) return undefined;
      const held = this.ready.shift();
      if (held !== undefined) {
        if (this.ready.length === 0) this.cancelWait();
        return this.deliver(held);
      }
      const { maxInFlight, pollMs } = this.settings;
      const room = maxInFlight - this.held.size;
      const soon = this.settling.ack.size + this.settling.nack.size;
      this.woken = false;
      // what is being settled makes room in a moment, for one claim that is worth it
      if (room <= 0 || (soon > 0 && room < maxInFlight / 2)) await this.changed(signal, Infinity);
      else {
        const claimed = this.claim(Math.min(room, most));
        this.claiming = claimed.catch(ignore);
        await heard(claimed, signal);
        if (this.ready.length > 0 || this.failures > 0 || this.woken || over()) continue;
        const dueMs = await heard(this.dueMs(), signal);
        if (!over()) await this.changed(signal, Math.min(dueMs, pollMs));
      }
    }
  }

  /** Gives back all it has; what it is told to settle later is lost. */
  async leave(): Promise<void> {
    this.left.abort();
    const shed = this.shed("its reader has left");
    await Promise.all([shed, this.giveBack([...this.held], 0, "its reader has left"), this.claiming]);
  }

  /** Gives back what was not handed out. */
  async shed(why = "its reader wants no more"): Promise<void> {
    this.cancelWait();
    if (this.ready.length === 0) return;
    const ready = this.ready;
    this.ready = [];
    this.strays = true; // should its answer be lost
    await this.giveBack(ready, 1, why);
  }

  /** `uncounted` is 1 for what nobody has tried. */
  private async giveBack(all: readonly Held[], uncounted: number, why: string): Promise<void> {
    if (all.length === 0) return;
    const asked = all.map(({ claimed: { id, epoch, key } }) => ({ id, epoch, key, more: [0, uncounted] }));
    for (const held of all) this.lose(held, why);
    await this.settings.calls.settle("nack", asked, leaveMs).catch(ignore); // else their leases come to an end
    this.settings.wakeOthers();
  }

  /** Claims so many at most. Waits after a failure that passes. */
  private async claim(wanted: number): Promise<void> {
    const { calls, leaseMs } = this.settings;
    const askedMs = systemClock.now();
    try {
      if (this.strays) await this.disown();
      const rows = await calls.claim(this.holder, leaseMs, wanted, this.left.signal);
      this.failures = 0;
      this.awaySinceMs = undefined;
      this.outage.back(askedMs);
      for (const claimed of rows) {
        const held = new Held(claimed);
        held.node = this.held.push(held);
        this.lease(held, askedMs + leaseMs);
        this.ready.push(held);
        this.lost.delete(claimed.id);
      }
      if (rows.length > 0) this.cancelWait = systemClock.timeout(askedMs + leaseMs * waitShare - systemClock.now(), () => void this.shed("nobody has asked for it"));
      if (this.left.signal.aborted) await this.shed(); // it came too late
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.failures += 1;
      this.strays = true;
      this.awaySinceMs ??= askedMs;
      this.outage.gone(askedMs, error);
      if (systemClock.now() - this.awaySinceMs > awayMs) throw error;
      await systemClock.sleep(pauseMs(this.failures), this.left.signal).catch(ignore);
    }
  }

  /** What we do not have is nobody's; what was handed out stays counted. */
  private async disown(): Promise<void> {
    const lost = [...this.lost];
    await this.settings.calls.disown(this.holder, Array.from(this.held, ({ claimed: { id } }) => id), lost, this.left.signal);
    for (const id of lost) this.lost.delete(id);
    this.strays = false;
  }

  private async dueMs(): Promise<number> {
    try {
      return (await this.settings.calls.next(this.left.signal)) ?? Infinity;
    } catch (error) {
      if (!isPassing(error)) throw error;
      return Infinity; // the next claim will see
    }
  }

  /** Waits until something may have changed, at most so long; not at all if it has since `woken` was cleared. */
  private changed(signal: AbortSignal, ms: number): Promise<void> {
    if (this.woken) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const cancel = ms === Infinity ? ignore : systemClock.timeout(ms, () => done());
      const done = (): void => {
        cancel();
        this.wake = ignore;
        signal.removeEventListener("abort", aborted);
        resolve();
      };
      const aborted = (): void => {
        done();
        reject(signal.reason);
      };
      this.wake = done;
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    });
  }

  private deliver(held: Held): Delivery {
    const { name, format } = this.settings;
    const { claimed: { id, key, body, attempts, messageId }, controller: { signal } } = held;
    held.out = true;
    return handOut(this.hands, held, readMessage(service, format, body), { id: `${name}/${id}`, attempt: attempts, key, messageId, signal });
  }

  private readonly hands: Hands<Held> = {
    service,
    lacks: {},
    ack: (held) => this.ask("ack", held, none),
    nack: (held, { delayMs, counted }) => this.ask("nack", held, [delayMs, counted ? 0 : 1]),
    extend: async (held, ms) => {
      const askedMs = systemClock.now();
      await this.ask("extend", held, [ms]);
      this.lease(held, askedMs + ms);
    },
  };

  private async ask(statement: Settling, held: Held, more: readonly number[]): Promise<void> {
    const { claimed: { id, epoch, key }, controller: { signal } } = held;
    signal.throwIfAborted();
    if (await this.settling[statement].add({ id, epoch, key, more, held })) return;
    throw new MillraceError("closed", `${service}: delivery ${this.settings.name}/${id} is this reader's no more`, { service });
  }

  /**
   * Settles those whose leases last, and tries again as long as one does. After a call whose outcome nobody knows, a row that is gone is
   * one that was acknowledged, and one that is not out any more was given back.
   */
  private async settle(statement: Settling, all: readonly Settled[]): Promise<readonly boolean[]> {
    const done = new Set<Held>();
    let unknown = false;
    try {
      for (let failures = 0; ; ) {
        const asked = all.filter(({ held }) => !held.controller.signal.aborted);
        if (asked.length === 0) break;
        const askedMs = systemClock.now();
        try {
          await this.settleOnce(statement, asked, unknown, done);
          this.outage.back(askedMs);
          break;
        } catch (error) {
          if (!isPassing(error)) throw error;
          this.outage.gone(askedMs, error);
          failures += 1;
          unknown = true;
          await systemClock.sleep(pauseMs(failures), this.left.signal).catch(ignore);
        }
      }
    } finally {
      this.look();
    }
    if (statement === "nack" || all.some(({ held }) => held.claimed.key !== undefined)) this.settings.wakeOthers();
    return all.map(({ held }) => done.has(held));
  }

  private async settleOnce(statement: Settling, asked: readonly Settled[], unknown: boolean, done: Set<Held>): Promise<void> {
    const { calls, name } = this.settings;
    const changed = await calls.settle(statement, asked);
    const missed = asked.filter(({ id }) => !changed.has(id)).map(({ id }) => id);
    const remaining = unknown && statement === "ack" && missed.length > 0 ? await calls.remaining(missed) : undefined;
    for (const { id, held } of asked) {
      const was = unknown && (statement === "nack" || remaining?.has(id) === false);
      if (changed.has(id) || was) done.add(held);
      if (statement === "extend" && changed.has(id)) continue;
      this.forget(held); // settled, or not ours: there is room again
      if (!done.has(held)) held.controller.abort(new MillraceError("closed", `${service}: delivery ${name}/${id} is this reader's no more`, { service }));
    }
  }

  private lease(held: Held, untilMs: number): void {
    const leftMs = untilMs - systemClock.now();
    if (held.lease === undefined) held.lease = this.leases.begin(held, leftMs);
    else this.leases.again(held.lease, leftMs); // nothing where it is settled
  }

  private late(held: Held): void {
    if (held.out) {
      this.lose(held, "its lease is over");
      this.lost.add(held.claimed.id);
      const [oldest] = this.lost;
      // while as many are lost as may be out, those that were lost before may last; those before them are over
      if (oldest !== undefined && this.lost.size > 2 * this.settings.maxInFlight) this.lost.delete(oldest);
    } else void this.shed("its lease is over");
    this.look();
  }

  private forget(held: Held): void {
    if (held.lease !== undefined) this.leases.drop(held.lease);
    if (held.node !== undefined) this.held.delete(held.node);
    if (this.held.size === 0) this.emptied();
  }

  private lose(held: Held, why: string): void {
    this.forget(held);
    held.controller.abort(new MillraceError("closed", `${service}: delivery ${this.settings.name}/${held.claimed.id} is lost: ${why}`, { service }));
  }
}
