/**
 * What `prepend`, `append` and `prompt` share: content of their own and the input, one after the other.
 *
 * @module
 */
import { type Input, isWholePart, type Item, readContent, toPart } from "../core/content.ts";
import { invalidOption } from "../core/errors.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise, type Pulled } from "../core/flow.ts";
import { Fused } from "../core/fused.ts";
import type { Part } from "../core/part.ts";
import type { Context } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";

/** Content that a stage adds: what can be read again in every run, or a function that gives it for each. */
export type PerRun = Item | Iterable<Item> | Blob | ((context: Context) => Input);

/** Opens one part of a sequence. */
export type Step = (scope: Scope, upstream: Flow) => Flow;

/**
 * Checks content when the stage is built, and opens it once a run. An array is copied, so that the stage stays what it is.
 *
 * Throws `invalid_input` for what is no content, and for what may be readable only once: a second run would silently go without it.
 */
export function perRun(who: string, option: string, given: PerRun): Step {
  if (typeof given === "function") {
    return (scope) => {
      const made: unknown = given(scope);
      if (isPromise(made)) throw invalidOption(who, option, "a function that gives content, not a promise of it; an async function* may wait", made);
      return new Fused(readContent(made), [], scope);
    };
  }
  if (isReadOnce(given)) throw invalidOption(who, option, "a function, for content that can be read only once", given);
  if (!isContent(given)) throw invalidOption(who, option, "content (a string, a part, an array, …) or a function that gives it", given);
  const content = Array.isArray(given) ? given.map((item) => toPart(item, undefined)) : given;
  return (scope) => new Fused(readContent(content), [], scope);
}

function isReadOnce(given: unknown): boolean {
  if (typeof given !== "object" || given === null) return false;
  return Symbol.asyncIterator in given || given instanceof ReadableStream || ("next" in given && typeof given.next === "function");
}

function isContent(given: unknown): given is PerRun {
  return typeof given === "string" || (typeof given === "object" && given !== null && (isWholePart(given) || given instanceof Blob || Symbol.iterator in given));
}

/** Flows one after the other; each is opened when the one before has ended. One of them is the input, if it is read. */
export class Sequence implements Flow {
  private readonly steps: readonly Step[];
  private readonly upstream: Flow;
  private readonly scope: Scope;
  private at = 0;
  private current: Flow | undefined = undefined;

  constructor(steps: readonly Step[], upstream: Flow, scope: Scope) {
    this.steps = steps;
    this.upstream = upstream;
    this.scope = scope;
  }

  pull(): Pulled {
    for (;;) {
      const step = this.steps[this.at];
      if (step === undefined) return DONE;
      try {
        this.current ??= step(this.scope, this.upstream);
      } catch (error) {
        return this.onFailed(error);
      }
      const pulled = this.current.pull();
      if (isPart(pulled)) return pulled;
      if (pulled !== DONE) return pulled.then(this.onPulled, this.onFailed);
      this.advance();
    }
  }

  private advance(): void {
    this.current = undefined;
    this.at += 1;
  }

  private readonly onPulled = (pulled: Part | typeof DONE): Pulled => {
    if (isPart(pulled)) return pulled;
    this.advance();
    return this.pull();
  };

  /** What failed has closed itself; the input may not have been opened yet. */
  private readonly onFailed = async (error: unknown): Promise<never> => {
    this.at = this.steps.length;
    await this.upstream.close(error)?.catch(ignore); // closing never hides the first error
    throw error;
  };

  close(why: unknown): Promise<void> | undefined {
    this.at = this.steps.length;
    const own = this.current === this.upstream ? undefined : this.current?.close(why);
    return allClosed([own, this.upstream.close(why)]);
  }
}

/** The input of the stage, where it stands in the sequence. */
export const input: Step = (_scope, upstream) => upstream;
