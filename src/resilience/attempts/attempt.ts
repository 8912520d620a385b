/**
 * One try of a processor: a part of the run that can be given up alone.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { derive } from "../../core/derive.ts";
import { allClosed, DONE, type Flow, isPart, type Reader, WAIT } from "../../core/flow.ts";
import { Fused } from "../../core/fused.ts";
import type { Limits } from "../../core/limits.ts";
import { OpaqueSource } from "../../core/opaque.ts";
import type { Part } from "../../core/part.ts";
import { planFor } from "../../core/pipeline.ts";
import { type Opened, openPlan } from "../../core/plan.ts";
import type { Processor } from "../../core/processor.ts";
import type { Scope, Why } from "../../core/scope.ts";
import { OpaqueFlow } from "./opaque-flow.ts";

/** Milliseconds that an abandoned attempt gets to unwind; then it is left to itself. */
const unwindMs = 100;

/** What an attempt is made of. */
export interface AttemptOptions {
  /** Counted from 1. */
  readonly number: number;
  readonly limits?: Limits | undefined;
  /** Told of each reserved part: the attempt is alive. */
  readonly heard?: (() => void) | undefined;
}

/** Opens a processor over an input of its own. Nothing runs before the first pull of `flow`. */
export class Attempt {
  readonly number: number;
  readonly flow: Required<Flow>;
  private readonly scope: Scope;
  private over = false;
  /** What was busy when it was left, and still is. */
  private readonly busy = new Set<Promise<unknown>>();
  private waits = false;
  private stopWaiting: (() => void) | undefined = undefined;

  constructor(processor: Processor, input: Flow, parent: Scope, { number, limits, heard }: AttemptOptions) {
    this.number = number;
    const emit = (part: Part): void => {
      if (this.over) return; // it was given up: what it says is not of this call any more
      heard?.();
      parent.emit(number === 1 ? part : derive(part, { metadata: { ...part.metadata, attempt: number } }));
    };
    const unwinding = (rest: Promise<unknown>): void => {
      const free = (): void => void this.busy.delete(rest);
      rest.then(free, free);
      this.busy.add(rest);
      if (!this.waits) parent.unwinding(rest); // whoever gave up more than this attempt waits for all of it
    };
    this.scope = parent.child(undefined, { output: { emit }, unwinding, ...(limits === undefined ? {} : { limits }) });
    const opened = openPlan(planFor(processor), input, this.scope);
    this.flow = flowOf(opened, this.scope);
  }

  /** It came to its natural end. */
  end(): void {
    this.over = true;
    this.scope.release();
  }

  /** It is not wanted any more: the calls in flight hear of it by their signal. The promise is of what can unwind. */
  giveUp(why: unknown): Promise<void> | undefined {
    this.stopWaiting?.();
    if (this.over) return undefined;
    this.over = true;
    return allClosed([this.flow.close(why), this.scope.end(why)]);
  }

  /** Gives it up, and waits for it to unwind, also where it is busy, but not for long. */
  abandon(why: unknown, clock: Clock): Promise<void> | undefined {
    this.waits = true;
    const closing = this.giveUp(why);
    const unwound = allClosed([closing, ...this.busy]);
    if (unwound === undefined) return undefined;
    return new Promise((resolve) => {
      const stop = (): void => {
        this.stopWaiting = undefined;
        cancel();
        resolve();
      };
      const cancel = clock.timeout(unwindMs, stop);
      this.stopWaiting = stop;
      unwound.then(stop, stop); // how it ends is of no interest any more
    });
  }
}

function flowOf({ input, operations }: Opened, scope: Scope): Required<Flow> {
  return operations.length === 0 && input instanceof OpaqueSource ? new OpaqueFlow(input, scope) : new Tried(input, operations, scope);
}

/**
 * The parts of an attempt. Its calls in flight hear of a failure before what it reads is closed, and what its scope has to take back is
 * waited for, as in a run; and it tells its reader without a promise.
 */
class Tried extends Fused {
  private reader: Reader | null = null;
  private entering = false;
  private scopeClosing: Promise<void> | undefined = undefined;

  pullFor(reader: Reader): Part | typeof DONE | typeof WAIT {
    if (this.over) return DONE;
    const step = this.begin();
    if (isPart(step)) return step;
    this.reader = reader;
    this.entering = true;
    this.wait(step);
    this.entering = false;
    return WAIT;
  }

  protected override settle(part: Part | typeof DONE): void {
    const { reader } = this;
    if (reader === null) return super.settle(part);
    this.reader = null;
    if (this.entering) queueMicrotask(() => (part === DONE ? reader.onEnd() : reader.onPart(part))); // it does not know yet that it waits
    else if (part === DONE) reader.onEnd();
    else reader.onPart(part);
  }

  protected override settleWithError(error: unknown): void {
    const { reader } = this;
    if (reader === null) return super.settleWithError(error);
    this.reader = null;
    queueMicrotask(() => reader.onError(error)); // whoever closes this closes its reader in the same turn, and must come first
  }

  protected override fail(error: unknown): void {
    this.scopeClosing = this.scope.end(error);
    super.fail(error);
  }

  protected override shut(why: Why): Promise<void> | undefined {
    return allClosed([super.shut(why), this.scopeClosing]);
  }
}
