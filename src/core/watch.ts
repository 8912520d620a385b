/**
 * Observers, wired into a run: which stage a part left and which it entered, and what each call runs inside of.
 *
 * A run that nobody observes never comes here.
 *
 * @module
 */
import { guarded } from "./guarded.ts";
import type { Part } from "./part.ts";
import type { Context, Observer, Outcome, Processor, RunObserver, StageObserver } from "./processor.ts";
import type { FlowStage, OpaqueStage, Operation, OperationStage } from "./stage.ts";

/** Listens to one run and hands out the listeners of its stages, in the order of the pipeline. */
export class RunWatch {
  private readonly run: RunObserver;
  private readonly stages: (StageObserver | undefined)[] = [];

  constructor(run: RunObserver) {
    this.run = run;
  }

  operation(stage: OperationStage): OperationStage {
    const observer = this.stage(stage.name);
    const enters = this.entry(this.stages.length - 1);
    return {
      ...stage,
      open: (scope) => {
        const operation = stage.open(scope);
        const call: Operation = (part, context) => {
          enters(part);
          return enter(observer, () => operation(part, context));
        };
        return call;
      },
    };
  }

  flow(stage: FlowStage): FlowStage {
    const observer = this.stage(stage.name);
    return { ...stage, open: (upstream, scope) => enter(observer, () => stage.open(upstream, scope)) };
  }

  opaque(stage: OpaqueStage): OpaqueStage {
    const observer = this.stage(stage.name);
    const enters = this.entry(this.stages.length - 1);
    return { ...stage, processor: (input, context) => entered(observer, stage.processor, passing(input, enters), context) };
  }

  /** An operation at the end of a stage: each part that comes by has left it. */
  boundary(): Operation {
    const observer = this.stages.at(-1);
    return (part) => {
      guarded(() => observer?.part?.("out", part));
      return part;
    };
  }

  end(outcome: Outcome): void {
    for (const stage of this.stages) guarded(() => stage?.end?.(outcome));
    guarded(() => this.run.end?.(outcome));
  }

  private stage(name: string): StageObserver | undefined {
    const index = this.stages.length;
    let observer: StageObserver | undefined;
    guarded(() => {
      observer = this.run.stage?.({ name, index });
    });
    this.stages.push(observer);
    return observer;
  }

  private entry(index: number): (part: Part) => void {
    const observer = this.stages[index];
    return (part) => guarded(() => observer?.part?.("in", part));
  }
}

/** Asks an observer whether it wants to hear of this run. */
export function watchRun(observer: Observer | undefined, context: Context): RunWatch | undefined {
  let run: RunObserver | undefined;
  guarded(() => {
    run = observer?.run?.({ correlationId: context.correlationId, runId: context.runId });
  });
  return run === undefined ? undefined : new RunWatch(run);
}

function enter<T>(observer: StageObserver | undefined, call: () => T): T {
  return observer?.enter === undefined ? call() : observer.enter(call);
}

function entered(observer: StageObserver | undefined, processor: Processor, input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = enter(observer, () => processor(input, context)[Symbol.asyncIterator]());
      return {
        next: () => enter(observer, () => iterator.next()),
        return: () => enter(observer, () => iterator.return?.() ?? Promise.resolve({ value: undefined, done: true })),
      };
    },
  };
}

function passing(input: AsyncIterable<Part>, enters: (part: Part) => void): AsyncIterable<Part> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = input[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await iterator.next();
          if (result.done !== true) enters(result.value);
          return result;
        },
        return: () => iterator.return?.() ?? Promise.resolve({ value: undefined, done: true }),
      };
    },
  };
}
