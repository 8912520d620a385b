/**
 * A delivery while the worker has it: its lease is prolonged, and whether it is still the worker's is known.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { isMillraceError, MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import type { Delivery } from "../kinds/queue.ts";

/** A lease is prolonged when a third of it has gone: one failure to do so is not the end of it. */
const renewals = 3;

/** A delivery that is out. */
export class Held {
  readonly delivery: Delivery;
  /** It was acknowledged or given back, or there was an attempt to: nothing more is done with it. */
  settled = false;
  private readonly controller = new AbortController();
  private cancel: () => void = ignore;
  private renewedMs: number;
  private readonly lose = (): void => {
    this.release();
    this.controller.abort(this.delivery.signal.reason);
  };

  constructor(delivery: Delivery, leaseMs: number | undefined, clock: Clock) {
    this.delivery = delivery;
    this.renewedMs = clock.now();
    if (delivery.signal.aborted) this.lose();
    else delivery.signal.addEventListener("abort", this.lose, { once: true });
    if (!this.lost && leaseMs !== undefined && delivery.extend !== undefined) this.keep(leaseMs, clock);
  }

  /** Aborts when the delivery is the worker's no more. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get lost(): boolean {
    return this.controller.signal.aborted;
  }

  /** Nothing is prolonged and listened to any more. */
  release(): void {
    this.cancel();
    this.cancel = ignore;
    this.delivery.signal.removeEventListener("abort", this.lose);
  }

  private keep(leaseMs: number, clock: Clock): void {
    this.cancel = clock.timeout(leaseMs / renewals, () => {
      const askedMs = clock.now(); // the broker's lease begins no earlier
      if (askedMs - this.renewedMs >= leaseMs) return this.expire(leaseMs);
      this.keep(leaseMs, clock); // goes on also if the call never settles
      this.delivery.extend?.(leaseMs).then(
        () => {
          this.renewedMs = askedMs;
        },
        (error: unknown) => {
          // anything else may be better at the next third
          if (isMillraceError(error, "closed") || isMillraceError(error, "conflict") || isMillraceError(error, "not_found")) this.expire(leaseMs);
        },
      );
    });
  }

  private expire(leaseMs: number): void {
    if (this.settled || this.lost) return;
    this.release();
    this.controller.abort(new MillraceError("closed", `consume: the lease of ${leaseMs} ms of delivery ${this.delivery.id} is over`));
  }
}
