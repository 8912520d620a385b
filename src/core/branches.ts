/**
 * Pipelines inside a stage, each with a scope of its own.
 *
 * @module
 */
import { Broadcast, type BroadcastReader } from "./broadcast.ts";
import { allClosed, DONE, type Flow, isPart, type Pulled } from "./flow.ts";
import type { Part } from "./part.ts";
import { planFor } from "./pipeline.ts";
import { flowOf, openPlan } from "./plan.ts";
import type { Processor } from "./processor.ts";
import type { Own, Scope } from "./scope.ts";

/** A processor opened over a flow; leaving it also tells those who are at work inside. */
export class Branch implements Flow {
  /** It has ended, failed or was left. */
  over = false;
  private readonly flow: Flow;
  private readonly scope: Scope;
  private readonly changed: () => void;

  constructor(processor: Processor, upstream: Flow, scope: Scope, changed: () => void = () => {}, own?: Own) {
    this.scope = scope.child(undefined, own);
    this.flow = flowOf(openPlan(planFor(processor), upstream, this.scope), this.scope);
    this.changed = changed;
  }

  pull(): Pulled {
    const pulled = this.flow.pull();
    if (pulled === DONE) this.end();
    return isPart(pulled) || pulled === DONE ? pulled : pulled.then(this.onPulled, this.onFailed);
  }

  private readonly onPulled = (pulled: Part | typeof DONE): Part | typeof DONE => {
    if (pulled === DONE) this.end();
    return pulled;
  };

  private readonly onFailed = (error: unknown): never => {
    this.end();
    throw error;
  };

  private end(): void {
    this.over = true;
    this.scope.release();
    this.changed();
  }

  close(why: unknown): Promise<void> | undefined {
    this.over = true;
    const inside = this.scope.end(why);
    const closing = allClosed([this.flow.close(why), inside]);
    this.changed();
    return closing;
  }
}

/** Branches over the same input, and what happens to the others when one fails. */
export class Branches {
  readonly list: readonly Branch[];
  private readonly input: Broadcast;
  private readonly readers: readonly BroadcastReader[];
  private failing: (() => void) | undefined = undefined;

  constructor(processors: readonly Processor[], upstream: Flow, lag: number, scope: Scope) {
    const changed = (): void => this.failing?.();
    this.input = new Broadcast(upstream, lag);
    this.readers = processors.map(() => this.input.reader(changed));
    this.list = processors.map((processor, index) => new Branch(processor, this.readers[index] as BroadcastReader, scope, changed));
  }

  /**
   * One branch failed: the input is read no further. Resolves when each other branch is over, or has taken all that was read
   * and so has nothing to expect but the error.
   */
  async fail(error: unknown): Promise<void> {
    const closing = this.input.fail(error);
    await new Promise<void>((resolve) => {
      this.failing = () => {
        if (this.list.every((branch, index) => branch.over || this.readers[index]?.exhausted === true)) resolve();
      };
      this.failing();
    });
    await closing?.catch(() => {}); // the first error is the one to tell
  }

  close(why: unknown): Promise<void> | undefined {
    return allClosed([...this.list.map((branch) => branch.close(why)), this.input.close(why)]);
  }
}
