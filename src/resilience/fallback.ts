/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, isMillraceError, MillraceError, wholeNumber } from "../core/errors.ts";
import type { Flow } from "../core/flow.ts";
import { hasTime } from "../core/limits.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import { stagesOf } from "../core/plan.ts";
import { Call } from "./attempts/call.ts";
import { rootOf } from "./attempts/commit.ts";
import { isElsewhere } from "./attempts/retry-rules.ts";
import type { AfterCommit, Failure, Try } from "./attempts/try.ts";

/** One that may answer instead. */
export interface FallbackTarget {
  readonly processor: Processor;
  /** Is it to answer where the one before failed like this? @default the `when` of all */
  readonly when?: (error: unknown) => boolean;
  /** Told in the metadata of what it makes. @default the name of the function, or of its stages */
  readonly name?: string;
}

/** Options of `fallback`. */
export interface FallbackOptions {
  /** Is another to answer where one failed like this? Never asked about an abort. @default what is retryable, and errors of scope `dependency` */
  readonly when?: (error: unknown) => boolean;
  /** What is done when one fails after content was handed on: as in `retry`, with the next one. @default "fail" */
  readonly afterCommit?: AfterCommit;
  /** Bytes of input that are kept for the next one, 32 a part besides its content. @default 8 MiB */
  readonly replayBytes?: number;
  /** Bytes that `"buffer"` holds back, 32 a part besides its content. @default 1 MiB */
  readonly bufferBytes?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

interface Settings extends Required<Omit<FallbackOptions, "when">> {
  readonly targets: readonly Required<FallbackTarget>[];
}

const modes: readonly string[] = ["fail", "buffer", "restart"];

/**
 * Asks the next one where one fails before anything of it was handed on.
 *
 * Reads:  its input once; each target gets all of it.
 * Yields: what the one that answers makes; parts of a fallback say so in `metadata.fallback`: its index and name.
 * Throws: the last error, with an `AggregateError` of all as its cause where more than one failed; a bug, a bad part and an abort
 *         at once; `interrupted` once content was handed on.
 * Closes: one that failed, before the next is asked; the input at the end.
 *
 * @example
 * const cloud = each(() => {
 *   throw new MillraceError("unavailable", "the cloud is down");
 * });
 * const local = each((part) => part);
 * console.log(await run(fallback(cloud, local), "hello").text()); // hello
 */
export function fallback(primary: Processor | FallbackTarget, ...others: readonly (Processor | FallbackTarget | FallbackOptions)[]): Processor {
  const last = others.at(-1);
  const options: FallbackOptions = last !== undefined && isOptions(last) ? last : {};
  const list: readonly unknown[] = [primary, ...(last === options ? others.slice(0, -1) : others)];
  const { when = isElsewhere, afterCommit = "fail", clock = systemClock } = options;
  if (typeof when !== "function") throw invalidOption("fallback", "when", "a function", when);
  if (!modes.includes(afterCommit)) throw invalidOption("fallback", "afterCommit", modes.join(", "), afterCommit);
  const settings: Settings = {
    targets: list.map((target, index) => targetOf(target, index, when)),
    afterCommit,
    replayBytes: wholeNumber("fallback", "replayBytes", options.replayBytes ?? 8_388_608, 0),
    bufferBytes: wholeNumber("fallback", "bufferBytes", options.bufferBytes ?? 1_048_576, 0),
    clock,
  };
  return processorOf([{ kind: "flow", name: "fallback", open: (upstream, scope) => new Fallback(upstream, scope, settings) }]);
}

function isOptions(value: Processor | FallbackTarget | FallbackOptions): value is FallbackOptions {
  return typeof value === "object" && value !== null && !("processor" in value);
}

function targetOf(target: unknown, index: number, when: (error: unknown) => boolean): Required<FallbackTarget> {
  const given: unknown = typeof target === "function" ? { processor: target } : target;
  if (typeof given !== "object" || given === null || !("processor" in given) || typeof given.processor !== "function") {
    throw invalidOption("fallback", `argument ${index + 1}`, "a processor, or an object with one", target);
  }
  const { processor, name = nameOf(processor), when: own = when } = given as FallbackTarget; // it has a processor; the rest is checked below
  if (typeof own !== "function") throw invalidOption("fallback", `when of argument ${index + 1}`, "a function", own);
  if (typeof name !== "string") throw invalidOption("fallback", `name of argument ${index + 1}`, "a string", name);
  return { processor, name, when: own };
}

/** The function's own name, or those of the stages that it is made of. */
function nameOf(processor: Processor): string {
  return stagesOf(processor)
    .map((stage) => stage.name)
    .join(", ");
}

class Fallback extends Call {
  private readonly targets: Settings["targets"];
  private readonly errors: unknown[] = [];
  private index = -1;

  constructor(upstream: Flow, scope: Scope, settings: Settings) {
    const { targets, afterCommit, bufferBytes, replayBytes, clock } = settings;
    super(upstream, scope, { name: "fallback", clock, afterCommit, bufferBytes, replayBytes });
    this.targets = targets;
  }

  protected override next(failure: Failure | undefined): Try | undefined {
    if (failure === undefined) return this.plan(0);
    const { error, open } = failure;
    this.errors.push(error);
    if (!open && this.tally.called) return undefined;
    const root = rootOf(error);
    const next = this.targets.findIndex((target, index) => index > this.index && target.when(root));
    if (next === -1 || !hasTime(this.scope.limits)) return undefined;
    this.requireReplay(error);
    return this.plan(next);
  }

  private plan(index: number): Try | undefined {
    this.index = index;
    const target = this.targets[index];
    if (target === undefined) return undefined;
    const { processor, name } = target;
    if (index === 0) return { processor };
    const answered = { index, service: name };
    return { processor, mark: (part: Part) => derive(part, { metadata: { ...part.metadata, fallback: answered } }) };
  }

  protected override told(error: unknown): unknown {
    const { errors } = this;
    return super.told(errors.length > 1 && error === errors.at(-1) ? withAll(error, errors) : error);
  }
}

/** The last error, caused by all of them. A copy: the error itself belongs to whoever threw it, and is among the causes. */
function withAll(error: unknown, errors: readonly unknown[]): unknown {
  if (!isMillraceError(error)) return error; // a bug passes as it is
  const { code, message, scope, retryable, retryAfterMs, status, service, phase, attempts, partial, suppressed } = error;
  const cause = new AggregateError(errors, `fallback: all ${errors.length} failed`);
  const given = Object.entries({ retryAfterMs, status, service, phase, attempts, partial, suppressed }).filter(([, value]) => value !== undefined);
  return new MillraceError(code, message, { scope, retryable, cause, ...Object.fromEntries(given) });
}
