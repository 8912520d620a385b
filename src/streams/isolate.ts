/**
 * @module
 */
import { openBranch, operationsOf, paceOf } from "../core/branch.ts";
import { errorPart } from "../core/constructors.ts";
import { invalidOption, isMillraceError, requireProcessors } from "../core/errors.ts";
import { isPart, isPromise, PASS } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { processorOf, runInside } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import type { Operation } from "../core/stage.ts";
import { budgetOf, type ErrorBudget, ErrorCount, systemic } from "./error-budget.ts";

/** What becomes of an error: an error part, nothing, or what a function makes of it. */
export type OnError =
  | "part"
  | "skip"
  | ((error: unknown, part: Part, context: Context) => Part | string | undefined | void | Promise<Part | string | undefined | void>);

/** Options of `isolate`. */
export interface IsolateOptions {
  /** What becomes of a part that fails. @default "part" */
  readonly onError?: OnError;
  /**
   * When to stop setting parts aside: what looks like a bad part at such a rate is an outage, and an outage must not empty a
   * stream. @default 5 % of 200 and 20 in a row for `"skip"` and functions; none for `"part"`, where every failure stays in the stream
   */
  readonly errorBudget?: ErrorBudget | false;
}

/**
 * Holds the errors of one part, in its place and after what the part made before it failed; later parts go on.
 *
 * Reads:  every part; a processor that is no part function is run once a part.
 * Yields: what the processor makes, and with `"part"` an error part (substream `error`: code and message, no content).
 * Throws: what is not the part's fault: an abort, and errors of scope `delivery`, `dependency` or `process`, so that an
 *         outage is not taken for a bad part; whatever `onError` throws; the last error, of scope `dependency`, when the error
 *         budget is spent.
 *
 * @example
 * const careful = isolate(each((part) => JSON.stringify(JSON.parse(isText(part) ? part.text : ""))), { onError: "skip" });
 * console.log(await run(careful, ["1", "{", "2"]).text()); // 12
 */
export function isolate(processor: Processor, options: IsolateOptions = {}): Processor {
  requireProcessors("isolate", [processor]);
  const { onError = "part" } = options;
  if (onError !== "part" && onError !== "skip" && typeof onError !== "function") {
    throw invalidOption("isolate", "onError", '"part", "skip" or a function', onError);
  }
  const budget = budgetOf("isolate", options.errorBudget ?? (onError === "part" ? false : {}));
  const stages = operationsOf(processor);
  const pace = paceOf([stages ?? []]);
  return processorOf([
    {
      kind: "operation",
      name: "isolate",
      ...pace,
      remembers: true, // it counts parts, for their ordinals, and failures, for the budget
      open: (scope) => {
        const inner: Operation =
          stages === undefined ? (part) => runInside(processor, { items: [part] }, scope) : openBranch(stages, pace.concurrency, scope);
        return guarded(inner, onError, scope, budget === undefined ? undefined : new ErrorCount(budget));
      },
    },
  ]);
}

function guarded(inner: Operation, onError: OnError, scope: Scope, count: ErrorCount | undefined): Operation {
  let parts = 0;
  return (part) => {
    const ordinal = parts;
    parts += 1;
    const handle = (error: unknown): unknown => {
      if (scope.signal.aborted || (isMillraceError(error) && error.scope !== "part")) throw error;
      if (count?.failed() === true) throw systemic(error, count);
      if (onError === "skip") return undefined;
      return onError === "part" ? toErrorPart(error, ordinal) : onError(error, part, scope);
    };
    const well = (): void => count?.passed();
    const held = (result: unknown): unknown => {
      if (typeof result === "object" && result !== null && !isPart(result) && !Array.isArray(result)) {
        if (Symbol.asyncIterator in result) return new Guarded((result as AsyncIterable<unknown>)[Symbol.asyncIterator](), handle, well);
        if (Symbol.iterator in result) return new Guarded((result as Iterable<unknown>)[Symbol.iterator](), handle, well);
      }
      well();
      return result;
    };
    try {
      const result = inner(part, scope);
      if (result === PASS || isPart(result)) {
        well();
        return result;
      }
      return isPromise(result) ? result.then(held, handle) : held(result);
    } catch (error) {
      return handle(error);
    }
  };
}

/** The rest of a part's results; its failure is the last of them. Releasable, unlike a generator. */
class Guarded implements AsyncIterableIterator<unknown> {
  private readonly inner: Iterator<unknown> | AsyncIterator<unknown>;
  private readonly handle: (error: unknown) => unknown;
  private readonly well: () => void;
  private over = false;

  constructor(inner: Iterator<unknown> | AsyncIterator<unknown>, handle: (error: unknown) => unknown, well: () => void) {
    this.inner = inner;
    this.handle = handle;
    this.well = well;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.over) return { value: undefined, done: true };
    try {
      const result = await this.inner.next();
      if (result.done === true) this.well();
      return result;
    } catch (error) {
      this.over = true;
      return { value: await this.handle(error), done: false };
    }
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.over = true;
    await this.inner.return?.();
    return { value: undefined, done: true };
  }
}

function toErrorPart(error: unknown, ordinal: number): Part {
  if (isMillraceError(error)) return errorPart({ code: error.code, message: error.message, ordinal });
  // The text of a foreign error may quote anything, so only its kind is told.
  const name = error instanceof Error ? error.name : typeof error;
  return errorPart({ code: "unknown", message: `part ${ordinal} failed: ${name}`, ordinal });
}
