/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import type { Flow } from "../core/flow.ts";
import { hasTime, type Limits } from "../core/limits.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import type { Attempt } from "./attempts/attempt.ts";
import { Call } from "./attempts/call.ts";
import { keyed } from "./attempts/logical-call.ts";
import type { Failed, Opening } from "./attempts/opening.ts";
import { isRetryBudget, retryBudget, type RetryBudget } from "./retry-budget.ts";
import type { CallOutcome, Failure, Try } from "./attempts/try.ts";

/** Options of `hedge`. */
export interface HedgeOptions {
  /** Milliseconds after which the second call is made. @default the time in which 95 % of the last calls had content, at least 1_000 */
  readonly afterMs?: number;
  /** What second calls are taken from, within no `retry`. @default one of its own */
  readonly budget?: RetryBudget;
  /** Bytes of input that are kept for the second call, 32 a part besides its content. @default 8 MiB */
  readonly replayBytes?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Where nothing else is said, a call is not doubled before. */
const leastMs = 1_000;
const percentile = 0.95;
/** Calls that the percentile is of. */
const remembered = 100;

interface Settings {
  readonly processor: Processor;
  readonly afterMs: number | undefined;
  readonly budget: RetryBudget;
  readonly replayBytes: number;
  readonly clock: Clock;
  readonly times: Times;
}

/**
 * Makes a second call where the first has no content after a while, and goes on with the one that has content first.
 *
 * For calls that may be made twice: never around a processor that acts. Inside a `retry` the second call is one of its
 * attempts, so that a call never becomes more requests than those.
 *
 * Reads:  its input once; both calls get all of it.
 * Yields: what the call makes that had content first; status parts of the second say `metadata.attempt`.
 * Throws: what the first call throws, if the second has failed too or was never made; `interrupted` once content was handed on.
 * Closes: the other call, at once when one has content; the input at the end.
 *
 * @example
 * const quick = hedge(each((part) => part), { afterMs: 2_000 });
 * console.log(await run(quick, "hello").text()); // hello
 */
export function hedge(processor: Processor, options: HedgeOptions = {}): Processor {
  requireProcessors("hedge", [processor]);
  const { afterMs, clock = systemClock } = options;
  if (afterMs !== undefined && !(typeof afterMs === "number" && afterMs >= 0 && afterMs < Infinity)) {
    throw invalidOption("hedge", "afterMs", "a number of milliseconds from 0", afterMs);
  }
  if (options.budget !== undefined && !isRetryBudget(options.budget)) throw invalidOption("hedge", "budget", "a retryBudget()", options.budget);
  const replayBytes = wholeNumber("hedge", "replayBytes", options.replayBytes ?? 8_388_608, 0);
  const settings: Settings = { processor, afterMs, budget: options.budget ?? retryBudget({ clock }), replayBytes, clock, times: new Times() };
  return processorOf([{ kind: "flow", name: "hedge", open: (upstream, scope) => new Hedge(upstream, scope, settings) }]);
}

/** How long the last calls took to their first content. */
class Times {
  private readonly last: number[] = [];
  private at = 0;

  add(ms: number): void {
    this.last[this.at % remembered] = ms;
    this.at += 1;
  }

  /** So many of them were quicker. */
  get slowMs(): number {
    const sorted = this.last.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length * percentile)] ?? 0;
  }
}

class Hedge extends Call {
  private readonly settings: Settings;
  private readonly limits: Limits;

  constructor(upstream: Flow, scope: Scope, settings: Settings) {
    const { clock, replayBytes } = settings;
    super(upstream, scope, { name: "hedge", clock, afterCommit: "fail", bufferBytes: 0, replayBytes });
    this.settings = settings;
    this.limits = keyed(scope.limits);
  }

  protected override next(failure: Failure | undefined): Try | undefined {
    return failure === undefined ? { processor: this.settings.processor, limits: this.limits } : undefined;
  }

  protected override elect(next: Try): Promise<Opening | Failed> {
    const { clock, times, afterMs } = this.settings;
    return new Promise((resolve) => {
      const fromMs = clock.now();
      const calls: Attempt[] = [];
      let failed: Failed | undefined;
      let running = 0;
      let decided = false;
      const decide = (result: Opening | Failed): void => {
        decided = true;
        cancel();
        resolve(result);
      };
      const settle = (attempt: Attempt, result: Opening | Failed): void => {
        if (decided) return; // both had content at the same moment
        running -= 1;
        if ("error" in result) {
          if (attempt === calls[0]) failed = result;
          if (running === 0) decide(failed ?? result); // of two, the first call's
          return;
        }
        times.add(clock.now() - fromMs);
        for (const other of calls) if (other !== attempt) this.discard(other, new MillraceError("closed", "hedge: the other call was quicker"));
        decide(result);
      };
      const call = (): void => {
        const attempt = this.start(next);
        calls.push(attempt);
        running += 1;
        void this.openingOf(attempt).then((result) => settle(attempt, result));
      };
      const cancel = clock.timeout(afterMs ?? Math.max(leastMs, times.slowMs), () => {
        if (this.input.replayable && this.input.failure === undefined && this.mayCallAgain()) call();
      });
      call();
    });
  }

  private mayCallAgain(): boolean {
    const { limits } = this.scope;
    return hasTime(limits) && (limits.call?.take() ?? this.settings.budget.take());
  }

  protected override onOver(outcome: CallOutcome): void {
    if (outcome === "complete" && this.scope.limits.call === undefined) this.settings.budget.success();
  }
}
