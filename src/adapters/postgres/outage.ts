/**
 * When a reader has noticed that the server is gone, and when it has it again.
 *
 * @module
 */
import { systemClock } from "../../core/clock.ts";
import { isMillraceError } from "../../core/errors.ts";

/** The outages of one reading. */
export class Outage {
  private readonly over: (awayMs: number) => void;
  /** When the call was sent that was not answered, and when the server was last back. */
  private lostMs: number | undefined;
  private noticedMs = 0;
  private backMs = Infinity;

  /** `over` hears of the end of each; what was before the first answer is none. */
  constructor(over: (awayMs: number) => void) {
    this.over = over;
  }

  /** A call failed that was sent then. One that was sent before the server was back is of an outage that is over. */
  gone(askedMs: number, error: unknown): void {
    if (askedMs < this.backMs || isMillraceError(error, "conflict") || this.lostMs !== undefined) return; // a conflict is an answer
    this.lostMs = askedMs;
    this.noticedMs = systemClock.now();
  }

  /** The server has answered a call that was sent then. What had been asked before it was noticed may have been answered before it was gone. */
  back(askedMs: number): void {
    if (this.lostMs === undefined ? this.backMs !== Infinity : askedMs <= this.noticedMs) return;
    this.backMs = systemClock.now();
    if (this.lostMs !== undefined) this.over(this.backMs - this.lostMs);
    this.lostMs = undefined;
  }
}
