/**
 * Reads a queue on a connection of its own, and connects again when that is lost: what was out then is void, and comes again.
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { Delivery, QueueOpenOptions } from "../../kinds/queue.ts";
import { heard } from "../../wire/heard.ts";
import type { AmqpMessage } from "./client.ts";
import { service } from "./dial.ts";
import { endSession } from "./ending.ts";
import { openLink } from "./link.ts";
import { giveBack, Outstanding, type OutstandingSettings, type Session } from "./outstanding.ts";
import { Pace } from "./pace.ts";

/** Of the queue that is read. */
export interface ReaderSettings extends OutstandingSettings {
  /** Hears of its first pull; throws where there can be none. */
  begun(reader: Reader, signal: AbortSignal): void;
  /** Hears of its end. */
  ended(reader: Reader): void;
}

/** AMQP's number for a prefetch has sixteen bits. */
const maxPrefetch = 65_535;

/** One `open`. */
export class Reader {
  private readonly settings: ReaderSettings;
  private readonly maxInFlight: number;
  private readonly pace: Pace;
  private readonly stop = new AbortController();
  private readonly out: Outstanding;
  /** Came and not yet handed out; with those that are out never more than `maxInFlight`. */
  private ready: AmqpMessage[] = [];
  private session: Session | undefined;
  private epochs = 0;
  private drained = false;
  private failure: { readonly error: unknown } | undefined;
  private wake: () => void = () => {};
  private closing: Promise<void> | undefined;
  private tell: QueueOpenOptions["tell"];

  constructor(settings: ReaderSettings, maxInFlight: number) {
    this.settings = settings;
    this.maxInFlight = Math.min(maxInFlight, maxPrefetch);
    this.pace = new Pace(settings.clock);
    this.out = new Outstanding(settings, () => this.leaveWhenDone());
  }

  /** Hands out until it is left or drained. */
  async *read({ signal, drain, tell }: Pick<QueueOpenOptions, "signal" | "drain" | "tell">): AsyncGenerator<Delivery, void> {
    this.tell = tell;
    this.settings.begun(this, signal);
    if (drain?.aborted === true) return void this.leave(undefined);
    const abort = (): void => void this.leave(signal.reason);
    const draining = (): void => this.drain();
    signal.addEventListener("abort", abort, { once: true }); // also of a reader that nobody pulls any more
    drain?.addEventListener("abort", draining, { once: true });
    this.stop.signal.addEventListener("abort", () => {
      signal.removeEventListener("abort", abort);
      drain?.removeEventListener("abort", draining);
    });
    try {
      await this.begin().catch((error: unknown) => this.fail(error));
      for (;;) {
        if (this.drained) return;
        if (this.failure !== undefined) throw this.failure.error;
        const { session } = this;
        const came = session === undefined ? undefined : this.ready.shift();
        if (came !== undefined && session !== undefined) yield this.out.deliver(came, session);
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      if (!this.drained) {
        const isLeft = this.failure === undefined;
        const left = this.leave(new MillraceError("closed", `${service}: the reader of ${this.settings.name} has left`, { service }));
        if (isLeft) await left; // until what it held is back; an abort and an error wait for nobody
      }
    }
  }

  /** Ends it: what is out is lost to its holders, and goes back to the queue. */
  leave(reason: unknown): Promise<void> {
    this.closing ??= this.end(reason);
    return this.closing;
  }

  private async end(reason: unknown): Promise<void> {
    const { session } = this;
    this.session = undefined;
    if (!this.drained) this.fail(reason);
    this.stop.abort(reason);
    this.out.flush();
    this.lose("its reader has left");
    if (session !== undefined) await endSession(session, this.settings.name, this.settings.counts, this.settings.clock);
    this.settings.ended(this);
  }

  /** Ends the handing out; what is out can still be settled. */
  private drain(): void {
    this.drained = true;
    this.wake();
    const { session } = this;
    if (session?.tag === undefined) return void this.leave(undefined); // between two connections nothing is out
    for (const came of this.ready.splice(0)) giveBack(session, came);
    session.isConsuming = false;
    session.unanswered = 0; // the queue answers for all of them when the consumer ends
    // what comes before the broker has heard of it is given back
    session.channel.cancel(session.tag).then(
      () => this.leaveWhenDone(),
      () => {}, // the session is over
    );
  }

  private leaveWhenDone(): void {
    if (this.drained && this.out.size === 0) void this.leave(undefined);
  }

  /** Connects; throws what went wrong. */
  private async begin(): Promise<void> {
    const { dialing, clock, name, delayQueues } = this.settings;
    const { signal } = this.stop;
    const link = await openLink(dialing, signal, clock);
    try {
      const channel = await heard(link.connection.createChannel(), signal);
      this.epochs += 1;
      const session: Session = { link, channel, epoch: this.epochs, tag: undefined, isConsuming: true, unanswered: 0, over: undefined };
      this.watch(session);
      for (const needed of delayQueues) await heard(channel.checkQueue(needed), signal);
      await heard(channel.prefetch(this.maxInFlight), signal);
      this.session = session; // messages may come before the answer
      const { consumerTag } = await heard(channel.consume(name, (came) => this.came(session, came)), signal);
      if (session.over !== undefined) throw session.over;
      session.tag = consumerTag;
      this.pace.opened();
    } catch (error) {
      this.session = undefined;
      this.lose("its connection is lost");
      const closed = link.close();
      if (signal.aborted) await closed; // whoever ends the reader waits for it
      throw signal.aborted ? signal.reason : dialing.toError(`queue ${name}`, error);
    }
  }

  private watch(session: Session): void {
    const { channel, link } = session;
    const { dialing, name } = this.settings;
    let why: MillraceError | undefined;
    channel.on("error", (error) => (why = dialing.toError(`queue ${name}`, error)));
    const gone = (error: MillraceError): void => {
      session.over ??= error;
      // one that is still being opened fails by itself
      if (session === this.session && session.tag !== undefined) this.lost(session);
    };
    channel.on("close", () => gone(why ?? new MillraceError("unavailable", `${service}: the channel is lost`, { service })));
    link.lost.addEventListener("abort", () => gone(link.lost.reason), { once: true });
  }

  private came(session: Session, came: AmqpMessage | null): void {
    if (session !== this.session) return;
    if (came === null) {
      void this.leave(new MillraceError("not_found", `${service}: queue ${this.settings.name} was deleted`, { service, scope: "dependency" }));
    } else if (this.drained) giveBack(session, came);
    else {
      this.ready.push(came);
      this.wake();
    }
  }

  /** The connection or the channel is gone, for whatever reason: the next one tells whether that lasts. */
  private lost({ link }: Session): void {
    this.session = undefined;
    this.lose("its connection is lost");
    void link.close();
    if (this.drained) void this.leave(undefined);
    else void this.resume();
  }

  /** Connects again, as often as it takes; gives up where trying again does not help. */
  private async resume(): Promise<void> {
    const { signal } = this.stop;
    const { clock, name } = this.settings;
    const lostMs = clock.now();
    for (;;) {
      try {
        await clock.sleep(this.pace.failed(), signal);
        await this.begin();
        return this.tell?.({ kind: "reconnected", queue: name, awayMs: clock.now() - lostMs });
      } catch (error) {
        if (signal.aborted) return;
        if (!isMillraceError(error) || !error.retryable) return void this.leave(error);
      }
    }
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    this.wake();
  }

  /** What is out is its holders' no more, and what has come is nobody's. */
  private lose(why: string): void {
    this.ready = [];
    this.out.lose(why);
  }
}
