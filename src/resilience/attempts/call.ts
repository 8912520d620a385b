/**
 * A call that may be made more than once: attempts until one comes to the commit point, then that one straight through.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { Fifo } from "../../core/fifo.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, type Reader, WAIT } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import { reset } from "../../core/reset.ts";
import { left, type Scope } from "../../core/scope.ts";
import { Attempt } from "./attempt.ts";
import { interrupted, Tally } from "./commit.ts";
import { type Failed, type Opening, readOpening } from "./opening.ts";
import { ReplayedInput } from "./replay.ts";
import { type Told, ToldFlow } from "./told-flow.ts";
import type { CallOptions, CallOutcome, Failure, Try } from "./try.ts";

/** Attempts in a row. What is tried, and when, is up to `next`. */
export abstract class Call extends ToldFlow {
  protected readonly scope: Scope;
  protected readonly input: ReplayedInput;
  protected readonly tally: Tally = new Tally();
  protected readonly options: CallOptions;
  /** Ended, failed or left. */
  protected over = false;
  /** Attempts begun. */
  protected begun = 0;
  /** Attempts that have neither ended nor failed. */
  private readonly running = new Set<Attempt>();
  /** Of attempts that were given up while another came through. */
  private readonly unwinding: Promise<unknown>[] = [];
  /** Content was handed on. */
  private committed = false;
  private mark: ((part: Part) => Part) | undefined = undefined;
  /** The attempt that came through. */
  private elected: Attempt | undefined = undefined;
  /** Its parts, once all that was held back before is handed on. */
  private live: Required<Flow> | null = null;
  private readonly ready = new Fifo<Part>();
  private epoch = 0;
  private closing: Promise<void> | undefined = undefined;
  private wake: (() => void) | undefined = undefined;

  constructor(upstream: Flow, scope: Scope, options: CallOptions) {
    super();
    this.options = options;
    this.input = new ReplayedInput(upstream, options.replayBytes);
    this.scope = scope.child((why) => this.close(why)); // while it waits between attempts nobody else would tell it
  }

  /** What to try first (no failure) or next; nothing: the failure stands. May wait, by `sleep`; what it throws is the failure. */
  protected abstract next(failure: Failure | undefined): Try | undefined | Promise<Try | undefined>;

  /** Makes attempts of what is to be tried; gives the first parts of the one that came through. */
  protected elect(next: Try): Promise<Opening | Failed> {
    return this.openingOf(this.start(next));
  }

  /** An attempt came to the commit point. */
  protected onCommit(): void {}

  /** Told once. */
  protected onOver(_outcome: CallOutcome, _error?: unknown): void {}

  /** Can an attempt go on where the last one ended? */
  protected resumes(): boolean {
    return false;
  }

  protected start({ processor, limits }: Try): Attempt {
    this.begun += 1;
    const attempt = new Attempt(processor, this.input.reader(), this.scope, { number: this.begun, limits });
    this.running.add(attempt);
    return attempt;
  }

  protected openingOf(attempt: Attempt): Promise<Opening | Failed> {
    const { afterCommit, bufferBytes } = this.options;
    return readOpening(attempt, afterCommit === "buffer" ? bufferBytes : undefined);
  }

  /** Another attempt came through. */
  protected discard(attempt: Attempt, why: unknown): void {
    const unwound = attempt.giveUp(why)?.catch(ignore); // its failures are nobody's any more
    if (unwound !== undefined) this.unwinding.push(unwound);
  }

  // Each part comes this way: the usual case is written out.
  override pullFor(reader: Reader): Told {
    const { live } = this;
    if (live === null) return super.pullFor(reader);
    const told = live.pullFor(this);
    if (isPart(told)) return this.hand(told);
    if (told === WAIT || this.last() === WAIT) {
      this.reader = reader;
      return WAIT;
    }
    return DONE;
  }

  protected override read(): Told {
    const { live } = this;
    if (live === null) return this.first();
    const told = live.pullFor(this);
    if (isPart(told)) return this.hand(told);
    return told === DONE ? this.last() : WAIT;
  }

  private first(): Told {
    if (this.over) return DONE;
    const part = this.take();
    if (part !== undefined) return part;
    void this.drive(undefined);
    return WAIT;
  }

  /** The end, when what is to be closed has been. */
  private last(): typeof DONE | typeof WAIT {
    const closing = this.finish();
    if (closing === undefined) return DONE;
    closing.then(
      () => this.answer(DONE),
      (error: unknown) => this.refuse(error),
    );
    return WAIT;
  }

  override onPart(part: Part): void {
    if (!this.over) this.answer(this.hand(part));
  }

  override onEnd(): void {
    if (!this.over && this.last() === DONE) this.answer(DONE);
  }

  override onError(error: unknown): void {
    if (this.over) return;
    this.live = null;
    void this.drive({ error, open: false });
  }

  /** What was held back, in its order. */
  private take(): Part | undefined {
    const part = this.ready.shift();
    if (part === undefined) return undefined;
    if (this.ready.length === 0) this.live = this.elected?.flow ?? null;
    return this.hand(part);
  }

  private hand(part: Part): Part {
    this.tally.add(part);
    return this.mark === undefined ? part : this.mark(part);
  }

  /** Makes attempts until one comes to the commit point, or `next` knows no more. */
  private async drive(start: Failure | undefined): Promise<void> {
    let failure = start;
    try {
      for (;;) {
        await (failure === undefined ? undefined : this.drop(failure.error)); // the reader is told after its read has returned
        if (this.over) return;
        if (failure === undefined) this.requireReader();
        else if (this.stands(failure)) throw failure.error;
        const planned = this.next(failure);
        const next = isPromise(planned) ? await planned : planned;
        if (this.over) return;
        if (next === undefined) throw failure?.error;
        const opening = await this.elect(next);
        if (this.over) return;
        if (!("error" in opening)) {
          this.accept(opening, next);
          break;
        }
        failure = { error: opening.error, open: !this.committed };
      }
    } catch (error) {
      return this.fail(error);
    }
    const part = this.take() ?? this.last();
    if (part !== WAIT) this.answer(part);
  }

  /** Refuses to take back what goes into a sink. */
  private requireReader(): void {
    const { name, afterCommit } = this.options;
    if (afterCommit !== "restart" || this.scope.limits.final !== true) return;
    throw new MillraceError("missing_config", `${name}: afterCommit "restart" takes back what was handed on, which a sink cannot; use "buffer"`);
  }

  /** Is there nothing to be done about it? */
  private stands({ open }: Failure): boolean {
    if (this.input.failure !== undefined) return true; // the input's own: it would fail again
    return !open && this.options.afterCommit !== "restart" && !this.resumes();
  }

  /** This is the one. What was handed on before it is taken back, unless it goes on behind it. */
  private accept({ attempt, parts }: Opening, { mark, continues }: Try): void {
    this.elected = attempt;
    this.mark = mark;
    if (this.committed && continues !== true) {
      this.epoch += 1;
      this.ready.push(reset(this.epoch));
    }
    for (const part of parts) this.ready.push(part);
    this.committed = true;
    if (this.options.afterCommit !== "restart") this.input.release();
    this.onCommit();
  }

  /** Failed attempts are over; those of their calls that are still at work hear of it, and get a little time to unwind. */
  private async drop(error: unknown): Promise<void> {
    const { clock } = this.options;
    await Promise.all([...this.running].map(async (attempt) => attempt.abandon(error, clock)));
    this.running.clear();
  }

  /** Waits; leaving ends it. */
  protected sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.clock.timeout(ms, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Refuses another attempt where the input cannot be read again. */
  protected requireReplay(error: unknown): void {
    if (this.input.replayable) return;
    const { name, replayBytes } = this.options;
    const why = error instanceof Error ? error.message : String(error);
    const message = `${name}: the input is larger than replayBytes (${replayBytes}), so it was not tried again: ${why}`;
    throw new MillraceError("interrupted", message, { cause: error, partial: this.tally.delivered, attempts: this.begun });
  }

  /** The input's own failure is nobody's here. */
  protected isOfInput(error: unknown): boolean {
    const { failure } = this.input;
    return failure !== undefined && failure.error === error;
  }

  /** What the consumer is told: the very error, or after content that the answer broke off. */
  protected told(error: unknown): unknown {
    if (!this.committed || this.isOfInput(error)) return error;
    return interrupted(this.options.name, error, this.tally, this.begun);
  }

  /** The natural end; an attempt that stopped early has left its input open. */
  private finish(): Promise<void> | undefined {
    this.elected?.end();
    this.end("complete");
    this.closing = allClosed([this.input.close(left()), ...this.unwinding]);
    return this.closing;
  }

  private fail(error: unknown): void {
    if (this.over) return;
    const told = this.told(error);
    this.end("failed", error);
    this.closing = this.shut(error);
    const settle = (): void => this.refuse(told);
    if (this.closing === undefined) settle();
    else this.closing.then(settle, settle);
  }

  override close(why: unknown): Promise<void> | undefined {
    if (!this.over) {
      this.end("left", why);
      this.closing = this.shut(why);
      this.closing?.catch(ignore); // told to whoever waits for it
    }
    this.refuse(why);
    return this.closing;
  }

  private end(outcome: CallOutcome, error?: unknown): void {
    this.over = true;
    this.live = null;
    this.wake?.();
    this.scope.release();
    this.onOver(outcome, error);
  }

  private shut(why: unknown): Promise<void> | undefined {
    return allClosed([...[...this.running].map((attempt) => attempt.giveUp(why)), this.input.close(why), ...this.unwinding]);
  }
}
