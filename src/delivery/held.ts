/**
 * A delivery while the worker has it: its lease is prolonged, and whether it is still the worker's is known.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { type Deadline, Deadlines } from "../core/deadlines.ts";
import { isMillraceError, MillraceError } from "../core/errors.ts";
import type { Delivery } from "../kinds/queue.ts";

/** A lease is prolonged when a third of it has gone: one failure to do so is not the end of it. */
const renewals = 3;

/** Prolongs the leases of what is out. */
export class Leases {
  readonly ms: number;
  readonly clock: Clock;
  private readonly due: Deadlines<Held>;

  constructor(ms: number, clock: Clock) {
    this.ms = ms;
    this.clock = clock;
    this.due = new Deadlines(clock, (held) => held.renew());
  }

  keep(held: Held): Deadline<Held> {
    return this.due.begin(held, this.ms / renewals);
  }

  release(node: Deadline<Held>): void {
    this.due.drop(node);
  }

  /** None is prolonged any more. */
  close(): void {
    this.due.close();
  }
}

/** A delivery that is out. */
export class Held {
  readonly delivery: Delivery;
  /** It was acknowledged or given back, or there was an attempt to: nothing more is done with it. */
  settled = false;
  private readonly leases: Leases | undefined;
  private renewal: Deadline<Held> | undefined;
  private renewedMs = 0;
  /** Why its lease is over, by the worker's own reckoning. */
  private expired: MillraceError | undefined;
  private listener: (() => void) | undefined;

  constructor(delivery: Delivery, leases: Leases | undefined) {
    this.delivery = delivery;
    this.leases = delivery.extend === undefined ? undefined : leases;
    if (this.leases === undefined) return;
    this.renewedMs = this.leases.clock.now();
    this.renewal = this.leases.keep(this);
  }

  /** Is it the worker's no more? */
  get lost(): boolean {
    return this.expired !== undefined || this.delivery.signal.aborted;
  }

  /** Why it is lost. */
  get reason(): unknown {
    return this.expired ?? this.delivery.signal.reason;
  }

  /** One listener, until `deaf`, hears when it is lost. */
  listen(listener: () => void): void {
    this.listener = listener;
    this.delivery.signal.addEventListener("abort", listener, { once: true });
  }

  deaf(): void {
    if (this.listener === undefined) return;
    this.delivery.signal.removeEventListener("abort", this.listener);
    this.listener = undefined;
  }

  /** Nothing is prolonged any more. */
  release(): void {
    if (this.renewal !== undefined) this.leases?.release(this.renewal);
  }

  /** A third of the lease has gone. */
  renew(): void {
    const { leases, delivery } = this;
    if (leases === undefined || this.lost) return;
    const askedMs = leases.clock.now(); // the broker's lease begins no earlier
    if (askedMs - this.renewedMs >= leases.ms) return this.expire(leases);
    this.renewal = leases.keep(this); // goes on also if the call never settles
    delivery.extend?.(leases.ms).then(
      () => {
        this.renewedMs = askedMs;
      },
      (error: unknown) => {
        // anything else may be better at the next third
        if (isMillraceError(error, "closed") || isMillraceError(error, "conflict") || isMillraceError(error, "not_found")) this.expire(leases);
      },
    );
  }

  private expire(leases: Leases): void {
    if (this.settled || this.lost) return;
    this.expired = new MillraceError("closed", `consume: the lease of ${leases.ms} ms of delivery ${this.delivery.id} is over`);
    this.listener?.();
  }
}
