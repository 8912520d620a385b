/**
 * Sends messages on one connection, each confirmed by the broker.
 *
 * The connection is apart from those of the readers: a broker that is short of memory stops reading from whoever publishes, and would not
 * see acknowledgements that come behind.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { heard } from "../../wire/heard.ts";
import type { AmqpConfirmChannel } from "./client.ts";
import { type Dialing, service } from "./dial.ts";
import { type Link, openLink, within } from "./link.ts";
import { Pace } from "./pace.ts";
import { type Packet, placeIn } from "./packet.ts";

/** A message on its way. A class, as what is made once a message and holds it (see `WayOut` of core/runner.ts). */
class Pending {
  readonly place: string;
  returned = false;
  private readonly node: ListNode<Pending>;
  private readonly all: LinkedList<Pending>;
  private readonly resolve: () => void;
  private readonly reject: (error: unknown) => void;

  constructor(place: string, all: LinkedList<Pending>, resolve: () => void, reject: (error: unknown) => void) {
    this.place = place;
    this.all = all;
    this.node = all.push(this);
    this.resolve = resolve;
    this.reject = reject;
  }

  end(error?: unknown): void {
    if (!this.all.delete(this.node)) return;
    if (error === undefined) this.resolve();
    else this.reject(error);
  }
}

/** A connection with its channel. */
interface Outlet {
  readonly link: Link;
  readonly channel: AmqpConfirmChannel;
  readonly pending: LinkedList<Pending>;
  /** Why the channel is gone. */
  lost: MillraceError | undefined;
  /** The client holds more than it has written. */
  isFull: boolean;
}

/** Sends. */
export class Sender {
  private readonly dialing: Dialing;
  private readonly clock: Clock;
  private readonly pace: Pace;
  private readonly stop = new AbortController();
  private outlet: Outlet | undefined;
  private opening: Promise<Outlet> | undefined;
  /** Whoever waits for the outlet to take messages again; a send that is given up leaves it. */
  private readonly waiting = new LinkedList<() => void>();
  /** No new connection is tried before. */
  private earliestMs = -Infinity;
  private closing: Promise<void> | undefined;

  constructor(dialing: Dialing, clock: Clock) {
    this.dialing = dialing;
    this.clock = clock;
    this.pace = new Pace(clock);
  }

  /** Sends that wait for the outlet. */
  get held(): number {
    return this.waiting.size;
  }

  /** Resolves once the broker has it. A connection that is lost before that is `interrupted`: it may have it or not. */
  async send(queue: string, packet: Packet, signal?: AbortSignal): Promise<void> {
    const outlet = this.usable() ?? (await this.ready(signal));
    await this.publish(outlet, queue, packet, signal);
  }

  /** A connection for other work, the same that sends. */
  async link(signal?: AbortSignal): Promise<Link> {
    return (this.outlet ?? (await heard(this.open(), signal))).link;
  }

  /** Whoever waits gets `closed`. */
  close(reason: MillraceError): Promise<void> {
    this.closing ??= this.end(reason);
    return this.closing;
  }

  private async end(reason: MillraceError): Promise<void> {
    this.stop.abort(reason);
    this.wake();
    const { outlet } = this;
    this.outlet = undefined;
    if (outlet !== undefined) {
      for (const pending of outlet.pending) pending.end(reason);
      await within(1_000, this.clock, () => outlet.channel.close()); // what was written before it is sent before it
      await outlet.link.close();
    }
    await this.opening?.catch(() => {});
  }

  private usable(): Outlet | undefined {
    const { outlet } = this;
    return outlet === undefined || outlet.isFull || outlet.link.isBlocked ? undefined : outlet;
  }

  /** Waits until a message may be published: nothing was sent yet, so a connection that is lost meanwhile is no loss. */
  private async ready(signal: AbortSignal | undefined): Promise<Outlet> {
    for (;;) {
      this.stop.signal.throwIfAborted();
      if (this.outlet === undefined) await heard(this.open(), signal);
      const outlet = this.usable();
      if (outlet !== undefined) return outlet;
      if (this.outlet !== undefined) await this.change(signal);
    }
  }

  private async change(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const node = this.waiting.push(resolve);
    try {
      await heard(promise, signal);
    } finally {
      this.waiting.delete(node);
    }
  }

  private open(): Promise<Outlet> {
    this.opening ??= this.connect().finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async connect(): Promise<Outlet> {
    const { clock, dialing, pace, stop } = this;
    stop.signal.throwIfAborted();
    if (this.earliestMs > clock.now()) await clock.sleep(this.earliestMs - clock.now(), stop.signal);
    let link: Link | undefined;
    try {
      link = await openLink(dialing, stop.signal, clock, () => this.wake());
      const channel = await heard(link.connection.createConfirmChannel(), stop.signal);
      // the end may have come with the answer: then all listeners have been called already, ours not among them
      if (link.lost.aborted) throw link.lost.reason;
      stop.signal.throwIfAborted();
      const outlet: Outlet = { link, channel, pending: new LinkedList(), lost: undefined, isFull: false };
      pace.opened();
      this.watch(outlet);
      this.outlet = outlet;
      return outlet;
    } catch (error) {
      if (!stop.signal.aborted) this.earliestMs = clock.now() + pace.failed();
      await link?.close();
      throw stop.signal.aborted ? stop.signal.reason : dialing.toError("cannot connect", error);
    }
  }

  private watch(outlet: Outlet): void {
    const { channel, link } = outlet;
    const gone = (error: MillraceError): void => {
      outlet.lost ??= error;
      if (this.outlet !== outlet) return;
      this.outlet = undefined;
      this.earliestMs = this.clock.now() + this.pace.failed();
      this.wake();
      void link.close();
    };
    link.lost.addEventListener("abort", () => gone(link.lost.reason), { once: true });
    channel.on("error", (error) => (outlet.lost ??= this.dialing.toError("the channel is lost", error)));
    channel.on("close", () => gone(outlet.lost ?? this.dialing.toError("the channel is lost", new Error("Channel closed"))));
    channel.on("drain", () => {
      outlet.isFull = false;
      this.wake();
    });
    channel.on("return", (message) => {
      const place = placeIn(fieldOf(message, "properties"));
      for (const pending of outlet.pending) if (pending.place === place) pending.returned = true; // its confirmation comes behind
    });
  }

  private wake(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }

  private publish(outlet: Outlet, queue: string, { place, body, properties }: Packet, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const pending = new Pending(place, outlet.pending, resolve, reject);
    outlet.link.gather();
    try {
      const taken = outlet.channel.publish("", queue, body, properties, (error) => pending.end(this.outcome(outlet, pending, queue, error)));
      if (!taken) outlet.isFull = true;
    } catch (error) {
      pending.end(this.dialing.toError("send", error)); // nothing was sent
    }
    return heard(promise, signal);
  }

  /** What came of it, or nothing when all is well. */
  private outcome(outlet: Outlet, pending: Pending, queue: string, error: unknown): unknown {
    if (pending.returned) return new MillraceError("no_route", `${service}: there is no queue ${queue}; see setup`, { service, scope: "dependency" });
    if (error === null || error === undefined) return undefined;
    const { toError } = this.dialing;
    const nacked = error instanceof Error && error.message === "message nacked";
    if (nacked) return new MillraceError("unavailable", `${service}: the broker does not take the message for ${queue}`, { service, cause: toError("send", error).cause });
    const cause = outlet.lost ?? toError("send", error);
    return new MillraceError("interrupted", `${service}: the connection was lost before a message for ${queue} was confirmed; whether it is there is unknown`, { service, cause });
  }
}
