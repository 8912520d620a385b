/**
 * @module
 */
import { wholeNumber } from "../core/errors.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";

/**
 * All but the first `count` parts.
 *
 * @example
 * console.log(await run(skip(1), ["a", "b", "c"]).text()); // bc
 */
export function skip(count: number): Processor {
  wholeNumber("skip", "count", count, 0);
  return processorOf([
    {
      kind: "operation",
      name: "skip",
      concurrency: 1,
      ordered: true,
      remembers: true,
      open: () => {
        let missing = count;
        return (part) => {
          if (missing === 0) return part;
          missing -= 1;
          return undefined;
        };
      },
    },
  ]);
}
