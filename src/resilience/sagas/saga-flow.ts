/**
 * A saga at work: one step after the other, each to its end.
 *
 * @module
 */
import { Branch } from "../../core/branches.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { allClosed, DONE, type Flow, ignore, isPart, type Pulled } from "../../core/flow.ts";
import { Fused } from "../../core/fused.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope } from "../../core/scope.ts";
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

/** Runs the steps; the output of the last streams out live. */
export class SagaFlow implements Flow, ActiveSaga {
  readonly scope: Scope;
  private readonly plan: SagaPlan;
  private readonly upstream: Flow;
  private readonly around: Scope;
  /** Tells this run of the saga from all others. */
  private readonly id: string;
  private ledger: Ledger | undefined = undefined;
  private at = 0;
  private step: Branch | undefined = undefined;
  private output: Part[] = [];
  private weight = 0;
  private over = false;
  private undoing: Promise<void> | undefined = undefined;
  private reject: ((why: unknown) => void) | undefined = undefined;

  constructor(upstream: Flow, plan: SagaPlan, around: Scope) {
    this.upstream = upstream;
    this.plan = plan;
    this.around = around;
    this.scope = around.child();
    this.id = `${plan.name}-${crypto.randomUUID()}`;
  }

  pull(): Pulled {
    if (this.over) return DONE;
    if (this.at === this.plan.steps.length - 1 && this.step !== undefined) {
      const pulled = this.step.pull();
      if (isPart(pulled) && this.remember(pulled)) return pulled;
      if (pulled === DONE) return this.finish();
      return this.settled(isPart(pulled) ? Promise.reject(this.tooMuch()) : pulled.then(this.onLast));
    }
    return this.settled(this.advance());
  }

  /** A pending pull that can be let go. */
  private settled(pulled: Promise<Part | typeof DONE>): Promise<Part | typeof DONE> {
    return new Promise((resolve, reject) => {
      this.reject = reject;
      pulled.then(resolve, (error: unknown) => this.fail(error, reject));
    });
  }

  private readonly onLast = (pulled: Part | typeof DONE): Part | typeof DONE => {
    if (this.over) return DONE;
    if (pulled === DONE) return this.finish();
    if (!this.remember(pulled)) throw this.tooMuch();
    return pulled;
  };

  /** Runs all steps but the last to their end, then the last up to its first part. */
  private async advance(): Promise<Part | typeof DONE> {
    if (this.ledger === undefined) {
      this.ledger = ledgerOf(this.around);
      this.ledger.begin(this);
    }
    const last = this.plan.steps.length - 1;
    let input = this.upstream;
    for (;;) {
      const { run } = this.current();
      this.step = new Branch(run, input, this.scope);
      if (this.at === last) break;
      for (;;) {
        const pulled = this.step.pull();
        const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
        if (this.over) return DONE;
        if (part === DONE) break;
        if (!this.remember(part)) throw this.tooMuch();
      }
      input = new Fused({ items: this.output }, [], this.scope);
      this.enter();
      this.at += 1;
    }
    const pulled = this.step.pull();
    return this.onLast(isPart(pulled) || pulled === DONE ? pulled : await pulled);
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

  /** Undoes, then rejects with the error, which is still the same. */
  private fail(error: unknown, reject: (why: unknown) => void): void {
    if (this.over) return; // it was cut, and whoever waited has been told
    this.over = true;
    this.ledger?.end(this);
    const closing = this.step?.close(error);
    if (this.step !== undefined && (this.output.length > 0 || this.mayHaveHappened(error))) this.enter();
    this.step = undefined;
    this.undoing = allClosed([closing, this.ledger?.undo(this.scope, error)]);
    this.scope.release();
    const settle = (): void => reject(error);
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
    this.reject?.(why);
    const started = this.step !== undefined;
    const closing = (this.step ?? this.upstream).close(why);
    closing?.catch(ignore); // told to whoever waits for it
    if (started) this.enter();
    this.scope.release();
    return closing;
  }

  close(why: unknown): Promise<void> | undefined {
    this.reject?.(why);
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
