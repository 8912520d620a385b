/**
 * Which delivery a run is about.
 *
 * @module
 */
import type { Limits } from "../core/limits.ts";
import type { Part } from "../core/part.ts";
import type { Plan } from "../core/plan.ts";
import type { Context } from "../core/processor.ts";
import { Run } from "../core/runner.ts";
import type { Own, RunOptions } from "../core/scope.ts";
import { keepShape } from "../core/shapes.ts";
import { sampleDelivery } from "../kinds/hand-out.ts";
import type { Delivery } from "../kinds/queue.ts";

const current = Symbol("millrace.delivery");

/**
 * The delivery that a stage works on, inside `consume`; `undefined` elsewhere. Of a batch the first.
 *
 * @example
 * await using queue = memoryQueue({ name: "jobs" });
 * await queue.send([text("hello")]);
 * await using worker = consume(queue, each((_, context) => console.log(deliveryOf(context)?.id)), undefined, {
 *   onEvent: ({ kind }) => void (kind === "acked" && worker.stop()),
 * }); // jobs/1
 * await worker.finished;
 */
export function deliveryOf(context: Context): Delivery | undefined {
  return context.state.get(current) as Delivery | undefined; // only `runAbout` sets it
}

/** What leaves the run goes into a sink, so that no stage may take back what it handed on. */
const limits: Limits = Object.freeze({ final: true });

/** What a run about a delivery reads, and knows. Of a class, as what is made once a message and holds it (see `WayOut` of core/runner.ts). */
class About implements Own {
  readonly items: readonly Part[];
  readonly limits = limits;
  readonly #delivery: Delivery;

  constructor(delivery: Delivery, parts: readonly Part[]) {
    this.#delivery = delivery;
    this.items = parts;
  }

  get state(): Iterable<readonly [unknown, unknown]> {
    return this;
  }

  *[Symbol.iterator](): Generator<readonly [unknown, unknown]> {
    yield [current, this.#delivery];
  }
}

/** One run over the parts of a delivery. */
export function runAbout(delivery: Delivery, plan: Plan, parts: readonly Part[], options: RunOptions): Run {
  const about = new About(delivery, parts);
  return new Run(plan, about, options, about);
}

keepShape(new About(sampleDelivery, []));
