/**
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import type { Flow } from "../core/flow.ts";
import { hasTime, type Limits, type LogicalCall } from "../core/limits.ts";
import type { Part } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Context } from "../core/processor.ts";
import type { Scope } from "../core/scope.ts";
import { Call } from "./attempts/call.ts";
import { rootOf } from "./attempts/commit.ts";
import { type Endpoint, type EndpointState, type EndpointStatus, type Verdict, verdictOf } from "./balancing/endpoint.ts";
import { EndpointPool } from "./balancing/endpoint-pool.ts";
import { HealthChecks } from "./balancing/health-checks.ts";
import { keyed, logicalCall } from "./attempts/logical-call.ts";
import { type BalanceBy, picks } from "./balancing/pick.ts";
import { isRetryBudget, retryBudget, type RetryBudget } from "./retry-budget.ts";
import { isElsewhere } from "./attempts/retry-rules.ts";
import type { CallOutcome, Failure, Try } from "./attempts/try.ts";

/** Options of `loadBalance`. */
export interface LoadBalanceOptions {
  /**
   * `"p2c"`: of two at random the less busy and quicker one. `"round-robin"`: by turns. `"least-loaded"`: the fewest calls in
   * progress. `"hash"`: the same one for the same key, while it has room. @default "p2c"
   */
  readonly by?: BalanceBy;
  /** What `"hash"` goes by, such as a conversation: its caches are warm where it was before. @default the correlation id */
  readonly key?: (context: Context) => string;
  /** Endpoints that are asked for one call at most; within a `retry`, its attempts count. @default 3 */
  readonly attempts?: number;
  /** What further endpoints of a call are taken from, within no `retry`. @default one of its own */
  readonly budget?: RetryBudget;
  /** Is an endpoint well? Asked beside the calls while there are any; what it throws is a no, and so is no answer in time. */
  readonly health?: (endpoint: Endpoint, signal: AbortSignal) => Promise<boolean>;
  /** Milliseconds between two checks of an endpoint. @default 10_000 */
  readonly healthEveryMs?: number;
  /** Milliseconds for a check. @default 2_000 */
  readonly healthTimeoutMs?: number;
  /** Bytes of input that are kept for another endpoint. @default 8 MiB */
  readonly replayBytes?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** A processor that is several. */
export interface LoadBalancer extends AsyncDisposable {
  (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part>;
  /** Takes over another list: who has the same id and processor stays, whatever its weight; who is gone is closed after its last call. */
  update(endpoints: readonly Endpoint[]): void;
  /** What is known of each endpoint. */
  status(): readonly EndpointStatus[];
  /** Refuses further calls, and closes each endpoint after its last one; resolves then. Twice is fine. */
  close(): Promise<void>;
}

interface Settings {
  readonly by: BalanceBy;
  readonly key: (context: Context) => string;
  readonly attempts: number;
  readonly budget: RetryBudget;
  readonly replayBytes: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly pool: EndpointPool;
  readonly checks: HealthChecks | undefined;
}

/**
 * Gives each call to one of several endpoints that do the same.
 *
 * One that fails five times in a row, or half of twenty calls in ten seconds, gets none for 30 s, then longer each time, and
 * returns slowly; half of them at most are out at a time. Before the first content, a call that fails goes to another one.
 *
 * Reads:  its input once; it is kept for another endpoint until the first content part is handed on.
 * Yields: what the endpoint makes; finish parts say in `metadata.endpoint` the id of the one that answered.
 * Throws: `unavailable` without any endpoint; the last error when all that were asked failed; `interrupted` once content was
 *         handed on; `closed` after `close()`.
 * Closes: endpoints that have a `close`, once they are removed or the balancer is closed.
 *
 * @example
 * const balanced = loadBalance([
 *   { id: "eu", processor: each((part) => part) },
 *   { id: "us", processor: each((part) => part) },
 * ]);
 * console.log(await run(balanced, "hello").text()); // hello
 */
export function loadBalance(endpoints: readonly Endpoint[] | (() => readonly Endpoint[]), options: LoadBalanceOptions = {}): LoadBalancer {
  const { by = "p2c", key = (context) => context.correlationId, clock = systemClock, random = Math.random, health } = options;
  if (typeof by !== "string" || !Object.hasOwn(picks, by)) throw invalidOption("loadBalance", "by", Object.keys(picks).join(", "), by);
  if (typeof key !== "function") throw invalidOption("loadBalance", "key", "a function", key);
  if (health !== undefined && typeof health !== "function") throw invalidOption("loadBalance", "health", "a function", health);
  if (options.budget !== undefined && !isRetryBudget(options.budget)) throw invalidOption("loadBalance", "budget", "a retryBudget()", options.budget);
  const everyMs = wholeNumber("loadBalance", "healthEveryMs", options.healthEveryMs ?? 10_000, 1);
  const timeoutMs = wholeNumber("loadBalance", "healthTimeoutMs", options.healthTimeoutMs ?? 2_000, 1);
  const pool = new EndpointPool(endpoints, clock);
  const checks = health === undefined ? undefined : new HealthChecks({ check: health, everyMs, timeoutMs, clock, random });
  const settings: Settings = {
    by,
    key,
    attempts: wholeNumber("loadBalance", "attempts", options.attempts ?? 3, 1),
    budget: options.budget ?? retryBudget({ clock }),
    replayBytes: wholeNumber("loadBalance", "replayBytes", options.replayBytes ?? 8_388_608, 0),
    clock,
    random,
    pool,
    checks,
  };
  const close = (): Promise<void> => {
    checks?.stop();
    return pool.close();
  };
  const processor = processorOf([{ kind: "flow", name: "loadBalance", open: (upstream, scope) => new Balanced(upstream, scope, settings) }]);
  return Object.assign(processor, {
    update: (list: readonly Endpoint[]): void => pool.update(list),
    status: (): readonly EndpointStatus[] => pool.status,
    close,
    [Symbol.asyncDispose]: close,
  });
}

class Balanced extends Call {
  private readonly settings: Settings;
  private readonly call: LogicalCall;
  private readonly limits: Limits;
  private readonly nested: boolean;
  private made = 0;
  /** The endpoint that works on it, and since when. */
  private current: { readonly state: EndpointState; readonly sinceMs: number } | undefined = undefined;

  constructor(upstream: Flow, scope: Scope, settings: Settings) {
    const { clock, replayBytes } = settings;
    super(upstream, scope, { name: "loadBalance", clock, afterCommit: "fail", bufferBytes: 0, replayBytes });
    this.settings = settings;
    this.nested = scope.limits.call !== undefined;
    this.call = scope.limits.call ?? logicalCall(() => this.grant());
    this.limits = keyed(scope.limits);
  }

  private grant(): boolean {
    if (this.made >= this.settings.attempts || !this.settings.budget.take()) return false;
    this.made += 1;
    return true;
  }

  protected override next(failure: Failure | undefined): Try | undefined {
    const { pool, checks } = this.settings;
    const failed = this.failed;
    if (failure === undefined) {
      pool.requireOpen();
      this.made = 1;
      checks?.called(pool.all);
      // Where every endpoint has failed this call already, those but the last may have recovered.
      const state = this.pick(failed) ?? this.pick(new Set([...failed].slice(-1))) ?? this.pick(new Set());
      if (state === undefined) throw new MillraceError("unavailable", "loadBalance: there is no endpoint");
      return this.plan(state);
    }
    const { error } = failure;
    if (this.current !== undefined) {
      failed.delete(this.current.state.endpoint.id);
      failed.add(this.current.state.endpoint.id); // the last
    }
    this.release(verdictOf(error));
    if (!isElsewhere(rootOf(error)) || !hasTime(this.scope.limits)) return undefined;
    if (pool.candidates(failed).length === 0) return undefined;
    this.requireReplay(error);
    const state = this.call.take() ? this.pick(failed) : undefined; // a turn is taken only for a call that is made
    return state === undefined ? undefined : this.plan(state);
  }

  /** Endpoints that failed this call, also in earlier attempts of a retry further out. */
  private get failed(): Set<string> {
    const { memory } = this.call;
    const known = memory.get(this.settings.pool);
    if (known instanceof Set) return known as Set<string>; // put there below
    const failed = new Set<string>();
    memory.set(this.settings.pool, failed);
    return failed;
  }

  private pick(excluded: ReadonlySet<string>): EndpointState | undefined {
    const { pool, by, clock, random, key } = this.settings;
    const candidates = pool.candidates(excluded);
    return picks[by](candidates, { nowMs: clock.now(), random, key: () => key(this.scope) });
  }

  private plan(state: EndpointState): Try {
    const { id, processor } = state.endpoint;
    state.begin();
    this.current = { state, sinceMs: this.settings.clock.now() };
    const mark = (part: Part): Part => (part.kind === "finish" ? derive(part, { metadata: { ...part.metadata, endpoint: id } }) : part);
    return { processor, mark, limits: this.limits };
  }

  protected override onCommit(): void {
    const { current } = this;
    if (current === undefined) return;
    const nowMs = this.settings.clock.now();
    current.state.measured(nowMs - current.sinceMs, nowMs);
  }

  protected override onOver(outcome: CallOutcome, error?: unknown): void {
    if (outcome === "complete" && !this.nested) this.settings.budget.success();
    this.release(outcome === "complete" ? "passed" : outcome === "left" || this.input.failure !== undefined ? "neither" : verdictOf(error));
  }

  /** The endpoint is free again; once. */
  private release(verdict: Verdict): void {
    const { current } = this;
    this.current = undefined;
    if (current !== undefined) this.settings.pool.end(current.state, verdict, current.sinceMs);
  }
}
