/**
 * Calls in a queue before the marks of a rate limit: who came first is served first.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import type { Advanced, MarkSteps } from "../../kinds/marks.ts";
import { type Asked, back, type LimitMarks } from "./limit-marks.ts";

/** The mark until which nobody starts, because a service asked for it. */
export const pause = "pause";

/** What others give back in a store is not told: it is asked again after this at most. */
const askAgainMs = 1_000;
/** A wait for what others want too is longer by up to a tenth, and by this at most: so that not always the same one is first. */
const maxJitterMs = 50;

/** How calls wait. */
export interface QueueOptions {
  readonly queue: number;
  readonly waitMs: number;
  readonly clock: Clock;
  readonly random: () => number;
}

/** A place in the queue. */
export interface Turn {
  /** Resolves when the room is taken. */
  readonly taken: Promise<void>;
  leave(): void;
}

/** A call that waits for room. */
interface Waiter {
  readonly steps: MarkSteps;
  readonly deadlineMs: number;
  grant(): void;
  refuse(error: unknown): void;
}

/** Serves one call after the other. */
export class Limiter {
  private readonly marks: LimitMarks;
  private readonly options: QueueOptions;
  private readonly waiters = new Set<Waiter>(); // in the order of coming
  /** What the first one waits for: an answer, or time. */
  private asked: Asked | undefined = undefined;
  private cancelTimer: (() => void) | undefined = undefined;
  /** When there is room for the first one, as it was last told. */
  private roomAtMs = 0;

  constructor(marks: LimitMarks, options: QueueOptions) {
    this.marks = marks;
    this.options = options;
  }

  get waiting(): number {
    return this.waiters.size;
  }

  /** Takes room for a call: at once (`undefined`), or in its turn. Throws when too many wait. */
  take(steps: MarkSteps): Turn | undefined {
    const { queue } = this.options;
    if (this.waiters.size >= queue) throw this.refusal(`${this.waiters.size} calls wait already (queue ${queue})`);
    if (this.waiters.size > 0) return this.join(steps).turn;
    const answer = this.marks.ask(steps);
    if ("taken" in answer && answer.taken) return undefined;
    const { waiter, turn } = this.join(steps);
    this.hear(waiter, answer);
    return turn;
  }

  /** There is more room than the first one was told, or none for too long: it is asked for again now. */
  wake(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
    this.serve();
  }

  private join(steps: MarkSteps): { readonly waiter: Waiter; readonly turn: Turn } {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { clock, waitMs } = this.options;
    const waiter: Waiter = { steps, deadlineMs: clock.now() + waitMs, grant: resolve, refuse: reject };
    this.waiters.add(waiter);
    return { waiter, turn: { taken: promise, leave: () => this.leave(waiter) } };
  }

  private leave(waiter: Waiter): void {
    const [first] = this.waiters;
    this.waiters.delete(waiter);
    if (first !== waiter) return;
    this.asked?.leave();
    this.asked = undefined;
    this.wake(); // the next one may need less
  }

  private serve(): void {
    while (this.asked === undefined && this.cancelTimer === undefined) {
      const [first] = this.waiters;
      if (first === undefined) return;
      try {
        this.hear(first, this.marks.ask(first.steps));
      } catch (error) {
        this.refuse(first, error);
      }
    }
  }

  private hear(first: Waiter, answer: Advanced | Asked): void {
    if ("taken" in answer) return this.settle(first, answer);
    this.asked = answer;
    const isAwaited = (): boolean => {
      if (this.asked !== answer) return false; // the waiter has left
      this.asked = undefined;
      return true;
    };
    answer.answer.then(
      (advanced) => {
        if (isAwaited()) {
          this.settle(first, advanced);
          this.serve();
        } else if (advanced.taken) this.marks.move(back(first.steps));
      },
      (error: unknown) => {
        if (!isAwaited()) return;
        this.refuse(first, error);
        this.serve();
      },
    );
  }

  /** The first one has its answer: it goes, waits on, or has waited long enough. */
  private settle(first: Waiter, { taken, waitMs, aheadMs }: Advanced): void {
    const { clock, random } = this.options;
    this.roomAtMs = clock.now() + waitMs;
    if (taken) {
      this.waiters.delete(first);
      first.grant();
      return;
    }
    const leftMs = first.deadlineMs - clock.now();
    if (leftMs <= 0) return this.refuse(first, this.refusal(`waited ${this.options.waitMs} ms for room (waitMs)`));
    if ((aheadMs[pause] ?? 0) > leftMs) return this.refuse(first, this.refusal(`the service asked to keep away for longer than a call waits (waitMs ${this.options.waitMs})`));
    const ms = this.marks.shared ? Math.min(waitMs + Math.min(waitMs / 10, maxJitterMs) * random(), askAgainMs) : waitMs;
    this.cancelTimer = clock.timeout(Math.min(ms, leftMs), () => this.wake());
  }

  private refuse(waiter: Waiter, error: unknown): void {
    this.waiters.delete(waiter);
    waiter.refuse(error);
  }

  private refusal(why: string): MillraceError {
    const retryAfterMs = Math.max(0, Math.ceil(this.roomAtMs - this.options.clock.now()));
    return new MillraceError("rate_limited", `rateLimit: ${why}, room in ${retryAfterMs} ms`, { retryAfterMs });
  }
}
