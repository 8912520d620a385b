/**
 * One reading of a queue: asks for messages when somebody waits for one, and holds them until they are settled (`holdings.ts`).
 *
 * The client's own loop asks for more as soon as a message has come, settled or not. Here what is asked for, waits or is out is
 * `maxInFlight` at most.
 *
 * @module
 */
import { isMillraceError } from "../../core/errors.ts";
import type { QueueOpenOptions } from "../../kinds/queue.ts";
import type { NatsClient, NatsMessage, NatsSubscription } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { ConsumerState, NatsNames } from "./consumer.ts";
import { endingOf } from "./endings.ts";
import { type Held, negative } from "./held.ts";
import { Holdings, type HoldingsSettings } from "./holdings.ts";
import { Gaps, placeIn } from "./place.ts";
import { Pulls } from "./pulls.ts";

/** Milliseconds, and up to as many more, before the server is asked again that would not keep a request. */
const againMs = 1_000;
/** Milliseconds that leaving waits for what is on its way. */
const leaveMs = 1_000;

/** Of all readings of a queue. */
export interface ReaderSettings extends NatsNames, HoldingsSettings {
  readonly connection: Connection;
  readonly inboxPrefix: string;
  /** Asks the server for the consumer; throws for one that cannot be used. */
  readonly look: (signal: AbortSignal | undefined) => Promise<ConsumerState>;
}

/** One reading. */
export class Reader {
  private readonly settings: ReaderSettings;
  private readonly options: QueueOpenOptions;
  private readonly held: Holdings;
  private readonly gaps = new Gaps();
  private readonly inbox: string;
  private readonly pulls: Pulls;
  private readonly unwatch: () => void;
  private readonly forgotten: () => void;
  private client: NatsClient | undefined;
  private subscription: NatsSubscription | undefined;
  /** Somebody waits for a message. */
  private wanted = false;
  private failure: { readonly error: unknown } | undefined;
  private state: "opening" | "reading" | "drained" | "left" = "opening";
  /** Nothing is asked for: the connection is gone, or the consumer is being looked at. */
  private paused = true;
  /** When the connection was lost that has not come back since. */
  private lostMs: number | undefined;
  private wake: () => void = () => {};
  private cancelAgain: (() => void) | undefined;
  private checking: Promise<boolean> | undefined;

  /** `forgotten` is called once it holds nothing and gets nothing any more. */
  constructor(settings: ReaderSettings, options: QueueOpenOptions, forgotten: () => void) {
    const { connection, inboxPrefix, stream, consumer, clock } = settings;
    this.settings = settings;
    this.options = options;
    this.forgotten = forgotten;
    this.inbox = `${inboxPrefix}.${crypto.randomUUID().replaceAll("-", "")}`;
    const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.pulls = new Pulls({
      inbox: this.inbox,
      maxInFlight: options.maxInFlight,
      clock,
      publish: (payload, reply) => this.publish(next, payload, reply),
      again: (gathered) => this.ask(gathered),
    });
    this.held = new Holdings(settings, (held) => this.lose(held, "its lease is over"));
    this.unwatch = connection.watch({
      down: () => {
        this.paused = true;
        this.pulls.end();
        if (this.state === "reading") this.lostMs ??= clock.now();
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
      const held = this.held.next();
      if (held !== undefined) return held;
      this.wanted = true;
      this.ask();
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  isHeld(held: Held): boolean {
    return this.held.has(held);
  }

  /** The server has been told what became of it. */
  release(held: Held): void {
    if (this.held.release(held)) this.released();
  }

  /** The lease goes on from then, when it was prolonged. */
  prolong(held: Held, atMs: number): void {
    if (this.isHeld(held)) this.held.lease(held, atMs);
  }

  /**
   * Looks whether the server still knows what is held here: an acknowledgement of what it has forgotten is never answered. Gives whether the
   * consumer is there, as far as is known. Asked once for all who want to know meanwhile; never rejects.
   */
  check(): Promise<boolean> {
    this.checking ??= this.look()
      .then(() => true, (error: unknown) => !isMillraceError(error, "not_found"))
      .finally(() => (this.checking = undefined));
    return this.checking;
  }

  /** Asks for no more; what is out stays out. */
  drain(): void {
    if (this.state === "drained" || this.state === "left") return;
    this.state = "drained";
    this.pulls.stop();
    this.unsubscribe().catch(() => {});
    for (const held of this.held.stop()) this.giveBack(held, "its reader is drained");
    if (this.held.size === 0) this.forget();
    this.wake();
  }

  /** Gives back what is unsettled. Resolves when the server has that, or after a second. */
  async leave(why: string): Promise<void> {
    if (this.state === "left") return;
    const { clock, connection } = this.settings;
    this.state = "left";
    this.held.stop();
    const unsubscribed = this.unsubscribe(); // first, or what is given back would come here again
    for (const held of this.held) if (held.settling === undefined) this.giveBack(held, why);
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
    this.held.close();
    this.pulls.stop();
    this.cancelAgain?.();
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
    this.pulls.heard();
    const place = message.reply ? placeIn(message.reply) : undefined;
    if (place === undefined || !message.reply) return this.hearStatus(message);
    this.pulls.arrived();
    if (this.state !== "reading") return this.publish(message.reply, negative);
    this.back(); // an old request may be served before the consumer's state is known
    const { stream } = this.settings;
    const { attempt, streamSeq } = place;
    const missing = this.gaps.before(place);
    if (missing > 0) this.options.tell?.({ kind: "gap", queue: stream, count: missing, reason: "dropped from the stream before anybody got them" });
    const known = this.held.at(streamSeq);
    if (known !== undefined && known.settling !== "nack") {
      // its lease goes on here, so the server has forgotten that it gave it out
      known.reply = message.reply;
      this.held.lease(known, this.settings.clock.now());
      return this.ask(); // it was not what somebody waits for, and may have been all that was asked for
    }
    this.held.keep({ id: `${stream}/${streamSeq}`, attempt, streamSeq, message, controller: new AbortController(), lease: undefined, reply: message.reply, settling: undefined });
    this.wanted = false; // now, as the end of the request may come in the same turn
    this.wake();
  }

  /** The request has ended before all of it has come. */
  private hearStatus({ headers, subject }: NatsMessage): void {
    const ending = endingOf(this.settings.service, this.settings, headers);
    if (ending === undefined || !this.pulls.isCurrent(subject)) return;
    this.pulls.end();
    if (ending === "now") this.ask();
    else if (ending === "later") this.again();
    else this.fail(ending);
  }

  /** Where the consumer stands. What it does not know to be out, since its server came back with an older state, is lost here, and comes again. */
  private async look(): Promise<ConsumerState> {
    const held = [...this.held]; // what comes meanwhile may be newer than the answer
    const state = await this.settings.look(this.options.signal);
    for (const each of held) if (each.streamSeq > state.delivered.streamSeq) this.lose(each, "the server has forgotten that it gave it out");
    return state;
  }

  /** Looks at the consumer, and asks for messages. */
  private async begin(): Promise<void> {
    if (this.state !== "reading") return;
    try {
      const state = await this.look();
      if (this.state !== "reading") return;
      this.gaps.begin(state);
      this.paused = false;
      this.back();
      this.ask();
    } catch (error) {
      const passes = isMillraceError(error, "unavailable") || isMillraceError(error, "timeout");
      if (passes) this.again();
      else this.fail(error);
    }
  }

  /** The consumer is there again: it has answered, or sent a message. */
  private back(): void {
    if (this.lostMs === undefined) return;
    const { stream, clock } = this.settings;
    this.options.tell?.({ kind: "reconnected", queue: stream, awayMs: clock.now() - this.lostMs });
    this.lostMs = undefined;
  }

  private again(): void {
    this.paused = true;
    this.cancelAgain ??= this.settings.clock.timeout(againMs * (1 + Math.random()), () => {
      this.cancelAgain = undefined;
      void this.begin();
    });
  }

  private ask(gathered = false): void {
    const room = this.options.maxInFlight - this.held.size;
    if (this.wanted && room > 0 && !this.paused && this.state === "reading") this.pulls.ask(room, gathered);
  }

  private lose(held: Held, why: string): void {
    if (this.held.lose(held, why)) this.released();
  }

  private giveBack(held: Held, why: string): void {
    this.publish(held.reply, negative);
    this.held.lose(held, why);
  }

  /** There is room for one more. */
  private released(): void {
    if (this.state === "drained" && this.held.size === 0) this.forget();
    else this.ask();
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
