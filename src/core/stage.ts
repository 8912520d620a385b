/**
 * What a pipeline is made of, as data: `pipe` lays stages in a row once, and each run opens them.
 *
 * @module
 */
import type { Flow } from "./flow.ts";
import type { Part } from "./part.ts";
import type { Processor } from "./processor.ts";
import type { Scope } from "./scope.ts";

/** A part function as the kernel calls it; `PASS` where it did not take the part. */
export type Operation = (part: Part, scope: Scope) => unknown;

/** A stage that works part by part, and so can be fused with its neighbours. */
export interface OperationStage {
  readonly kind: "operation";
  readonly name: string;
  readonly concurrency: number;
  readonly ordered: boolean;
  /** Parts must enter in their order: a stage inside takes fewer at once than its neighbours. */
  readonly inOrder?: boolean;
  /** What it makes of a part depends on the parts before it: run over pieces of a stream, it makes something else. */
  readonly remembers?: boolean;
  /** Made anew for each run, so that state of a run stays in it. */
  open(scope: Scope): Operation;
}

/** A stage of ours that pulls for itself: `take`, `buffer`, `batch`, … */
export interface FlowStage {
  readonly kind: "flow";
  readonly name: string;
  open(upstream: Flow, scope: Scope): Flow;
}

/** A processor that we can't see into. */
export interface OpaqueStage {
  readonly kind: "opaque";
  readonly name: string;
  readonly processor: Processor;
}

/** One stage of a pipeline. */
export type Stage = OperationStage | FlowStage | OpaqueStage;

