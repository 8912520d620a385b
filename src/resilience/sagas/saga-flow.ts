/**
 * A saga at work: one step after the other, each to its end.
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { allClosed, DONE, type Flow, ignore, isPart, WAIT } from "../../core/flow.ts";
import { Fused } from "../../core/fused.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope } from "../../core/scope.ts";
import { openTold } from "../attempts/open-told.ts";
import { type Told, ToldFlow } from "../attempts/told-flow.ts";
import { weightOf } from "../part-weight.ts";
import { type ActiveSaga, type Ledger, ledgerOf } from "./saga-ledger.ts";
import { stepOutput, type Undo, type UndoSettings } from "./undo.ts";

/** A step, ready to be run. */
export interface SagaStep {
  readonly name: string;
  readonly run: Processor;
  readonly undo: Undo | undefined;
  /** Did it perhaps happen, though it failed before it gave anything? */
  readonly mayHaveHappened: (error: unknown) => boolean;
}

/** What all runs of a saga share. */
export interface SagaPlan {
  readonly name: string;
  readonly steps: readonly SagaStep[];
  /** Bytes of output of one step that are remembered for its undo. */
  readonly maxStepBytes: number;
  readonly settings: UndoSettings;
}

/** Errors after which nobody knows whether the other side has acted. */
const unclear: ReadonlySet<string> = new Set(["interrupted", "timeout", "truncated"]);

/** What a step that says nothing of its own counts as perhaps done. */
export function isUnclear(error: unknown): boolean {
  return isMillraceError(error) && unclear.has(error.code) && error.phase !== "connect";
}

/** A step at work, in a part of the run that ends with it. */
interface Opened {
  readonly flow: Required<Flow>;
  readonly scope: Scope;
}

/** Runs the steps; the output of the last streams out live. */
export class SagaFlow extends ToldFlow implements ActiveSaga {
  readonly scope: Scope;
  private readonly plan: SagaPlan;
  private readonly upstream: Flow;
  private readonly around: Scope;
  /** Tells this run of the saga from all others. */
  private readonly id: string;
  private ledger: Ledger | undefined = undefined;
  private at = 0;
  private step: Opened | undefined = undefined;
  private output: Part[] = [];
  private weight = 0;
  private over = false;
  private undoing: Promise<void> | undefined = undefined;

  constructor(upstream: Flow, plan: SagaPlan, around: Scope) {
    super();
    this.upstream = upstream;
    this.plan = plan;
    this.around = around;
    this.scope = around.child();
    this.id = `${plan.name}-${crypto.randomUUID()}`;
  }

  protected override read(): Told {
    if (this.over) return DONE;
    if (this.at < this.plan.steps.length - 1 || this.step === undefined) {
      void this.advance();
      return WAIT;
    }
    const told = this.step.flow.pullFor(this);
    if (told === WAIT) return WAIT;
    if (told === DONE) return this.finish();
    if (this.remember(told)) return told;
    queueMicrotask(() => this.onError(this.tooMuch())); // the reader does not know yet that it waits
    return WAIT;
  }

  override onPart(part: Part): void {
    if (this.over) return;
    if (this.remember(part)) this.answer(part);
    else this.onError(this.tooMuch());
  }

  override onEnd(): void {
    if (!this.over) this.answer(this.finish());
  }

  /** Runs all steps but the last to their end, then the last up to its first part. */
  private async advance(): Promise<void> {
    if (this.ledger === undefined) {
      this.ledger = ledgerOf(this.around);
      this.ledger.begin(this);
    }
    try {
      let input = this.upstream;
      while (this.at < this.plan.steps.length - 1) {
        const { flow, scope } = this.open(input);
        for (;;) {
          const pulled = flow.pull();
          const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
          if (this.over) return;
          if (part === DONE) break;
          if (!this.remember(part)) throw this.tooMuch();
        }
        scope.release();
        input = new Fused({ items: this.output }, [], this.scope);
        this.enter();
        this.at += 1;
      }
      this.open(input);
    } catch (error) {
      return this.onError(error);
    }
    await Promise.resolve(); // `read` may have come here without a pause
    const told = this.read();
    if (told !== WAIT) this.answer(told);
  }

  private open(input: Flow): Opened {
    const scope = this.scope.child();
    return (this.step = { flow: openTold(this.current().run, input, scope), scope });
  }

  private current(): SagaStep {
    return this.plan.steps[this.at] as SagaStep; // `at` is below their number
  }

  private remember(part: Part): boolean {
    if (this.at === this.plan.steps.length - 1 && this.current().undo === undefined) return true; // nobody will ask for it
    this.weight += weightOf(part);
    this.output.push(part);
    return this.weight <= this.plan.maxStepBytes;
  }

  /** The step has happened, or may have. */
  private enter(): void {
    const { name: saga, settings } = this.plan;
    const { name: step, undo } = this.current();
    const { correlationId, runId, state } = this.around;
    const context = { correlationId, runId, state };
    if (undo !== undefined) this.ledger?.enter(this.scope, { saga, step, key: `${this.id}:${step}`, undo, output: stepOutput(this.output), context, settings });
    this.step = undefined;
    this.output = [];
    this.weight = 0;
  }

  private finish(): typeof DONE {
    this.step?.scope.release();
    this.enter();
    this.over = true;
    this.ledger?.end(this);
    this.scope.release();
    return DONE;
  }

  private tooMuch(): MillraceError {
    const { name, maxStepBytes } = this.plan;
    return new MillraceError("too_large", `compensate: step ${this.current().name} of ${name} gave more than ${maxStepBytes} bytes, more than is remembered for its undo`);
  }

  /** Undoes, then tells of the error, which is still the same. */
  override onError(error: unknown): void {
    if (this.over) return; // it was cut, and whoever waited has been told
    this.over = true;
    this.ledger?.end(this);
    const closing = closed(this.step, error);
    if (this.step !== undefined && (this.output.length > 0 || this.mayHaveHappened(error))) this.enter();
    this.step = undefined;
    this.undoing = allClosed([closing, this.ledger?.undo(this.scope, error)]);
    this.scope.release();
    const settle = (): void => this.refuse(error);
    if (this.undoing === undefined) settle();
    else this.undoing.then(settle, settle);
  }

  /** Where the answer fails too nobody knows, and undo must bear being called for what has not happened. */
  private mayHaveHappened(error: unknown): boolean {
    try {
      return this.current().mayHaveHappened(error);
    } catch {
      return true;
    }
  }

  cut(why: unknown): Promise<void> | undefined {
    if (this.over) return undefined;
    this.over = true;
    this.ledger?.end(this);
    this.refuse(why);
    const started = this.step !== undefined;
    const closing = this.step === undefined ? this.upstream.close(why) : closed(this.step, why);
    closing?.catch(ignore); // told to whoever waits for it
    if (started) this.enter();
    this.scope.release();
    return closing;
  }

  override close(why: unknown): Promise<void> | undefined {
    this.refuse(why);
    if (this.over) return this.undoing;
    const { ledger } = this;
    if (ledger === undefined) {
      this.over = true;
      this.scope.release();
      return this.upstream.close(why);
    }
    this.undoing = allClosed([this.cut(why), ledger.undo(this.scope, why)]);
    this.undoing?.catch(ignore); // told to whoever waits for it
    return this.undoing;
  }
}

function closed(step: Opened | undefined, why: unknown): Promise<void> | undefined {
  return step === undefined ? undefined : allClosed([step.scope.end(why), step.flow.close(why)]);
}
