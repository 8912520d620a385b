/**
 * Processors of ours: stages laid out once, and opened by each run.
 *
 * @module
 */
import { type Content, readContent } from "./content.ts";
import { allClosed, DONE } from "./flow.ts";
import { Fused } from "./fused.ts";
import type { Part } from "./part.ts";
import { PartStream } from "./part-stream.ts";
import { openPlan, type Plan, Staged, stagedOf, STAGES } from "./plan.ts";
import type { Context, Processor } from "./processor.ts";
import { Run } from "./runner.ts";
import { type Own, Scope, type Why } from "./scope.ts";
import type { Stage } from "./stage.ts";

/** A processor made of stages. */
export function processorOf(stages: readonly Stage[]): Processor {
  const staged = new Staged(stages);
  const processor: Processor = (input, context) => streamOf(staged.plan, input, context);
  return Object.defineProperty(processor, STAGES, { value: staged });
}

/** Inside a run the stage belongs to that run; without one it is a run of its own. */
function streamOf(plan: Plan, input: AsyncIterable<Part>, context: Context | undefined): AsyncIterable<Part> {
  const source = readContent(input);
  if (!(context instanceof Scope)) return new PartStream(() => new Run(plan, source, context ?? {}));
  return {
    [Symbol.asyncIterator]() {
      const { input: opened, operations } = openPlan(plan, source, context);
      return new Fused(opened, operations, context);
    },
  };
}

/** The plan of any processor. */
export function planFor(processor: Processor): Plan {
  return stagedOf(processor).plan;
}

/** A processor inside a run, over content of its own: its parts, and one way to leave it that closes all of it. */
export function runInside(processor: Processor, content: Content, scope: Scope, own?: Own): Fused {
  const inner = scope.child((why) => (fused.failing ? undefined : fused.close(why)), own);
  const { input, operations } = openPlan(planFor(processor), content, inner);
  const fused = new Inside(input, operations, inner);
  return fused;
}

/** Lets its scope go when it is over, and ends it when it fails. */
class Inside extends Fused {
  /** It closes itself. */
  failing = false;
  private scopeClosing: Promise<void> | undefined = undefined;

  protected override fail(error: unknown): void {
    this.failing = true;
    this.scopeClosing = this.scope.end(error);
    super.fail(error);
  }

  protected override settle(part: Part | typeof DONE): void {
    if (part === DONE) this.scope.release();
    super.settle(part);
  }

  protected override shut(why: Why): Promise<void> | undefined {
    this.scope.release();
    const closing = super.shut(why);
    return this.scopeClosing === undefined ? closing : allClosed([closing, this.scopeClosing]);
  }
}
