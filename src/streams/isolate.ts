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

/** What becomes of an error: an error part, nothing, or what a function makes of it. */
export type OnError =
  | "part"
  | "skip"
  | ((error: unknown, part: Part, context: Context) => Part | string | undefined | void | Promise<Part | string | undefined | void>);

/**
 * Holds the errors of one part, in its place and after what the part made before it failed; later parts go on.
 *
 * Reads:  every part; a processor that is no part function is run once a part.
 * Yields: what the processor makes, and with `"part"` an error part (substream `error`: code and message, no content).
 * Throws: what is not the part's fault: an abort, and errors of scope `delivery`, `dependency` or `process`, so that an
 *         outage is not taken for a bad part; whatever `onError` throws.
 *
 * @example
 * const careful = isolate(each((part) => JSON.stringify(JSON.parse(isText(part) ? part.text : ""))), { onError: "skip" });
 * console.log(await run(careful, ["1", "{", "2"]).text()); // 12
 */
export function isolate(processor: Processor, options: { readonly onError?: OnError } = {}): Processor {
  requireProcessors("isolate", [processor]);
  const { onError = "part" } = options;
  if (onError !== "part" && onError !== "skip" && typeof onError !== "function") {
    throw invalidOption("isolate", "onError", '"part", "skip" or a function', onError);
  }
  const stages = operationsOf(processor);
  const pace = paceOf([stages ?? []]);
  return processorOf([
    {
      kind: "operation",
      name: "isolate",
      ...pace,
      open: (scope) => {
        const inner: Operation =
          stages === undefined ? (part) => runInside(processor, { items: [part] }, scope) : openBranch(stages, pace.concurrency, scope);
        return guarded(inner, onError, scope);
      },
    },
  ]);
}

function guarded(inner: Operation, onError: OnError, scope: Scope): Operation {
  let parts = 0;
  return (part) => {
    const ordinal = parts;
    parts += 1;
    const handle = (error: unknown): unknown => {
      if (scope.signal.aborted || (isMillraceError(error) && error.scope !== "part")) throw error;
      if (onError === "skip") return undefined;
      return onError === "part" ? toErrorPart(error, ordinal) : onError(error, part, scope);
    };
    const held = (result: unknown): unknown => {
      if (typeof result !== "object" || result === null || isPart(result)) return result;
      if (Array.isArray(result)) return result;
      if (Symbol.asyncIterator in result) return new Guarded((result as AsyncIterable<unknown>)[Symbol.asyncIterator](), handle);
      if (Symbol.iterator in result) return new Guarded((result as Iterable<unknown>)[Symbol.iterator](), handle);
      return result;
    };
    try {
      const result = inner(part, scope);
      if (result === PASS || isPart(result)) return result;
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
  private over = false;

  constructor(inner: Iterator<unknown> | AsyncIterator<unknown>, handle: (error: unknown) => unknown) {
    this.inner = inner;
    this.handle = handle;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.over) return { value: undefined, done: true };
    try {
      return await this.inner.next();
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
