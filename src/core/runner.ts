/**
 * One run of a pipeline: the outermost flow, which answers to its consumer and to the caller's signal.
 *
 * @module
 */
import type { Content } from "./content.ts";
import { allClosed, DONE, type Flow, ignore, isPart, isPromise } from "./flow.ts";
import { Fused } from "./fused.ts";
import { ended, type Step } from "./outlet.ts";
import type { Part } from "./part.ts";
import { openPlan, type Plan } from "./plan.ts";
import type { Outcome } from "./processor.ts";
import { Left, type Output, type Own, type RunOptions, Scope, type Why } from "./scope.ts";
import { keepShape } from "./shapes.ts";
import { type RunWatch, watchRun } from "./watch.ts";

/** Takes parts one by one; what it returns is waited for before the next. */
export type Sink = (part: Part) => unknown;

const noOperations: readonly never[] = [];

/**
 * The way out of a run, for its scope, which is made before there is a run to speak of.
 *
 * A class, as all that is made once a run and knows the run: objects of one literal that outlive a collection of the young generation are
 * made old by V8 from then on, and each keeps its whole run until the next collection of the heap (measured: six times the time a run).
 */
class WayOut implements Output {
  run: Run | undefined = undefined;

  emit(part: Part): void {
    this.run?.emit(part);
  }
}

/**
 * It adds to the kernel: the abort listener, the reserved parts, which come out before whatever is next, the scope that ends
 * with the run, and a terminal that needs no promise a part.
 */
export class Run extends Fused implements Output {
  private readonly plan: Plan;
  private readonly signal: AbortSignal | undefined;
  /** Reserved parts on their way out. */
  private readonly aside: Part[] = [];
  /** A part that came while a reserved one went out in its stead. */
  private held: Part | undefined = undefined;
  private failure: { readonly error: unknown } | undefined = undefined;
  /** How it ends is known; nothing changes it any more. */
  private settled = false;
  private detach: (() => void) | undefined = undefined;
  private watch: RunWatch | undefined = undefined;
  /** The scope's own closing, once the run has failed. */
  private scopeClosing: Promise<void> | undefined = undefined;
  // Of a terminal.
  private sink: Sink | undefined = undefined;
  private delivering = false;
  private flushing: Promise<void> | undefined = undefined;

  constructor(plan: Plan, source: Content | Flow, options: RunOptions, own?: Pick<Own, "limits" | "state">) {
    const output = new WayOut();
    super(source, noOperations, new Scope(options, output, undefined, own));
    output.run = this;
    this.plan = plan;
    this.signal = options.signal;
  }

  protected override open(): void {
    const { signal } = this;
    if (signal !== undefined) {
      signal.throwIfAborted();
      const abort = (): void => this.abort(signal.reason);
      signal.addEventListener("abort", abort, { once: true }); // one a run, taken off when it settles
      this.detach = () => signal.removeEventListener("abort", abort);
    }
    this.watch = this.scope.observe === undefined ? undefined : watchRun(this.scope.observe, this.scope);
    const { input, operations } = openPlan(this.plan, this.input as Content | Flow, this.scope, this.watch);
    this.input = input;
    this.operations = operations;
    super.open();
  }

  /** Takes a reserved part from wherever in the run it arose. */
  emit(part: Part): void {
    if (this.settled) return;
    if (this.sink !== undefined) {
      this.aside.push(part);
      // Not at once: the call that emits it is still in the kernel. While the sink is busy, it is next.
      if (!this.delivering) queueMicrotask(this.flush);
    } else if (this.resolve !== null) {
      super.settle(part);
    } else {
      this.aside.push(part);
    }
  }

  protected override advance(): Promise<IteratorResult<Part, undefined>> {
    if (this.dry && this.aside.length === 0 && this.held === undefined) {
      const answer = this.expect();
      this.ask();
      return answer;
    }
    if (this.aside.length > 0 || this.held !== undefined) {
      const waiting = this.aside.shift() ?? this.unhold();
      if (waiting !== undefined) return Promise.resolve({ value: waiting, done: false });
    }
    if (this.settled) return this.outcome();
    if (this.over || this.busy) return this.expect();
    const step = this.begin();
    if (this.aside.length > 0) return this.asideFirst(step);
    if (isPart(step)) return Promise.resolve({ value: step, done: false });
    const answer = this.expect();
    this.wait(step);
    return answer;
  }

  /** A step set reserved parts aside: they come out before what it gave. */
  private asideFirst(step: Step): Promise<IteratorResult<Part, undefined>> {
    const value = this.aside.shift() as Part; // there is one
    if (isPart(step)) this.held = step;
    else this.wait(step);
    return Promise.resolve({ value, done: false });
  }

  private unhold(): Part | undefined {
    const { held } = this;
    this.held = undefined;
    return held;
  }

  private outcome(): Promise<IteratorResult<Part, undefined>> {
    const { failure } = this;
    this.failure = undefined; // thrown once; then it is over
    return failure === undefined ? ended() : Promise.reject(failure.error);
  }

  override return(): Promise<IteratorResult<Part, undefined>> {
    const { settled } = this;
    const why = new Left();
    if (!settled) this.conclude({ kind: "left" });
    this.forget();
    const inside = this.scope.close(why);
    const closing = allClosed([this.shut(why), inside]);
    super.settle(DONE);
    if (closing === undefined) return ended();
    return settled ? closing.then(ended, ended) : closing.then(ended);
  }

  /** Gives the run up: it rejects with the reason, at once. */
  abort(reason: unknown): void {
    if (this.settled) return;
    this.forget();
    this.scope.end(reason)?.catch(ignore);
    this.shut({ reason })?.catch(ignore);
    this.settleWithError(reason);
  }

  protected override settle(part: Part | typeof DONE): void {
    if (part === DONE) this.complete();
    else if (this.resolve === null) this.held = part;
    else super.settle(part);
  }

  protected override settleWithError(error: unknown): void {
    if (this.settled) return;
    this.conclude({ kind: "failed", error });
    if (this.reject === null) this.failure = { error };
    else super.settleWithError(error);
  }

  protected override fail(error: unknown): void {
    this.scopeClosing = this.scope.end(error);
    super.fail(error);
  }

  protected override shut(why: Why): Promise<void> | undefined {
    const closing = super.shut(why);
    return this.scopeClosing === undefined ? closing : allClosed([closing, this.scopeClosing]);
  }

  /** The natural end, once all that stages asked to wait for has settled. */
  private complete(): void {
    if (this.settled) return;
    const last = this.scope.working ? this.scope.settled() : this.sink !== undefined && this.aside.length > 0 ? this.flush() : undefined;
    if (last !== undefined) {
      last.then(
        () => this.complete(),
        (error: unknown) => {
          const settle = (): void => this.settleWithError(error);
          const closing = this.scope.end(error);
          if (closing === undefined) settle();
          else closing.then(settle, settle);
        },
      );
      return;
    }
    this.conclude({ kind: "complete" });
    super.settle(DONE);
  }

  private conclude(outcome: Outcome): void {
    this.settled = true;
    this.detach?.();
    this.watch?.end(outcome);
  }

  /** What was made but not taken is dropped. */
  private forget(): void {
    this.aside.length = 0;
    this.held = undefined;
    this.failure = undefined;
  }

  // --- terminals ---

  /** Hands every part to a function, waiting for it; resolves at the end. A part that is ready costs no promise. */
  drain(sink: Sink): Promise<void> {
    return new Promise((resolve, reject) => {
      this.sink = sink;
      this.resolve = () => resolve();
      this.reject = reject;
      this.consume(this.begin());
    });
  }

  protected override hand(step: Step): void {
    if (this.sink === undefined) super.hand(step);
    else this.consume(step);
  }

  /** Gives part after part to the sink, until something is to be waited for. */
  private consume(first: Step): void {
    let step = first;
    while (isPart(step)) {
      const taken = this.aside.length === 0 && this.flushing === undefined ? this.deliver(step) : this.deliverLater(step);
      if (taken !== undefined) return void taken.then(this.onTaken);
      if (this.over) return;
      if (this.dry) return this.ask(); // the common case
      step = this.begin();
    }
    this.wait(step);
  }

  private readonly onTaken = (): void => {
    if (!this.over) this.consume(this.begin());
  };

  private async deliverLater(part: Part): Promise<void> {
    await this.flush();
    if (!this.settled) await this.deliver(part);
  }

  /** Gives a part to the sink; what it throws closes the run. */
  private deliver(part: Part): Promise<void> | undefined {
    try {
      const taken = this.sink?.(part);
      if (!isPromise(taken)) return undefined;
      this.delivering = true;
      return Promise.resolve(taken).then(this.onDelivered, this.onSinkFailed);
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  private readonly onDelivered = (): void => {
    this.delivering = false;
    if (this.aside.length > 0) queueMicrotask(this.flush);
  };

  private readonly onSinkFailed = (error: unknown): void => {
    this.delivering = false;
    this.fail(error);
  };

  /** Gives out the reserved parts that came while a part of the stream is being waited for. */
  private readonly flush = (): Promise<void> => {
    this.flushing ??= this.flushAside().finally(() => {
      this.flushing = undefined;
    });
    return this.flushing;
  };

  private async flushAside(): Promise<void> {
    while (this.aside.length > 0 && !this.delivering && !this.settled) await this.deliver(this.aside.shift() as Part); // not empty
  }
}

keepShape(new Run([], { items: [] }, {}));
