/**
 * One attempt at one delivery, or at several that are run together: from its parts to outputs that are confirmed.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { type Deadline, Deadlines } from "../core/deadlines.ts";
import { type ErrorCode, errorCodes, MillraceError } from "../core/errors.ts";
import { ignore, isPromise } from "../core/flow.ts";
import { isReserved } from "../core/guards.ts";
import { LinkedList } from "../core/linked-list.ts";
import type { ErrorPart, Part } from "../core/part.ts";
import { planFor } from "../core/pipeline.ts";
import type { Plan } from "../core/plan.ts";
import type { Observer, Processor } from "../core/processor.ts";
import { isReset } from "../core/reset.ts";
import type { Run } from "../core/runner.ts";
import { keepShape } from "../core/shapes.ts";
import { sampleDelivery } from "../kinds/hand-out.ts";
import type { Delivery } from "../kinds/queue.ts";
import type { Journal } from "../kinds/journal.ts";
import { idempotencyKey } from "../kinds/sink.ts";
import { runAbout } from "./current.ts";
import type { Tell } from "./events.ts";
import { Held } from "./held.ts";
import type { Sink, SinkContext } from "./sinks.ts";

/** Where an attempt failed. */
export type Stage = "read" | "run" | "sink";

/** What became of an attempt. */
export type Outcome =
  | { readonly kind: "done"; readonly outputs: number }
  /** `emitted` outputs had been confirmed before, and stay. */
  | { readonly kind: "failed"; readonly error: unknown; readonly stage: Stage; readonly emitted: number }
  | { readonly kind: "lost" }
  | { readonly kind: "stopped" };

/** How attempts are made. */
export interface AttemptSettings {
  readonly processor: Processor;
  readonly sink: Sink;
  readonly journal: Journal | undefined;
  /** Of the pipeline, in the keys of the journal. */
  readonly version: string;
  readonly observe: Observer | undefined;
  readonly clock: Clock;
  /** An attempt that takes longer is given up; `undefined`: one without progress for `idleMs`. */
  readonly totalMs: number | undefined;
  readonly idleMs: number;
  readonly tell: Tell;
}

/** Makes attempts. What all have in common is here once: the plan of the pipeline, the timer, who hears that the worker is being stopped. */
export class Attempts {
  readonly settings: AttemptSettings;
  readonly plan: Plan;
  readonly limits: Deadlines<Attempt>;
  /** Of an attempt, or of each step of one. */
  readonly limitMs: number;
  private readonly running = new LinkedList<Attempt>();

  constructor(settings: AttemptSettings) {
    const { processor, clock, totalMs, idleMs } = settings;
    this.settings = settings;
    this.plan = planFor(processor);
    this.limitMs = totalMs ?? idleMs;
    this.limits = new Deadlines(clock, (attempt) => attempt.late());
  }

  /** Makes one attempt. It never rejects, and is over at `stop`, whatever the pipeline and the sink do. */
  make(group: readonly [Held, ...Held[]]): Promise<Outcome> {
    return new Promise((resolve) => {
      if (group.some((held) => held.lost)) return resolve({ kind: "lost" });
      const attempt = new Attempt(this, group, (outcome) => {
        this.running.delete(running);
        resolve(outcome);
      });
      const running = this.running.push(attempt);
      attempt.begin();
    });
  }

  /** Gives up those that are being made. */
  stop(reason: unknown): void {
    for (const attempt of this.running) attempt.giveUp({ kind: "stopped" }, reason);
  }

  /** Nothing is watched any more. */
  close(): void {
    this.limits.close();
  }
}

class Attempt {
  private readonly attempts: Attempts;
  private readonly group: readonly [Held, ...Held[]];
  private readonly deliveries: readonly Delivery[];
  private readonly resolve: (outcome: Outcome) => void;
  private readonly progress = { emitted: 0, stage: "read" as Stage };
  private limit: Deadline<Attempt> | undefined;
  private run: Run | undefined;
  private over = false;
  private givenUp: { readonly reason: unknown } | undefined;
  private controller: AbortController | undefined;

  constructor(attempts: Attempts, group: readonly [Held, ...Held[]], resolve: (outcome: Outcome) => void) {
    this.attempts = attempts;
    this.group = group;
    this.deliveries = group.map((held) => held.delivery);
    this.resolve = resolve;
  }

  begin(): void {
    for (const held of this.group) held.listen(this.lost);
    this.limit = this.attempts.limits.begin(this, this.attempts.limitMs);
    const { sink } = this.attempts.settings;
    const performed = sink.atomic === undefined ? this.writeTo(sink) : this.atomically(sink.atomic.bind(sink));
    performed.then(
      () => this.settle({ kind: "done", outputs: this.progress.emitted }),
      (error: unknown) => this.settle({ kind: "failed", error, ...this.progress }),
    );
  }

  /** It has taken too long. */
  late(): void {
    const { totalMs, idleMs } = this.attempts.settings;
    const what = totalMs === undefined ? `made no progress for ${idleMs}` : `took longer than ${totalMs}`;
    const phase = totalMs === undefined ? "progress" : "total";
    const error = new MillraceError("timeout", `consume: delivery ${this.group[0].delivery.id} ${what} ms`, { phase });
    const rolledBack = this.attempts.settings.sink.atomic !== undefined; // or found out by the next attempt
    this.giveUp({ kind: "failed", error, ...this.progress, ...(rolledBack ? { emitted: 0 } : {}) }, error);
  }

  /** It is over; whatever still goes on hears the reason. */
  giveUp(outcome: Outcome, reason: unknown): void {
    if (this.over) return;
    this.settle(outcome);
    this.givenUp = { reason };
    this.run?.abort(reason);
    this.controller?.abort(reason);
  }

  private readonly lost = (): void => this.giveUp({ kind: "lost" }, this.group.find((held) => held.lost)?.reason);

  private settle(outcome: Outcome): void {
    if (this.over) return;
    this.over = true;
    if (this.limit !== undefined) this.attempts.limits.drop(this.limit);
    for (const held of this.group) held.deaf();
    this.resolve(outcome);
  }

  private alive(): void {
    if (this.attempts.settings.totalMs === undefined && this.limit !== undefined) this.attempts.limits.again(this.limit, this.attempts.limitMs);
  }

  /** Made when somebody asks: most sinks never do. */
  get signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.givenUp !== undefined) this.controller.abort(this.givenUp.reason);
    return this.controller.signal;
  }

  private goOn(): void {
    if (this.givenUp !== undefined) throw this.givenUp.reason;
  }

  private get name(): string {
    const { deliveries, group: [{ delivery }] } = this;
    const key = idempotencyKey(delivery);
    return deliveries.length === 1 ? key : `${key}+${deliveries.length - 1}`;
  }

  private async atomically(atomic: NonNullable<Sink["atomic"]>): Promise<void> {
    this.readable();
    this.progress.stage = "sink";
    try {
      await atomic(this.group[0].delivery, (target) => this.writeTo(target), this.deliveries);
    } catch (error) {
      this.progress.emitted = 0; // rolled back, or found out by the next attempt
      throw error;
    }
  }

  private readable(): void {
    for (const { unreadable } of this.deliveries) if (unreadable !== undefined) throw unreadable;
  }

  /** Runs the pipeline and writes what it gives, each output confirmed before the next is asked for. */
  private async writeTo(target: Sink): Promise<void> {
    const { progress } = this;
    const { journal, version } = this.attempts.settings;
    this.readable();
    progress.emitted = 0; // of this transaction, where there is one
    progress.stage = "run";
    let writing: Promise<void> | undefined;
    try {
      if (journal === undefined) await this.open().drain((part) => (this.isOutput(part) ? (writing = this.write(target, part)) : undefined));
      else for await (const part of journal.once(`${this.name}:pipeline:${version}`, () => this.outputs())) await this.write(target, part);
    } catch (error) {
      await writing?.catch(ignore); // a transaction is not rolled back under a write that is on its way
      throw error;
    }
    this.goOn();
    progress.stage = "sink";
    if (target.flush !== undefined) await target.flush(this.group[0].delivery);
  }

  private async *outputs(): AsyncGenerator<Part> {
    for await (const part of this.open()) if (this.isOutput(part)) yield part;
  }

  private open(): Run {
    this.goOn();
    const { plan, settings: { observe } } = this.attempts;
    const { deliveries, group: [{ delivery }] } = this;
    const { correlationId } = delivery;
    const options: { observe?: Observer; correlationId?: string } = {};
    if (observe !== undefined) options.observe = observe;
    if (correlationId !== undefined) options.correlationId = correlationId;
    const parts = deliveries.length === 1 ? delivery.parts : deliveries.flatMap((each) => each.parts);
    return (this.run = runAbout(delivery, plan, parts, options));
  }

  /** Tells of what is told; refuses what no sink can take. */
  private isOutput(part: Part): boolean {
    this.alive();
    if (isReserved(part)) {
      this.attempts.settings.tell({ kind: "status", id: this.group[0].delivery.id, part });
      return false;
    }
    if (part.kind === "error") throw unhandled(part);
    if (part.kind === "json" && isReset(part)) throw new MillraceError("missing_config", "consume: a sink cannot take back what it was given");
    return true;
  }

  private write(target: Sink, part: Part): Promise<void> | undefined {
    this.goOn();
    this.progress.stage = "sink";
    const written: unknown = target.write(part, new Output(`${this.name}:${this.progress.emitted}`, this.group[0].delivery, this.deliveries, this));
    if (isPromise(written)) return Promise.resolve(written).then(this.written);
    this.written();
    return undefined;
  }

  private readonly written = (): void => {
    this.progress.emitted += 1;
    this.progress.stage = "run";
    this.alive();
  };
}

/** What is told of one output. */
class Output implements SinkContext {
  readonly key: string;
  readonly delivery: Delivery;
  readonly deliveries: readonly Delivery[];
  readonly #attempt: Attempt;

  constructor(key: string, delivery: Delivery, deliveries: readonly Delivery[], attempt: Attempt) {
    this.key = key;
    this.delivery = delivery;
    this.deliveries = deliveries;
    this.#attempt = attempt;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }
}

/** An error that the pipeline turned into data, and that nobody took. */
function unhandled({ code, message }: ErrorPart): MillraceError {
  const known = errorCodes.find((each): each is ErrorCode => each === code);
  return new MillraceError(known ?? "invalid_input", `consume: an error part that nobody handled: ${message}`, { scope: "part", retryable: false });
}

const attempts = new Attempts({
  processor: (parts) => parts,
  sink: { guarantee: "confirmed", write: async () => {} },
  journal: undefined,
  version: "",
  observe: undefined,
  clock: systemClock,
  totalMs: undefined,
  idleMs: 0,
  tell: ignore,
});
const held = new Held(sampleDelivery, undefined);
const attempt = new Attempt(attempts, [held], ignore);
keepShape(held);
keepShape(attempt);
keepShape(new Output("", sampleDelivery, [], attempt));
