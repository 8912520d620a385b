/**
 * One reading of a queue: asks for messages when somebody waits for one, and holds them until they are settled.
 *
 * The client's own loop asks for more as soon as a message has come, settled or not. Here what is asked for, waits or is out is
 * `maxInFlight` at most, and a request ends with the messages that there are: a reader that nobody pulls keeps none from the others.
 * Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference, ADR-13 of nats-architecture-and-design
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { QueueOpenOptions } from "../../kinds/queue.ts";
import type { NatsClient, NatsMessage, NatsSubscription } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { ConsumerState, NatsNames } from "./consumer.ts";
import { Leases } from "./leases.ts";
import { Gaps, placeIn } from "./place.ts";

/** Milliseconds for which the server keeps a request for messages, and after which one of which nothing was heard is taken for lost. */
const expiresMs = 30_000;
const lostMs = 35_000;
/** Milliseconds, and up to as many more, before the server is asked again that would not keep a request. */
const againMs = 1_000;
/** Milliseconds that leaving waits for what is on its way. */
const leaveMs = 1_000;

/** What a delivery is settled by. */
export const negative = "-NAK";

/** Of all readings of a queue. */
export interface ReaderSettings extends NatsNames {
  readonly service: string;
  readonly connection: Connection;
  readonly inboxPrefix: string;
  /** After which a message is not this reader's any more, by its own clock. */
  readonly holdMs: number;
  readonly clock: Clock;
  /** Asks the server for the consumer; throws for one that cannot be used. */
  readonly look: (signal: AbortSignal | undefined) => Promise<ConsumerState>;
}

/** A message that waits to be handed out, or is out. */
export interface Held {
  readonly id: string;
  readonly attempt: number;
  readonly streamSeq: number;
  readonly message: NatsMessage;
  readonly controller: AbortController;
  /** The subject that settles it. */
  reply: string;
  /** What the server is being told of it. */
  settling: "ack" | "nack" | undefined;
}

/** One reading. */
export class Reader {
  private readonly settings: ReaderSettings;
  private readonly options: QueueOpenOptions;
  private readonly held = new Map<number, Held>();
  private readonly waiting: Held[] = [];
  private readonly gaps = new Gaps();
  private readonly leases: Leases<Held>;
  private readonly inbox: string;
  private readonly next: string;
  private readonly unwatch: () => void;
  private readonly forgotten: () => void;
  private client: NatsClient | undefined;
  private subscription: NatsSubscription | undefined;
  /** The request that the server has: its number, and how many messages of it have not come. */
  private request = 0;
  private requested = 0;
  private heardMs = 0;
  /** Somebody waits for a message. */
  private wanted = false;
  private failure: { readonly error: unknown } | undefined;
  private state: "opening" | "reading" | "drained" | "left" = "opening";
  /** Nothing is asked for: the connection is gone, or the consumer is being looked at. */
  private paused = true;
  private wake: () => void = () => {};
  private cancelWatch: (() => void) | undefined;
  private cancelGathering: (() => void) | undefined;
  private cancelAgain: (() => void) | undefined;

  /** `forgotten` is called once it holds nothing and gets nothing any more. */
  constructor(settings: ReaderSettings, options: QueueOpenOptions, forgotten: () => void) {
    const { connection, inboxPrefix, stream, consumer, holdMs, clock } = settings;
    this.settings = settings;
    this.options = options;
    this.forgotten = forgotten;
    this.inbox = `${inboxPrefix}.${crypto.randomUUID().replaceAll("-", "")}`;
    this.next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.leases = new Leases(holdMs, clock, (held) => this.lose(held, "its lease is over"));
    this.unwatch = connection.watch({
      down: () => {
        this.paused = true;
        this.requested = 0;
      },
      up: () => void this.begin(),
      gone: (error) => this.fail(error),
    });
  }

  /** Opens; throws for a consumer that is not there or cannot be used. */
  async open(): Promise<void> {
    const { connection, look } = this.settings;
    const { signal } = this.options;
    this.client = await connection.ready(signal);
    this.gaps.begin(await look(signal));
    if (this.state !== "opening") return;
    this.state = "reading";
    this.paused = false;
    this.subscription = this.client.subscribe(`${this.inbox}.*`, {
      callback: (error, message) => (error === null ? this.hear(message) : this.fail(connection.toError("read", error))),
    });
  }

  /** The next message, once there is one; undefined when no more are handed out. Throws when the reading has failed or is aborted. */
  async take(): Promise<Held | undefined> {
    for (;;) {
      this.options.signal.throwIfAborted();
      if (this.failure !== undefined) throw this.failure.error;
      if (this.state === "drained") return undefined;
      const held = this.waiting.shift();
      if (held !== undefined) return held;
      this.wanted = true;
      this.ask();
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  isHeld(held: Held): boolean {
    return this.held.get(held.streamSeq) === held;
  }

  /** The server has been told what became of it. */
  release(held: Held): void {
    if (!this.isHeld(held)) return;
    this.held.delete(held.streamSeq);
    this.leases.end(held);
    if (this.state === "drained" && this.held.size === 0) this.forget();
    else this.ask();
  }

  /** The lease goes on from then, when it was prolonged. */
  prolong(held: Held, atMs: number): void {
    if (this.isHeld(held)) this.leases.begin(held, atMs);
  }

  /** Asks for no more; what is out stays out. */
  drain(): void {
    if (this.state === "drained" || this.state === "left") return;
    this.state = "drained";
    this.unsubscribe().catch(() => {});
    for (const held of this.waiting.splice(0)) this.giveBack(held, "its reader is drained");
    if (this.held.size === 0) this.forget();
    this.wake();
  }

  /** Gives back what is unsettled. Resolves when the server has that, or after a second. */
  async leave(why: string): Promise<void> {
    if (this.state === "left") return;
    const { clock, connection } = this.settings;
    this.state = "left";
    this.waiting.length = 0;
    const unsubscribed = this.unsubscribe(); // first, or what is given back would come here again
    for (const held of this.held.values()) if (held.settling === undefined) this.giveBack(held, why);
    this.forget();
    this.wake();
    const leaving = new AbortController();
    const said = connection.isConnected ? Promise.all([unsubscribed, this.client?.flush()]) : unsubscribed;
    await Promise.race([said, clock.sleep(leaveMs, leaving.signal)]).catch(() => {});
    leaving.abort();
  }

  /** Also of a reading that nobody pulls any more. */
  fail(error: unknown): void {
    this.failure ??= { error };
    this.wake();
  }

  private forget(): void {
    this.unwatch();
    this.leases.stop();
    for (const cancel of [this.cancelWatch, this.cancelGathering, this.cancelAgain]) cancel?.();
    this.cancelAgain = () => {}; // none is set any more
    this.forgotten();
  }

  /** Nothing is sent here any more; what is on its way is given back when it comes. */
  private async unsubscribe(): Promise<void> {
    const { subscription } = this;
    this.subscription = undefined;
    await subscription?.drain();
  }

  private hear(message: NatsMessage): void {
    this.heardMs = this.settings.clock.now();
    const place = message.reply ? placeIn(message.reply) : undefined;
    if (place === undefined || !message.reply) return this.hearStatus(message);
    this.requested = Math.max(0, this.requested - 1);
    if (this.state !== "reading") return this.publish(message.reply, negative);
    const { stream } = this.settings;
    const { attempt, streamSeq } = place;
    const missing = this.gaps.before(place);
    if (missing > 0) this.options.tell?.({ kind: "gap", queue: stream, count: missing, reason: "dropped from the stream before anybody got them" });
    const known = this.held.get(streamSeq);
    if (known !== undefined && known.settling !== "nack") {
      // its lease goes on here, so the server has forgotten that it gave it out
      known.reply = message.reply;
      return this.leases.begin(known);
    }
    const held: Held = { id: `${stream}/${streamSeq}`, attempt, streamSeq, message, controller: new AbortController(), reply: message.reply, settling: undefined };
    if (known !== undefined) this.leases.end(known); // given back, and here before the server's word that it is
    this.held.set(streamSeq, held);
    this.leases.begin(held);
    this.waiting.push(held);
    this.wanted = false; // now, as the end of the request may come in the same turn
    this.wake();
  }

  /** The request has ended before all of it has come. */
  private hearStatus({ headers, subject }: NatsMessage): void {
    if (headers === undefined || headers.code < 400 || subject !== `${this.inbox}.${this.request}`) return;
    this.requested = 0;
    const { service, stream, consumer } = this.settings;
    const said = headers.description.toLowerCase();
    if (headers.code === 404 || headers.code === 408) return this.ask();
    if (headers.code === 409 && /deleted/.test(said)) {
      return this.fail(new MillraceError("not_found", `${service}: consumer ${consumer} of stream ${stream} was deleted`, { service, scope: "dependency" }));
    }
    if (headers.code === 400 || /maxrequest/.test(said)) {
      return this.fail(new MillraceError("conflict", `${service}: consumer ${consumer} refuses the request for messages: ${said}`, { service, scope: "process" }));
    }
    this.again(); // the consumer moves to another server, has too many readers, or is not there
  }

  /** Looks at the consumer, and asks for messages. */
  private async begin(): Promise<void> {
    if (this.state !== "reading") return;
    try {
      const state = await this.settings.look(this.options.signal);
      if (this.state !== "reading") return;
      this.gaps.begin(state);
      this.paused = false;
      this.ask();
    } catch (error) {
      const passes = isMillraceError(error, "unavailable") || isMillraceError(error, "timeout");
      if (passes) this.again();
      else this.fail(error);
    }
  }

  private again(): void {
    this.paused = true;
    this.cancelAgain ??= this.settings.clock.timeout(againMs * (1 + Math.random()), () => {
      this.cancelAgain = undefined;
      void this.begin();
    });
  }

  private ask(gathered = false): void {
    const { maxInFlight } = this.options;
    const { clock } = this.settings;
    const room = maxInFlight - this.held.size;
    if (!this.wanted || this.requested > 0 || room <= 0 || this.paused || this.state !== "reading") return;
    if (!gathered && room < maxInFlight / 4) {
      // what is settled one by one, in one turn of the loop, is not asked for one by one
      this.cancelGathering ??= clock.timeout(0, () => {
        this.cancelGathering = undefined;
        this.ask(true);
      });
      return;
    }
    this.request += 1;
    this.requested = room;
    this.heardMs = clock.now();
    // with both: wait for a message, and end with the last there is
    const request = { batch: room, expires: expiresMs * 1_000_000, no_wait: true };
    this.publish(this.next, JSON.stringify(request), `${this.inbox}.${this.request}`);
    this.cancelWatch ??= clock.timeout(lostMs, () => this.watch());
  }

  /** A request of which nothing was heard for too long went with the server that had it. */
  private watch(): void {
    this.cancelWatch = undefined;
    if (this.requested === 0 || this.state !== "reading") return;
    const leftMs = this.heardMs + lostMs - this.settings.clock.now();
    if (leftMs > 0) {
      this.cancelWatch = this.settings.clock.timeout(leftMs, () => this.watch());
      return;
    }
    this.requested = 0;
    this.ask();
  }

  private lose(held: Held, why: string): void {
    if (!this.isHeld(held)) return;
    const at = this.waiting.indexOf(held);
    if (at >= 0) this.waiting.splice(at, 1);
    this.end(held, why);
    this.release(held);
  }

  private giveBack(held: Held, why: string): void {
    this.publish(held.reply, negative);
    this.held.delete(held.streamSeq);
    this.leases.end(held);
    this.end(held, why);
  }

  private end({ id, controller }: Held, why: string): void {
    const { service } = this.settings;
    controller.abort(new MillraceError("closed", `${service}: delivery ${id} is lost: ${why}`, { service }));
  }

  /** Without an answer. What does not arrive is as if it had not been asked or said: the lease gives it back. */
  private publish(subject: string, payload: string, reply?: string): void {
    try {
      this.client?.publish(subject, payload, reply === undefined ? {} : { reply });
    } catch {
      // the client has ended, of which the connection tells
    }
  }
}
