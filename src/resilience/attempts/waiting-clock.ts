/**
 * The clocks of a stream that run only while a part is being waited for, on one timer.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

/** Milliseconds; `Infinity` for a clock that does not run. */
export interface WaitingTimes {
  /** To the first content. */
  readonly firstMs: number;
  /** Between signs of life, after it. */
  readonly idleMs: number;
  /** Between content, after it. */
  readonly progressMs: number;
}

/**
 * A part that is ready costs a few assignments; one that is waited for costs a look at the clock. The timer is set anew only
 * where it would come too late: where it comes too early, it looks again.
 */
export class WaitingClock {
  private readonly clock: Clock;
  private readonly times: WaitingTimes;
  private readonly expired: (phase: "firstPart" | "idle" | "progress", ms: number) => void;
  private readonly runs: boolean;
  private first = true;
  /** Since when the present wait lasts; NaN when nobody waits. */
  private fromMs = Number.NaN;
  /** When there was a sign of life last, within this wait. */
  private aliveMs = 0;
  /** Waited for content already, in earlier waits. */
  private usedMs = 0;
  private armedForMs = Infinity;
  private disarm: (() => void) | undefined = undefined;

  constructor(clock: Clock, times: WaitingTimes, expired: (phase: "firstPart" | "idle" | "progress", ms: number) => void) {
    this.clock = clock;
    this.times = times;
    this.expired = expired;
    this.runs = Math.min(times.firstMs, times.idleMs, times.progressMs) !== Infinity;
  }

  /** Somebody waits. */
  start(): void {
    if (!this.runs) return;
    this.fromMs = this.aliveMs = this.clock.now();
    this.arm();
  }

  /** What was waited for came, or something that was ready. */
  arrived(isContent: boolean): void {
    if (isContent) {
      this.first = false;
      this.usedMs = 0;
    } else if (!Number.isNaN(this.fromMs)) {
      this.usedMs += this.clock.now() - this.fromMs;
    }
    this.fromMs = Number.NaN;
  }

  /** There was a sign of life while somebody waits. */
  alive(): void {
    if (!Number.isNaN(this.fromMs)) this.aliveMs = this.clock.now();
  }

  /** Leaves no timer. */
  cancel(): void {
    this.disarm?.();
  }

  private get contentDueMs(): number {
    return this.fromMs - this.usedMs + (this.first ? this.times.firstMs : this.times.progressMs);
  }

  private get idleDueMs(): number {
    return this.first ? Infinity : this.aliveMs + this.times.idleMs;
  }

  private arm(): void {
    const dueMs = Math.min(this.contentDueMs, this.idleDueMs);
    if (dueMs >= this.armedForMs) return;
    this.cancel();
    this.armedForMs = dueMs;
    this.disarm = this.clock.timeout(dueMs - this.clock.now(), this.look);
  }

  private readonly look = (): void => {
    this.armedForMs = Infinity;
    if (Number.isNaN(this.fromMs)) return; // set again by the next wait
    const nowMs = this.clock.now();
    if (this.idleDueMs <= nowMs) this.expired("idle", this.times.idleMs);
    else if (this.contentDueMs > nowMs) this.arm();
    else if (this.first) this.expired("firstPart", this.times.firstMs);
    else this.expired("progress", this.times.progressMs);
  };
}
