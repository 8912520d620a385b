/**
 * Requests for messages, one at a time. A request ends with the messages that there are, so that a reader which nobody pulls keeps none from
 * the others; one of which nothing is heard for too long went with the server that had it.
 *
 * Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference, ADR-13 of nats-architecture-and-design
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** Milliseconds for which the server keeps a request for messages, and after which one of which nothing was heard is taken for lost. */
const expiresMs = 30_000;
const lostMs = 35_000;

/** Of one reading. */
export interface PullsOptions {
  /** Messages and statuses come to subjects below it. */
  readonly inbox: string;
  readonly maxInFlight: number;
  readonly clock: Clock;
  readonly publish: (payload: string, reply: string) => void;
  /** It may be time to ask; `gathered` when what was settled meanwhile has been waited for. */
  readonly again: (gathered: boolean) => void;
}

/** What the server is asked for, as far as is known. */
export class Pulls {
  private readonly options: PullsOptions;
  /** The request that the server has: its number, and how many messages of it have not come. */
  private request = 0;
  private requested = 0;
  private heardMs = 0;
  private cancelWatch: (() => void) | undefined;
  private cancelGathering: (() => void) | undefined;

  constructor(options: PullsOptions) {
    this.options = options;
  }

  /** Asks for so many at most, unless the server has a request. */
  ask(room: number, gathered: boolean): void {
    const { inbox, maxInFlight, clock, publish, again } = this.options;
    if (this.requested > 0) return;
    if (!gathered && room < maxInFlight / 4) {
      // what is settled one by one, in one turn of the loop, is not asked for one by one
      this.cancelGathering ??= clock.timeout(0, () => {
        this.cancelGathering = undefined;
        again(true);
      });
      return;
    }
    this.request += 1;
    this.requested = room;
    this.heard();
    // with both: wait for a message, and end with the last there is
    const request = { batch: room, expires: expiresMs * 1_000_000, no_wait: true };
    publish(JSON.stringify(request), `${inbox}.${this.request}`);
    this.cancelWatch ??= clock.timeout(lostMs, () => this.watch());
  }

  /** Something came. */
  heard(): void {
    this.heardMs = this.options.clock.now();
  }

  /** One of the messages asked for has come. */
  arrived(): void {
    this.requested = Math.max(0, this.requested - 1);
  }

  /** Does this come from the request that the server has, and not from one before it? */
  isCurrent(subject: string): boolean {
    return subject === `${this.options.inbox}.${this.request}`;
  }

  /** The server has no request any more. */
  end(): void {
    this.requested = 0;
  }

  /** No more is asked for. */
  stop(): void {
    this.cancelWatch?.();
    this.cancelGathering?.();
  }

  private watch(): void {
    this.cancelWatch = undefined;
    if (this.requested === 0) return;
    const { clock, again } = this.options;
    const leftMs = this.heardMs + lostMs - clock.now();
    if (leftMs > 0) {
      this.cancelWatch = clock.timeout(leftMs, () => this.watch());
      return;
    }
    this.end();
    again(false);
  }
}
