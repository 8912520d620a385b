/**
 * A chain of part functions as one operation: what `parallel`, `route` and `isolate` are made of where they can be fused.
 *
 * @module
 */
import { Fused } from "./fused.ts";
import { isPart, isPromise, PASS } from "./flow.ts";
import { Gate } from "./gate.ts";
import { isReserved } from "./guards.ts";
import type { Part } from "./part.ts";
import type { Processor } from "./processor.ts";
import type { Scope } from "./scope.ts";
import { type Operation, type OperationStage, stagesOf } from "./stage.ts";

/** The stages of a processor that works part by part; nothing for one that does not. */
export function operationsOf(processor: Processor): readonly OperationStage[] | undefined {
  const stages = stagesOf(processor);
  return stages.every((stage) => stage.kind === "operation") ? stages : undefined;
}

/** How many parts may be in any of these stages at once, and whether their order is kept. */
export function paceOf(branches: readonly (readonly OperationStage[])[]): { readonly concurrency: number; readonly ordered: boolean } {
  const stages = branches.flat();
  return {
    concurrency: Math.max(1, ...stages.map((stage) => stage.concurrency)),
    ordered: stages.every((stage) => stage.ordered),
  };
}

/**
 * Opens a chain as one operation of a stage that takes up to `concurrency` parts at once. It gives `PASS` when no function
 * ran for the part; the empty chain takes every part.
 */
export function openBranch(stages: readonly OperationStage[], concurrency: number, scope: Scope): Operation {
  const operations = stages.map((stage) => stage.open(scope));
  const [only] = operations;
  if (only === undefined) return (part) => part;
  if (stages.some((stage) => stage.concurrency < concurrency)) return gated(stages, operations, scope);
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
      return new Fused({ items: [current] }, [() => result, ...operations.slice(i + 1)], scope);
    }
    current = result;
    taken = true;
  }
  return taken ? current : PASS;
}

/** Where a stage takes fewer parts at once than its neighbours, parts wait before it in their order. */
function gated(stages: readonly OperationStage[], operations: readonly Operation[], scope: Scope): Operation {
  const gates = stages.map((stage) => new Gate(stage.concurrency));
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
