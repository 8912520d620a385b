/**
 * What `batch` and `window` share: a processor that is run once a group.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { processorOf, runInside } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { Scope } from "../core/scope.ts";

/** Gathers parts into groups; left like any generator. */
export type Gather = (input: AsyncIterable<Part>) => AsyncIterable<readonly Part[]>;

/** Runs `processor` on each group in turn and yields what it makes. */
export function perGroup(name: string, processor: Processor, gather: Gather): Processor {
  return processorOf([
    {
      kind: "opaque",
      name,
      async *processor(input, context) {
        if (!(context instanceof Scope)) throw new MillraceError("invalid_input", `${name}: runs inside a run`);
        for await (const group of gather(input)) yield* runInside(processor, { items: group }, context);
      },
    },
  ]);
}
