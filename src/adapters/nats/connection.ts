/**
 * A connection to NATS that comes back by itself, and what waits for it.
 *
 * The client keeps what is written while it is not connected, and throws it away when it is: so nothing is written then, callers wait
 * for the connection instead. And it leaves requests to their own time when the connection breaks, so that is heard here.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { natsFault } from "../../wire/nats-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import { type LazyClient, lazyClient } from "../../wire/sdk.ts";
import { Asks, type Unanswered } from "./asks.ts";
import { type NatsClient, type NatsHeaders, type NatsMessage, type NatsStates, packages } from "./client.ts";

/** How a connection is had. */
export interface ConnectionOptions {
  readonly service: string;
  /** A ready one, which is not closed. */
  readonly client?: NatsClient | undefined;
  /** Makes one. */
  readonly open: () => Promise<NatsClient>;
  readonly connectMs: number;
  /** Milliseconds for an answer to what is confirmed. */
  readonly timeoutMs: number;
  readonly inboxPrefix: string;
  readonly clock: Clock;
  readonly redact: Redact;
}

/** Hears of the connection: it is lost, it is back, or the client has given it up, with the error. */
export interface ConnectionWatch {
  readonly down: () => void;
  readonly up: () => void;
  readonly gone: (error: MillraceError) => void;
}

/** What may have happened to a request without an answer: a write may be done, a read is nothing. */
export type RequestKind = "read" | "write";

/** One connection, for all that an adapter does. */
export class Connection {
  private readonly options: ConnectionOptions;
  private readonly watches = new Set<ConnectionWatch>();
  private lazy: LazyClient<NatsClient>;
  /** The client whose states are heard. */
  private client: NatsClient | undefined;
  private states: NatsStates | undefined;
  private asks: Asks | undefined;
  private connected = false;
  private ended: Promise<void> | undefined;
  private gathering: Promise<void> | undefined;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.lazy = this.unopened();
  }

  /** As far as is known. */
  get isConnected(): boolean {
    return this.connected;
  }

  /** Hears of the connection until the returned function is called. */
  watch(watch: ConnectionWatch): () => void {
    this.watches.add(watch);
    return () => void this.watches.delete(watch);
  }

  /** The client, connected. Throws `unavailable` when it is not within `connectMs`, `closed` after the end. */
  async ready(signal: AbortSignal | undefined): Promise<NatsClient> {
    if (this.connected && this.client !== undefined && signal?.aborted !== true) return this.client;
    this.requireOpen();
    let client: NatsClient;
    try {
      client = await this.lazy.get(signal);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      const fault = this.toError("connect", error);
      if (!isMillraceError(fault, "timeout")) throw fault;
      throw new MillraceError("timeout", fault.message, { service: this.options.service, phase: "connect", cause: fault.cause });
    }
    this.requireOpen();
    if (this.client !== client) this.hear(client);
    if (!this.connected) await this.back(signal);
    return client;
  }

  /**
   * Sends a request once the connection is there. Without an answer a read throws `unavailable` or `timeout`, a write `interrupted`: it
   * may have been carried out.
   */
  async request<T>(what: string, kind: RequestKind, send: (client: NatsClient) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await this.together();
    const client = this.connected && this.client !== undefined && signal?.aborted !== true ? this.client : await this.ready(signal);
    return new Promise<T>((resolve, reject) => {
      const stop = (why: unknown): void => {
        this.watches.delete(watch);
        signal?.removeEventListener("abort", abort);
        reject(why);
      };
      const abort = (): void => stop(signal?.reason);
      const lost = (why: string): MillraceError => {
        const { service } = this.options;
        return kind === "read" ? new MillraceError("unavailable", `${service}: ${what}: ${why}`, { service }) : this.interrupted(what, why);
      };
      const watch: ConnectionWatch = { down: () => stop(lost("the connection was lost")), up: () => {}, gone: stop };
      this.watches.add(watch);
      signal?.addEventListener("abort", abort, { once: true });
      send(client).then(
        (value) => {
          this.watches.delete(watch);
          signal?.removeEventListener("abort", abort);
          resolve(value);
        },
        (error: unknown) => {
          const fault = this.toError(what, error);
          stop(kind === "write" && isMillraceError(fault, "timeout") ? lost("there was no answer in time") : fault);
        },
      );
    });
  }

  /**
   * Says something that the server answers, once the connection is there. Without an answer it throws `interrupted`: it may have been
   * carried out. Where nobody hears it at that moment, `not_found`: whoever should may be gone, or be chosen anew, which the caller finds out.
   */
  async ask(what: string, subject: string, payload: Uint8Array | string, signal: AbortSignal | undefined, headers?: NatsHeaders): Promise<NatsMessage> {
    await this.together();
    if (!this.connected || this.asks === undefined) await this.ready(signal);
    signal?.throwIfAborted();
    return this.asks?.ask(what, subject, payload, headers) ?? Promise.reject(this.unanswered(what, "lost"));
  }

  /** The error to throw for what the client threw; what neither server, client nor network made is handed on as it is. */
  toError(what: string, error: unknown): unknown {
    const { service, redact } = this.options;
    if (isMillraceError(error)) return error;
    const fault = natsFault(error);
    if (fault === undefined) return error;
    const { code, retryable, scope } = fault;
    const cause = quotedError(error, redact);
    const details = { service, cause, ...(retryable === undefined ? {} : { retryable }), ...(scope === undefined ? {} : { scope }) };
    return new MillraceError(code, `${service}: ${what}: ${cause.message}`, details);
  }

  /** Whoever waits gets `closed`, then the client goes if it was made here. Twice is once. */
  close(): Promise<void> {
    this.ended ??= this.end();
    return this.ended;
  }

  private async end(): Promise<void> {
    const { lazy } = this;
    this.connected = false;
    this.asks?.stop();
    this.states?.stop?.();
    const error = this.closedError();
    this.tell((watch) => watch.gone(error));
    await lazy.close();
  }

  private unopened(): LazyClient<NatsClient> {
    const { service, client, open } = this.options;
    const close = (opened: NatsClient): Promise<void> => opened.close();
    return lazyClient({ service, install: packages, client, open, close });
  }

  /** Listens to a client until it has ended. A client of ours that has ended is replaced at the next use. */
  private hear(client: NatsClient): void {
    this.client = client;
    this.connected = !client.isClosed();
    this.asks = client.isClosed() ? undefined : new Asks(client, this.options, (what, why) => this.unanswered(what, why));
    const states = client.status();
    this.states = states;
    const follow = async (): Promise<void> => {
      if (!client.isClosed()) {
        for await (const { type } of states) {
          if (this.ended !== undefined) return;
          if (type === "disconnect") this.turn(false);
          else if (type === "reconnect") this.turn(true);
        }
      }
      if (this.ended === undefined) this.lose(await client.closed()); // asked only now: a client keeps whoever waits for its end
    };
    void follow().catch((error: unknown) => this.lose(error));
  }

  /** The client has ended. */
  private lose(error: unknown): void {
    if (this.ended !== undefined) return;
    this.client = undefined;
    this.states = undefined;
    this.connected = false;
    this.asks?.stop();
    this.asks = undefined;
    if (this.options.client === undefined) this.lazy = this.unopened();
    const { service } = this.options;
    const fault = error === undefined ? undefined : this.toError("the connection is given up", error);
    const gone = isMillraceError(fault) ? fault : new MillraceError("unavailable", `${service}: the connection was closed`, { service });
    this.tell((watch) => watch.gone(gone));
  }

  private turn(connected: boolean): void {
    this.connected = connected;
    if (!connected) this.asks?.lose();
    this.tell((watch) => (connected ? watch.up() : watch.down()));
  }

  private tell(of: (watch: ConnectionWatch) => void): void {
    for (const watch of this.watches) of(watch); // those that leave meanwhile are not told, which is as it should be
  }

  /** Waits for the connection to come back. */
  private back(signal: AbortSignal | undefined): Promise<void> {
    const { service, clock, connectMs } = this.options;
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        cancel();
        unwatch();
        signal?.removeEventListener("abort", abort);
        settle();
      };
      const abort = (): void => done(() => reject(signal?.reason));
      const unwatch = this.watch({ down: () => {}, up: () => done(resolve), gone: (error) => done(() => reject(error)) });
      const late = new MillraceError("unavailable", `${service}: the connection is lost, and not back in ${connectMs} ms`, { service });
      const cancel = clock.timeout(connectMs, () => done(() => reject(late)));
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** What is asked in one turn of the loop is written at once: the client writes to its socket at the end of every microtask that asked. */
  private together(): Promise<void> {
    this.gathering ??= new Promise((resolve) => {
      setImmediate(() => {
        this.gathering = undefined;
        resolve();
      });
    });
    return this.gathering;
  }

  private unanswered(what: string, why: Unanswered): MillraceError {
    const { service } = this.options;
    if (why === "unheard") return new MillraceError("not_found", `${service}: ${what}: nobody is there to hear it`, { service, scope: "dependency" });
    return this.interrupted(what, why === "late" ? "there was no answer in time" : "the connection was lost");
  }

  private interrupted(what: string, why: string): MillraceError {
    const { service } = this.options;
    return new MillraceError("interrupted", `${service}: ${what}: ${why} before the answer; it may have been carried out`, { service });
  }

  private requireOpen(): void {
    if (this.ended !== undefined) throw this.closedError();
  }

  private closedError(): MillraceError {
    const { service } = this.options;
    return new MillraceError("closed", `${service}: the queue is closed`, { service });
  }
}
