/**
 * Processors of ours: stages laid out once, and opened by each run.
 *
 * @module
 */
import { readContent } from "./content.ts";
import { Fused } from "./fused.ts";
import type { Part } from "./part.ts";
import { PartStream } from "./part-stream.ts";
import { openPlan, type Plan, planOf } from "./plan.ts";
import type { Context, Processor } from "./processor.ts";
import { Run } from "./runner.ts";
import { Scope } from "./scope.ts";
import { type Stage, STAGES, stagesOf } from "./stage.ts";

const plans = new WeakMap<Processor, Plan>();

/** A processor made of stages. What is done once a pipeline is done here, nothing of it per run. */
export function processorOf(stages: readonly Stage[]): Processor {
  const plan = planOf(stages);
  const processor = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => streamOf(plan, input, context);
  Object.defineProperty(processor, STAGES, { value: stages });
  plans.set(processor, plan);
  return processor;
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
  return plans.get(processor) ?? planOf(stagesOf(processor));
}
