/**
 * A chain of part functions as one operation: what `parallel`, `route` and `isolate` are made of where they can be fused.
 *
 * @module
 */
import { Fused } from "./fused.ts";
import { ignore, isPart, isPromise, PASS } from "./flow.ts";
import { Gate } from "./gate.ts";
import { isReserved } from "./guards.ts";
import type { Part } from "./part.ts";
import { stagesOf } from "./plan.ts";
import type { Processor } from "./processor.ts";
import type { Scope } from "./scope.ts";
import type { Operation, OperationStage } from "./stage.ts";

/** The stages of a processor that works part by part; nothing for one that does not. */
export function operationsOf(processor: Processor): readonly OperationStage[] | undefined {
  const stages = stagesOf(processor);
  return stages.every((stage) => stage.kind === "operation") ? stages : undefined;
}

/** How a stage that is made of such chains takes parts. */
export type Pace = Pick<OperationStage, "concurrency" | "ordered" | "inOrder" | "remembers">;

/** As many parts at once as the widest stage takes; in order where the stages do not all take as many. It remembers what one of them does. */
export function paceOf(branches: readonly (readonly OperationStage[])[]): Pace {
  const concurrency = Math.max(1, ...branches.flat().map((stage) => stage.concurrency));
  return {
    concurrency,
    ordered: branches.flat().every((stage) => stage.ordered),
    inOrder: branches.some((stages) => stages.some((stage, at) => stage.inOrder === true || limitOf(stage, at) < concurrency)),
    remembers: branches.flat().some((stage) => stage.remembers === true),
  };
}

/** Parts that a stage of a chain takes at once: behind another one they come as they are ready, so one that needs order takes one. */
function limitOf(stage: OperationStage, at: number): number {
  return at > 0 && stage.inOrder === true ? 1 : stage.concurrency;
}

/**
 * Opens a chain as one operation of a stage that takes up to `concurrency` parts at once. It gives `PASS` when no function
 * ran for the part; the empty chain takes every part.
 */
export function openBranch(stages: readonly OperationStage[], concurrency: number, scope: Scope): Operation {
  const operations = stages.map((stage) => stage.open(scope));
  const [only] = operations;
  if (only === undefined) return (part) => part;
  if (stages.some((stage, at) => limitOf(stage, at) < concurrency)) return gated(stages, operations, scope);
  return operations.length === 1 ? only : (part) => chain(operations, 0, part, scope);
}

/** Runs a part through as far as results are parts; the rest, if there is any, is left to a fused flow. */
function chain(operations: readonly Operation[], from: number, part: Part, scope: Scope): unknown {
  let current = part;
  let taken = false;
  for (let i = from; i < operations.length; i += 1) {
    const result = (operations[i] as Operation)(current, scope); // i < length
    if (result === PASS) continue;
    if (result === undefined) return undefined;
    if (!isPart(result) || isReserved(result)) {
      if (i + 1 === operations.length) return result;
      if (isPromise(result)) result.then(undefined, ignore); // it may fail before the flow is read, which then tells of it
      return new Fused({ items: [current] }, [() => result, ...operations.slice(i + 1)], scope);
    }
    current = result;
    taken = true;
  }
  return taken ? current : PASS;
}

/** Where a stage takes fewer parts at once than its neighbours, parts wait before it in their order. */
function gated(stages: readonly OperationStage[], operations: readonly Operation[], scope: Scope): Operation {
  const gates = stages.map((stage, at) => new Gate(limitOf(stage, at)));
  let next = 0;
  return async (part) => {
    const ordinal = next;
    next += 1;
    let passed = 0; // gates that this part will not come to again
    try {
      let current = part;
      let taken = false;
      for (const [i, operation] of operations.entries()) {
        await gates[i]?.enter(ordinal);
        let result = operation(current, scope);
        if (isPromise(result)) result = await result;
        if (result === PASS || (isPart(result) && !isReserved(result))) {
          gates[i]?.leave(ordinal);
          passed = i + 1;
          if (result !== PASS) {
            current = result;
            taken = true;
          }
          continue;
        }
        if (result === undefined) return undefined;
        if (i + 1 === operations.length && typeof result === "string") return result;
        const rest = operations.slice(i + 1).map((later, k): Operation => async (each) => {
          await gates[i + 1 + k]?.enter(ordinal);
          return later(each, scope);
        });
        const spread = new Fused({ items: [current] }, [() => result, ...rest], scope);
        const open = passed;
        passed = gates.length; // they are left when the last of these parts is out
        return whenOver(spread, () => gates.slice(open).forEach((gate) => gate.leave(ordinal)));
      }
      return taken ? current : PASS;
    } finally {
      for (const gate of gates.slice(passed)) gate.leave(ordinal);
    }
  };
}

async function* whenOver(parts: Fused, over: () => void): AsyncGenerator<Part> {
  try {
    yield* parts;
  } finally {
    over();
  }
}
