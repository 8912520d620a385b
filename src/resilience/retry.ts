/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import type { Flow } from "../core/flow.ts";
import { guarded } from "../core/guarded.ts";
import { hasTime, type Limits, type LogicalCall } from "../core/limits.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { type Resumption, resumptionOf } from "../core/resumable.ts";
import type { Scope } from "../core/scope.ts";
import { type Backoff, backoffMs, checkBackoff, hintedMs, hintOf } from "./attempts/backoff.ts";
import { Call } from "./attempts/call.ts";
import { noteAttempts, rootOf } from "./attempts/commit.ts";
import { keyed, logicalCall } from "./attempts/logical-call.ts";
import { Resume } from "./attempts/resume.ts";
import { isRetryBudget, retryBudget, type RetryBudget } from "./retry-budget.ts";
import { isRefreshed, isRetryable } from "./attempts/retry-rules.ts";
import { timeout } from "./timeout.ts";
import type { CallOutcome, Failure, Try } from "./attempts/try.ts";

/** What is about to be tried again. */
export interface RetryEvent {
  /** The attempt that failed, counted from 1. */
  readonly attempt: number;
  readonly error: unknown;
  /** Milliseconds until the next. */
  readonly delayMs: number;
}

/** Options of `retry`. */
export interface RetryOptions {
  /** Attempts in all, the first included. @default 3 */
  readonly attempts?: number;
  /** The longest first wait; doubled with each attempt. @default 500 */
  readonly baseMs?: number;
  /** No wait of ours is longer. @default 20_000 */
  readonly maxMs?: number;
  /** How waits grow; all have full jitter below the cap. @default "exponential" */
  readonly backoff?: Backoff;
  /** The longest time a service may ask to wait; one that asks for more gets its error through. @default 60_000 */
  readonly maxHintMs?: number;
  /** Is a failure worth another attempt? Never asked about an abort. @default errors that say they are retryable */
  readonly retryIf?: (error: unknown, attempt: number) => boolean;
  /** Shared with others that call the same service. @default one of its own */
  readonly budget?: RetryBudget;
  /**
   * What is done when it fails after content was handed on. `"fail"` throws `interrupted`. `"buffer"` hands on nothing before the
   * end of the answer, so that there is no such failure. `"restart"` hands on a part that takes back what came before it, and
   * begins anew. `"resume"` goes on where the answer broke off, if the processor can. @default "fail"
   */
  readonly afterCommit?: "fail" | "buffer" | "restart" | "resume";
  /** Bytes of input that are kept for another attempt, 32 a part besides its content. @default 8 MiB */
  readonly replayBytes?: number;
  /** Bytes that `"buffer"` holds back, 32 a part besides its content; behind them the answer is handed on. @default 1 MiB */
  readonly bufferBytes?: number;
  /** Milliseconds for all attempts and waits together. @default no limit of its own */
  readonly totalMs?: number;
  /** Hears of each further attempt; what it throws is dropped. */
  readonly onRetry?: (event: RetryEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number;
}

const modes: readonly string[] = ["fail", "buffer", "restart", "resume"];

interface Settings extends Required<Omit<RetryOptions, "totalMs" | "onRetry" | "retryIf">> {
  readonly retryIf: RetryOptions["retryIf"];
  readonly onRetry: RetryOptions["onRetry"];
  readonly processor: Processor;
  readonly resumption: Resumption | undefined;
}

/**
 * Makes a call again that failed before anything of it was handed on.
 *
 * The whole stream is one call. To try again part by part, run it part by part: `batch({ count: 1 }, retry(processor))`.
 *
 * Reads:  its input once; what was read is kept for the next attempt until the first content part is handed on.
 * Yields: what the attempt that came through makes. Status and debug parts of later attempts say `metadata.attempt`.
 * Throws: the last error with `attempts`; `interrupted` with what was delivered once content was handed on; an error of the input
 *         as it is. Inside another `retry` it makes one attempt.
 * Closes: an attempt that failed, before the next begins; the input at the end.
 *
 * @example
 * let calls = 0;
 * const flaky = each((part) => {
 *   calls += 1;
 *   if (calls < 3) throw new MillraceError("unavailable", "not yet");
 *   return part;
 * });
 * console.log(await run(retry(flaky, { baseMs: 1 }), "hello").text()); // hello
 */
export function retry(processor: Processor, options: RetryOptions = {}): Processor {
  const settings = checked(processor, options);
  const { totalMs } = options;
  const retrying = processorOf([{ kind: "flow", name: "retry", open: (upstream, scope) => new Retry(upstream, scope, settings) }]);
  return totalMs === undefined ? retrying : timeout(retrying, { totalMs, clock: settings.clock });
}

function checked(processor: Processor, options: RetryOptions): Settings {
  requireProcessors("retry", [processor]);
  const { clock = systemClock, random = Math.random, backoff = "exponential", afterCommit = "fail", retryIf, onRetry } = options;
  const whole = (name: "attempts" | "replayBytes" | "bufferBytes", otherwise: number, least: number): number =>
    options[name] === undefined ? otherwise : wholeNumber("retry", name, options[name], least);
  checkBackoff("retry", backoff);
  if (!modes.includes(afterCommit)) throw invalidOption("retry", "afterCommit", modes.join(", "), afterCommit);
  if (retryIf !== undefined && typeof retryIf !== "function") throw invalidOption("retry", "retryIf", "a function", retryIf);
  if (options.budget !== undefined && !isRetryBudget(options.budget)) throw invalidOption("retry", "budget", "a retryBudget()", options.budget);
  const resumption = afterCommit === "resume" ? resumptionOf(processor) : undefined;
  if (afterCommit === "resume" && resumption === undefined) {
    throw new MillraceError("missing_config", `retry: afterCommit "resume" needs a processor that can be resumed, got ${processor.name || "one without a name"}`);
  }
  return {
    processor,
    resumption,
    attempts: whole("attempts", 3, 1),
    replayBytes: whole("replayBytes", 8_388_608, 0),
    bufferBytes: whole("bufferBytes", 1_048_576, 0),
    baseMs: milliseconds("baseMs", options.baseMs, 500),
    maxMs: milliseconds("maxMs", options.maxMs, 20_000),
    maxHintMs: milliseconds("maxHintMs", options.maxHintMs, 60_000),
    budget: options.budget ?? retryBudget({ clock }),
    backoff,
    afterCommit,
    retryIf,
    onRetry,
    clock,
    random,
  };
}

function milliseconds(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (typeof value === "number" && value >= 0 && value !== Infinity) return value;
  throw invalidOption("retry", name, "a number of milliseconds from 0", value);
}

class Retry extends Call {
  private readonly settings: Settings;
  /** Tried again further out: nothing is tried again here. */
  private readonly nested: boolean;
  private readonly resume: Resume | undefined;
  private readonly limits: Limits | undefined;
  private readonly call: LogicalCall;
  /** Requests that were made or granted. */
  private made = 0;
  private refreshed = false;
  private previousMs = 0;

  constructor(upstream: Flow, scope: Scope, settings: Settings) {
    const nested = scope.limits.call !== undefined;
    const { afterCommit, replayBytes, bufferBytes, clock, resumption } = settings;
    super(upstream, scope, {
      name: "retry",
      clock,
      afterCommit: afterCommit === "resume" ? "fail" : afterCommit,
      bufferBytes,
      replayBytes: nested ? undefined : replayBytes,
    });
    this.settings = settings;
    this.nested = nested;
    this.resume = resumption === undefined || nested ? undefined : new Resume(resumption);
    this.call = logicalCall(() => this.grant());
    this.limits = nested ? undefined : { call: this.call, ...keyed(scope.limits) };
  }

  protected override next(failure: Failure | undefined): Try | undefined | Promise<Try | undefined> {
    if (failure !== undefined) return this.again(failure);
    this.made = 1;
    return this.plan(false);
  }

  protected override resumes(): boolean {
    return this.resume?.possible === true;
  }

  private grant(): boolean {
    if (this.made >= this.settings.attempts || !this.settings.budget.take()) return false;
    this.made += 1;
    return true;
  }

  private plan(resuming: boolean): Try {
    const { resume, limits } = this;
    const rest = resuming ? resume?.rest() : undefined;
    if (rest !== undefined) return { processor: rest, limits, mark: resume?.follow, continues: true };
    return { processor: this.settings.processor, limits, mark: resume?.follow };
  }

  private async again({ error, open }: Failure): Promise<Try | undefined> {
    const resuming = !open && this.resumes();
    if (this.nested || (!open && !resuming && this.tally.called)) return undefined;
    const root = rootOf(error);
    if (isRefreshed(root) && !this.refreshed && hasTime(this.scope.limits)) {
      if (!resuming) this.requireReplay(error);
      this.refreshed = true;
      this.tell({ attempt: this.begun, error: root, delayMs: 0 });
      return this.plan(resuming);
    }
    const delayMs = this.delayMs(root);
    if (delayMs === undefined) return undefined;
    if (!resuming) this.requireReplay(error);
    if (!this.grant()) return undefined;
    this.tell({ attempt: this.begun, error: root, delayMs });
    if (delayMs > 0) await this.sleep(delayMs);
    return this.over ? undefined : this.plan(resuming);
  }

  /** Milliseconds until another attempt; nothing when it is not worth one. */
  private delayMs(error: unknown): number | undefined {
    const { attempts, retryIf, backoff, baseMs, maxMs, maxHintMs, random } = this.settings;
    if (this.made >= attempts || !(retryIf === undefined ? isRetryable(error) : retryIf(error, this.made))) return undefined;
    const hint = hintOf(error);
    if (hint !== undefined && hint > maxHintMs) return undefined;
    const state = { attempt: this.made, error, previousMs: this.previousMs, baseMs, maxMs, random };
    const delayMs = hint === undefined ? backoffMs(backoff, state) : hintedMs(hint, random);
    this.previousMs = delayMs;
    return hasTime(this.scope.limits, delayMs) ? delayMs : undefined;
  }

  private tell(event: RetryEvent): void {
    guarded(() => this.settings.onRetry?.(event));
  }

  protected override onOver(outcome: CallOutcome): void {
    if (outcome === "complete" && !this.nested) this.settings.budget.success();
  }

  protected override told(error: unknown): unknown {
    const told = super.told(error);
    if (!this.nested && !this.isOfInput(error)) noteAttempts(told, this.made + (this.refreshed ? 1 : 0));
    return told;
  }
}
