/**
 * Requests by one subscription and one timer for all that are on their way.
 *
 * The client's own request makes a timer and an error with its stack for each, which is most of what a message costs here.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { type Deadline, Deadlines } from "../../core/deadlines.ts";
import type { NatsClient, NatsHeaders, NatsMessage, NatsSubscription } from "./client.ts";

/** A request without its answer. */
interface Ask {
  readonly what: string;
  readonly inbox: string;
  limit: Deadline<Ask> | undefined;
  resolve(answer: NatsMessage): void;
  reject(error: unknown): void;
}

/** Why a request has no answer: in time, at all, or because nobody is there. */
export type Unanswered = "late" | "lost" | "unheard";

/** Requests on one client. */
export class Asks {
  private readonly client: NatsClient;
  private readonly inbox: string;
  private readonly unanswered: (what: string, why: Unanswered) => unknown;
  private readonly waiting = new Map<string, Ask>();
  private readonly limits: Deadlines<Ask>;
  private readonly timeoutMs: number;
  private readonly subscription: NatsSubscription;
  private count = 0;

  /** `unanswered` makes the error. */
  constructor(client: NatsClient, options: { readonly inboxPrefix: string; readonly timeoutMs: number; readonly clock: Clock }, unanswered: (what: string, why: Unanswered) => unknown) {
    this.client = client;
    this.inbox = `${options.inboxPrefix}.${crypto.randomUUID().replaceAll("-", "")}`;
    this.unanswered = unanswered;
    this.timeoutMs = options.timeoutMs;
    this.limits = new Deadlines(options.clock, (ask) => this.end(ask, "late"));
    this.subscription = client.subscribe(`${this.inbox}.*`, { callback: (error, message) => (error === null ? this.hear(message) : this.lose()) });
  }

  /** Resolves with the server's answer. */
  ask(what: string, subject: string, payload: Uint8Array | string, headers?: NatsHeaders): Promise<NatsMessage> {
    return new Promise((resolve, reject) => {
      this.count += 1;
      const inbox = `${this.inbox}.${this.count}`;
      const ask: Ask = { what, inbox, limit: undefined, resolve, reject };
      this.client.publish(subject, payload, headers === undefined ? { reply: inbox } : { reply: inbox, headers });
      this.waiting.set(inbox, ask);
      ask.limit = this.limits.begin(ask, this.timeoutMs);
    });
  }

  /** None of them will be answered any more. */
  lose(): void {
    for (const ask of this.waiting.values()) this.end(ask, "lost");
  }

  stop(): void {
    this.lose();
    this.limits.close();
    if (!this.client.isClosed()) this.subscription.unsubscribe();
  }

  private hear(answer: NatsMessage): void {
    const ask = this.waiting.get(answer.subject);
    if (ask === undefined) return; // too late
    if (answer.data.byteLength === 0 && answer.headers?.code === 503) return this.end(ask, "unheard");
    this.waiting.delete(ask.inbox);
    if (ask.limit !== undefined) this.limits.drop(ask.limit);
    ask.resolve(answer);
  }

  private end(ask: Ask, why: Unanswered): void {
    this.waiting.delete(ask.inbox);
    if (ask.limit !== undefined) this.limits.drop(ask.limit);
    ask.reject(this.unanswered(ask.what, why));
  }
}
