/**
 * From stages to flows: neighbours that work part by part are joined once, each run opens the result.
 *
 * @module
 */
import { Concurrent } from "./concurrent.ts";
import type { Content } from "./content.ts";
import { type Flow, isFlow } from "./flow.ts";
import { Fused, type FusedInput } from "./fused.ts";
import { OpaqueSource } from "./opaque.ts";
import type { RunWatch } from "./watch.ts";
import type { Scope } from "./scope.ts";
import type { Processor } from "./processor.ts";
import type { FlowStage, OpaqueStage, Operation, OperationStage, Stage } from "./stage.ts";

type Segment =
  | { readonly kind: "fused"; readonly stages: OperationStage[] }
  | { readonly kind: "concurrent"; readonly stages: OperationStage[] }
  | FlowStage
  | OpaqueStage;

/** Stages laid out to be opened. */
export type Plan = readonly Segment[];

/** On a processor of ours: what it is made of. */
export const STAGES: unique symbol = Symbol("millrace.stages");

/** The stages of a processor, planned when it is first run: most processors are only ever stages of another. */
export class Staged {
  readonly stages: readonly Stage[];
  #plan: Plan | undefined;

  constructor(stages: readonly Stage[]) {
    this.stages = stages;
  }

  get plan(): Plan {
    return (this.#plan ??= planOf(this.stages));
  }
}

/** What any processor is made of; a bare function is one opaque stage. */
export function stagedOf(processor: Processor): Staged {
  const staged = (processor as { readonly [STAGES]?: Staged })[STAGES];
  return staged ?? new Staged([{ kind: "opaque", name: processor.name || "processor", processor }]);
}

/** The stages of any processor. */
export function stagesOf(processor: Processor): readonly Stage[] {
  return stagedOf(processor).stages;
}

/** What is left to do for whoever reads the pipeline: the last operations, over the last input. */
export interface Opened {
  readonly input: FusedInput;
  readonly operations: readonly Operation[];
}

/** Joins neighbouring operations; done once a pipeline. */
function planOf(stages: readonly Stage[]): Plan {
  const plan: Segment[] = [];
  for (const stage of stages) {
    if (stage.kind !== "operation") {
      plan.push(stage);
      continue;
    }
    const kind = stage.concurrency === 1 ? "fused" : "concurrent";
    const last = plan.at(-1);
    if (last?.kind === kind && (kind === "fused" || joins(last.stages, stage))) last.stages.push(stage);
    else plan.push({ kind, stages: [stage] });
  }
  return plan;
}

// An ordered stage orders what its neighbour hands on, and after an unordered one that order exists only at its output. In a
// joined segment parts enter every stage but the first as they come.
function joins(stages: readonly OperationStage[], next: OperationStage): boolean {
  return next.inOrder !== true && (!next.ordered || stages.every((stage) => stage.ordered));
}

/** Opens a plan over content, up to the last operations. */
export function openPlan(plan: Plan, content: Content | Flow, scope: Scope, watch?: RunWatch): Opened {
  let input: FusedInput = content;
  let operations: readonly Operation[] = [];
  for (const unwatched of plan) {
    const segment = watch === undefined ? unwatched : watched(unwatched, watch);
    if (segment.kind === "fused") {
      operations = [...operations, ...segment.stages.map((stage) => stage.open(scope))];
      continue;
    }
    if (segment.kind === "opaque") input = new OpaqueSource(segment, new Fused(input, operations, scope), scope);
    else {
      const upstream = flowOf({ input, operations }, scope);
      input = segment.kind === "concurrent" ? new Concurrent(upstream, segment.stages, scope) : segment.open(upstream, scope);
    }
    operations = watch === undefined ? [] : [watch.boundary()];
  }
  return { input, operations };
}

/** The same segment, heard by observers. */
function watched(segment: Segment, watch: RunWatch): Segment {
  if (segment.kind === "opaque") return watch.opaque(segment);
  if (segment.kind === "flow") return watch.flow(segment);
  return { kind: segment.kind, stages: segment.stages.map((stage) => watch.operation(stage)) };
}

/** What was opened, as one flow. */
export function flowOf({ input, operations }: Opened, scope: Scope): Flow {
  return operations.length === 0 && isFlow(input) ? input : new Fused(input, operations, scope);
}
