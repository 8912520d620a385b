/**
 * Which delivery a run is about.
 *
 * @module
 */
import { PASS } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import { PartStream } from "../core/part-stream.ts";
import { planFor, processorOf } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import { Run } from "../core/runner.ts";
import type { RunOptions } from "../core/scope.ts";
import type { Delivery } from "../kinds/queue.ts";
import { pipe } from "../streams/pipe.ts";

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
  return context.state.get(current) as Delivery | undefined; // only `about` sets it
}

/** One run over the parts of a delivery. What leaves it goes into a sink, so that no stage may take back what it handed on. */
export function runAbout(delivery: Delivery, processor: Processor, parts: readonly Part[], options: RunOptions): PartStream {
  const named = processorOf([
    {
      kind: "operation",
      name: "delivery",
      concurrency: 1,
      ordered: true,
      open(scope) {
        scope.state.set(current, delivery);
        return () => PASS;
      },
    },
  ]);
  return new PartStream(() => new Run(planFor(pipe(named, processor)), { items: parts }, options, { limits: { final: true } }));
}
