/**
 * A call that may be made more than once: attempts one after the other until one comes to the commit point, then that one
 * straight through.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { isMillraceError, MillraceError } from "../core/errors.ts";
import { Fifo } from "../core/fifo.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, type Pulled } from "../core/flow.ts";
import type { Limits } from "../core/limits.ts";
import type { Part } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { reset } from "../core/reset.ts";
import { left, type Scope } from "../core/scope.ts";
import { Attempt } from "./attempt.ts";
import { interrupted, isContent, maxHeld, Tally } from "./commit.ts";
import { ReplayedInput, weightOf } from "./replay.ts";

/** What is done when an attempt fails after content was handed on. */
export type AfterCommit = "fail" | "buffer" | "restart";

/** What is tried next. */
export interface Try {
  readonly processor: Processor;
  readonly limits?: Limits | undefined;
  /** Changes what the attempt hands on. */
  readonly mark?: ((part: Part) => Part) | undefined;
  /** Its parts go on where those of the last attempt ended, instead of taking their place. */
  readonly continues?: boolean;
}

/** A failure of an attempt, which may be undone by another. */
export interface Failure {
  readonly error: unknown;
  /** Before the commit point. */
  readonly open: boolean;
}

/** How a call came to its end. */
export type CallOutcome = "complete" | "failed" | "left";

/** What every such call is told. */
export interface CallOptions {
  /** Who, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly afterCommit: AfterCommit;
  readonly bufferBytes: number;
  /** Bytes of input that are kept; nothing is kept without. */
  readonly replayBytes: number | undefined;
}

/** Attempts in a row. What is tried, and when, is up to `next`. */
export abstract class Call implements Flow {
  protected readonly scope: Scope;
  protected readonly input: ReplayedInput;
  protected readonly tally: Tally = new Tally();
  protected readonly options: CallOptions;
  protected attempt: Attempt | undefined = undefined;
  /** Ended, failed or left. */
  protected over = false;
  /** Attempts begun. */
  protected begun = 0;
  /** Content was handed on. */
  protected committed = false;
  private mark: ((part: Part) => Part) | undefined = undefined;
  /** The attempt that came through, once all that was held back before is handed on. */
  private live: Flow | null = null;
  private readonly ready = new Fifo<Part>();
  private driving = false;
  private complete = false;
  private continuing = false;
  private epoch = 0;
  private held = 0;
  private closing: Promise<void> | undefined = undefined;
  private wake: (() => void) | undefined = undefined;
  private resolve: ((part: Part | typeof DONE | Promise<typeof DONE>) => void) | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(upstream: Flow, scope: Scope, options: CallOptions) {
    this.options = options;
    this.input = new ReplayedInput(upstream, options.replayBytes);
    this.scope = scope.child((why) => this.close(why)); // while it waits between attempts nobody else would tell it
  }

  /** What to try first (no failure) or next; nothing: the failure stands. May wait, by `sleep`; what it throws is the failure. */
  protected abstract next(failure: Failure | undefined): Try | undefined | Promise<Try | undefined>;

  /** An attempt came to the commit point, after `ms`. */
  protected onCommit(): void {}

  /** Told once. */
  protected onOver(_outcome: CallOutcome, _error?: unknown): void {}

  pull(): Pulled {
    const { live } = this;
    if (live === null) return this.first();
    const pulled = live.pull();
    if (isPart(pulled)) return this.hand(pulled);
    return pulled === DONE ? this.finish() : pulled.then(this.onPulled, this.onFailed);
  }

  private first(): Pulled {
    if (this.over) return DONE;
    const part = this.take();
    if (part !== undefined) return part;
    if (this.complete) return this.finish();
    return this.expect(undefined);
  }

  /** What was held back, in its order. */
  private take(): Part | undefined {
    const part = this.ready.shift();
    if (part === undefined) return undefined;
    if (this.ready.length === 0 && !this.complete) this.live = this.attempt?.flow ?? null;
    return this.hand(part);
  }

  private hand(part: Part): Part {
    this.tally.add(part);
    return this.mark === undefined ? part : this.mark(part);
  }

  private expect(failure: Failure | undefined): Promise<Part | typeof DONE> {
    const answer = new Promise<Part | typeof DONE>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    if (!this.driving) void this.drive(failure);
    return answer;
  }

  private readonly onPulled = (pulled: Part | typeof DONE): Part | typeof DONE | Promise<Part | typeof DONE> => {
    return pulled === DONE ? this.finish() : this.hand(pulled);
  };

  private readonly onFailed = (error: unknown): Promise<Part | typeof DONE> => {
    if (this.over) throw error;
    this.live = null;
    return this.expect({ error, open: false });
  };

  /** Makes attempts until one comes to the commit point, or `next` knows no more. */
  private async drive(start: Failure | undefined): Promise<void> {
    this.driving = true;
    let failure = start;
    try {
      for (;;) {
        if (failure !== undefined) await this.drop(failure.error);
        if (this.over) return;
        if (failure !== undefined && this.stands(failure)) throw failure.error;
        const planned = this.next(failure);
        const next = isPromise(planned) ? await planned : planned;
        if (this.over) return;
        if (next === undefined) throw failure?.error;
        this.begin(next);
        failure = await this.readOn();
        if (this.over) return;
        if (failure === undefined) break;
      }
    } catch (error) {
      return this.fail(error);
    } finally {
      this.driving = false;
    }
    this.serve();
  }

  /** Is there nothing to be done about it? */
  private stands({ open }: Failure): boolean {
    if (this.input.failure !== undefined) return true; // the input's own: it would fail again
    return !open && this.options.afterCommit !== "restart" && !this.resumes();
  }

  /** Can an attempt go on where the last one ended? */
  protected resumes(): boolean {
    return false;
  }

  private begin(next: Try): void {
    this.begun += 1;
    this.mark = next.mark;
    this.held = 0;
    const attempt = new Attempt(next.processor, this.input.reader(), this.scope, { number: this.begun, limits: next.limits });
    this.attempt = attempt;
    this.continuing = next.continues === true;
  }

  /** Reads the attempt up to its commit point. */
  private async readOn(): Promise<Failure | undefined> {
    const { attempt } = this;
    if (attempt === undefined) return undefined;
    const restarting = this.committed && !this.continuing;
    try {
      for (;;) {
        const pulled = attempt.flow.pull();
        const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
        if (this.over) return undefined;
        if (part === DONE) this.complete = true;
        else this.ready.push(part);
        if (part !== DONE && !this.commits(part)) continue;
        break;
      }
    } catch (error) {
      this.ready.clear();
      return { error, open: !this.committed };
    }
    if (restarting) this.takeBack();
    this.committed = true;
    if (this.options.afterCommit !== "restart") this.input.release();
    this.onCommit();
    return undefined;
  }

  /** Is a part, behind those held back, to be handed on? */
  private commits(part: Part): boolean {
    if (this.options.afterCommit !== "buffer") return isContent(part) || this.ready.length >= maxHeld;
    this.held += weightOf(part);
    return this.held > this.options.bufferBytes;
  }

  /** What was handed on is taken back, by a part ahead of the new ones. */
  private takeBack(): void {
    this.epoch += 1;
    const rest: Part[] = [];
    for (let part = this.ready.shift(); part !== undefined; part = this.ready.shift()) rest.push(part);
    this.tally.clear();
    this.ready.push(reset(this.epoch));
    for (const part of rest) this.ready.push(part);
  }

  /** A failed attempt is over; those of its calls that are still at work hear of it, and get a little time to unwind. */
  private async drop(error: unknown): Promise<void> {
    await this.attempt?.abandon(error, this.options.clock);
    this.attempt = undefined;
  }

  /** Waits; leaving ends it. */
  protected sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.timeout(ms, () => {
        this.wake = undefined;
        resolve();
      });
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  private serve(): void {
    const { resolve } = this;
    this.resolve = this.reject = undefined;
    if (resolve === undefined) return;
    resolve(this.take() ?? this.finish());
  }

  /** The natural end; an attempt that stopped early has left its input open. */
  private finish(): typeof DONE | Promise<typeof DONE> {
    this.over = true;
    this.live = null;
    this.attempt?.end();
    this.scope.release();
    this.onOver("complete");
    const closing = this.input.close(left());
    return closing === undefined ? DONE : closing.then(() => DONE);
  }

  private fail(error: unknown): void {
    if (this.over) return;
    this.over = true;
    this.live = null;
    const told = this.told(error);
    this.scope.release();
    this.onOver("failed", error);
    const closing = allClosed([this.attempt?.giveUp(error), this.input.close(error)]);
    this.closing = closing;
    const settle = (): void => {
      const { reject } = this;
      this.resolve = this.reject = undefined;
      reject?.(told);
    };
    if (closing === undefined) settle();
    else closing.then(settle, settle);
  }

  /** Refuses another attempt where the input cannot be read again. */
  protected requireReplay(error: unknown): void {
    if (this.input.replayable) return;
    const { name, replayBytes } = this.options;
    const why = error instanceof Error ? error.message : String(error);
    const message = `${name}: the input is larger than replayBytes (${replayBytes}), so it was not tried again: ${why}`;
    throw new MillraceError("interrupted", message, { cause: error, partial: this.tally.delivered, attempts: this.begun });
  }

  /** What the consumer is told: the very error, or after content that the answer broke off. */
  protected told(error: unknown): unknown {
    if (this.input.failure !== undefined || !this.committed) return error;
    return interrupted(this.options.name, error, this.tally, this.begun);
  }

  close(why: unknown): Promise<void> | undefined {
    if (!this.over) {
      this.over = true;
      this.live = null;
      this.ready.clear();
      this.wake?.();
      this.wake = undefined;
      this.scope.release();
      this.onOver("left", why);
      this.closing = allClosed([this.attempt?.giveUp(why), this.input.close(why)]);
      this.closing?.catch(ignore); // told to whoever waits for it
    }
    this.reject?.(why);
    this.resolve = this.reject = undefined;
    return this.closing;
  }
}

/** Notes on an error how many requests were made; an error that cannot be written on stays as it is. */
export function noteAttempts(error: unknown, attempts: number): void {
  if (isMillraceError(error)) Reflect.defineProperty(error, "attempts", { value: attempts, enumerable: true, configurable: true, writable: true });
}
