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
  private backMs = Infinity;

  /** `over` hears of the end of each; what was before the first answer is none. */
  constructor(over: (awayMs: number) => void) {
    this.over = over;
  }

  /** A call failed that was sent then. One that was sent before the server was back is of an outage that is over. */
  gone(askedMs: number, error: unknown): void {
    if (askedMs >= this.backMs && !isMillraceError(error, "conflict")) this.lostMs ??= askedMs; // a conflict is an answer
  }

  /** The server has answered. */
  back(): void {
    if (this.lostMs === undefined && this.backMs !== Infinity) return;
    this.backMs = systemClock.now();
    if (this.lostMs !== undefined) this.over(this.backMs - this.lostMs);
    this.lostMs = undefined;
  }
}
