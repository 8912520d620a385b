/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { guarded } from "../core/guarded.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { isUnclear, SagaFlow, type SagaPlan, type SagaStep } from "./sagas/saga-flow.ts";
import type { SagaEvent, Undo } from "./sagas/undo.ts";

/** A step of a saga, and what takes it back. */
export interface CompensateStep {
  readonly run: Processor;
  /**
   * Called with what the step gave; a processor is run over that. It must bear being called for a step that has not happened,
   * where nobody knows. @default nothing is to be undone
   */
  readonly undo?: Undo;
  /** Stands in keys, events and errors. @default "step-1", … */
  readonly name?: string;
  /**
   * Did the step perhaps happen, though it failed before it gave anything? @default after `interrupted`, `truncated` and
   * `timeout`, but for the time to connect
   */
  readonly mayHaveHappened?: (error: unknown) => boolean;
}

/** How a saga is taken back. */
export interface CompensateOptions {
  /** @default "saga" */
  readonly name?: string;
  /** Milliseconds for one attempt to undo a step. @default 30,000 */
  readonly undoMs?: number;
  /** Further attempts when an undo fails. @default 3 */
  readonly retries?: number;
  /** Longest wait before the first of them, in milliseconds; doubled for each. @default 500 */
  readonly baseMs?: number;
  /** Longest wait before any of them, in milliseconds. @default 20,000 */
  readonly maxMs?: number;
  /** Bytes of output of a step that are remembered for its undo, 32 a part besides its content; a step that gives more fails. @default 8 MiB */
  readonly maxStepBytes?: number;
  /** Hears of each step that was undone or could not be. It cannot break a run. */
  readonly onEvent?: (event: SagaEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** @default Math.random */
  readonly random?: () => number;
}

/**
 * Runs steps one after the other, and takes back what was done when one of them fails.
 *
 * Reads:  the first step reads the input; every other the whole output of the one before it, which begins when that has ended.
 * Yields: what the last step makes, live; `status` and `debug` parts of all.
 * Undoes: when a step fails, or the saga is left or aborted before its end, the `undo` of every step that happened, each once,
 *         the last first, one after the other. A step that was cut, that failed after it gave something, or of which
 *         `mayHaveHappened` says so, counts as happened. Sagas that have ended are undone too when the run around them, or the
 *         part of it they were in, fails, is left or aborted: chained and nested ones as if they were one. A consumer that breaks
 *         has not taken the whole answer, so that is a failure too. Only a run that ends by itself is done.
 * Throws: the error of the step, the very object, when undoing is over; what could not be undone is in its `suppressed`. On abort the
 *         reason at once, and undoing goes on. A `break` throws what could not be undone. `too_large` for a step that gives
 *         more than is remembered.
 * Closes: the steps, before anything is undone.
 *
 * All of it is in this process: when that dies, nothing is undone.
 *
 * @example
 * const log: string[] = [];
 * const order = compensate([
 *   { name: "reserve", run: each(() => "seat 12A"), undo: (output) => void log.push(`free ${output.length} seat`) },
 *   { name: "charge", run: each(() => { throw new Error("card refused"); }) },
 * ]);
 * await run(order, "Ada").text().catch((error: Error) => console.log(error.message, log)); // card refused [ 'free 1 seat' ]
 */
export function compensate(steps: readonly CompensateStep[], options: CompensateOptions = {}): Processor {
  const { name = "saga", undoMs = 30_000, baseMs = 500, maxMs = 20_000, clock = systemClock, random = Math.random } = options;
  const retries = wholeNumber("compensate", "retries", options.retries ?? 3, 0);
  const maxStepBytes = wholeNumber("compensate", "maxStepBytes", options.maxStepBytes ?? 8 * 1024 * 1024, 0);
  for (const [option, value] of [["undoMs", undoMs], ["baseMs", baseMs], ["maxMs", maxMs]] as const) {
    if (!(Number.isFinite(value) && value > 0)) throw invalidOption("compensate", option, "a positive number of milliseconds", value);
  }
  const tell = (event: SagaEvent): void => guarded(() => options.onEvent?.(event));
  const plan: SagaPlan = { name, steps: checkedSteps(steps), maxStepBytes, settings: { undoMs, retries, baseMs, maxMs, clock, random, tell } };
  return processorOf([{ kind: "flow", name, open: (upstream, scope) => new SagaFlow(upstream, plan, scope) }]);
}

function checkedSteps(steps: readonly CompensateStep[]): SagaStep[] {
  if (!Array.isArray(steps) || steps.length === 0) throw invalidOption("compensate", "steps", "one step or more", steps);
  const names = new Set<string>();
  return steps.map((step: CompensateStep, index) => {
    if (typeof step !== "object" || step === null) throw invalidOption("compensate", `steps[${index}]`, "a step", step);
    const { run, undo, name = `step-${index + 1}`, mayHaveHappened = isUnclear } = step;
    if (typeof run !== "function") throw invalidOption("compensate", `steps[${index}].run`, "a processor", run);
    if (undo !== undefined && typeof undo !== "function") throw invalidOption("compensate", `steps[${index}].undo`, "a function or a processor", undo);
    if (typeof mayHaveHappened !== "function") throw invalidOption("compensate", `steps[${index}].mayHaveHappened`, "a function", mayHaveHappened);
    if (typeof name !== "string") throw invalidOption("compensate", `steps[${index}].name`, "a string", name);
    if (names.has(name)) throw invalidOption("compensate", `steps[${index}].name`, "a name that no other step has", name);
    names.add(name);
    return { name, run, undo, mayHaveHappened };
  });
}
