/**
 * One of those who read a shared call.
 *
 * @module
 */
import { DONE, type Flow, ignore, isPart, type Pulled } from "../../core/flow.ts";
import type { FinishPart, Part } from "../../core/part.ts";
import type { Scope } from "../../core/scope.ts";

/** How a shared call ended. */
export type FlightEnd = { readonly failed: false } | { readonly failed: true; readonly error: unknown };

/** A shared call as its readers see it. */
export interface ReadFlight {
  /** Readers whose pull is pending. */
  waiting: number;
  /** What keeps the answer; it never rejects, and a run should not end before it has settled. */
  readonly keepsUntil: Promise<void> | undefined;
  /** What a reader at this part number gets; nothing when it has to wait. */
  at(cursor: number, reader: FlightReader): Part | FlightEnd | undefined;
  /** A finish part as its reader sees it: the usage goes to one of them. */
  finishFor(cursor: number, part: FinishPart): FinishPart;
  leave(reader: FlightReader, why: unknown): Promise<void> | undefined;
}

/** One reader of a flight. */
export class FlightReader implements Flow {
  cursor = 0;
  readonly scope: Scope;
  private readonly flight: ReadFlight;
  private over = false;
  private failure: { readonly error: unknown } | undefined = undefined;
  private resolve: ((part: Part | typeof DONE) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(flight: ReadFlight, scope: Scope) {
    this.flight = flight;
    this.scope = scope;
  }

  pull(): Pulled {
    if (this.failure !== undefined) {
      const { error } = this.failure;
      this.failure = undefined;
      return Promise.reject(error);
    }
    if (this.over) return DONE;
    const next = this.flight.at(this.cursor, this);
    if (isPart(next)) return this.take(next);
    if (next !== undefined && !next.failed) return this.ended();
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.flight.waiting += 1;
      this.wake();
    });
  }

  private settled(): void {
    if (this.resolve !== undefined) this.flight.waiting -= 1;
    this.resolve = this.reject = undefined;
  }

  /** Looks again, if somebody waits. */
  wake(): void {
    const { resolve, reject } = this;
    if (resolve === undefined || reject === undefined) return;
    const next = this.flight.at(this.cursor, this);
    if (next === undefined || this.resolve === undefined) return; // looking may itself have woken it
    this.settled();
    if (isPart(next)) resolve(this.take(next));
    else if (!next.failed) resolve(this.ended());
    else {
      void this.leave(next.error);
      reject(next.error);
    }
  }

  private take(next: Part): Part {
    const { cursor } = this;
    this.cursor = cursor + 1;
    return next.kind === "finish" ? this.flight.finishFor(cursor, next) : next;
  }

  private ended(): typeof DONE {
    const kept = this.flight.keepsUntil;
    if (kept !== undefined) this.scope.waitUntil(kept);
    void this.leave(undefined);
    return DONE;
  }

  /** It is too far behind to be waited for. */
  detach(error: unknown): void {
    this.failure = { error };
    void this.leave(error);
  }

  close(why: unknown): Promise<void> | undefined {
    this.failure = undefined;
    this.reject?.(why);
    this.settled();
    return this.over ? undefined : this.leave(why);
  }

  private leave(why: unknown): Promise<void> | undefined {
    this.over = true;
    const closing = this.flight.leave(this, why);
    closing?.catch(ignore); // told to whoever waits for it
    return closing;
  }
}
