/**
 * @module
 */
import { requireProcessors, wholeNumber } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { perGroup } from "./per-group.ts";

/** How wide a window is and how far it moves. */
export interface WindowOptions {
  /** Parts in a window. */
  readonly count: number;
  /** Parts by which it moves. @default 1 */
  readonly step?: number;
}

/**
 * Runs a processor on the last `count` parts after every `step` parts.
 *
 * Yields: what the processor makes of each window. The rest at the end is a window too, if it holds parts none has seen.
 *
 * @example
 * const pairs = window({ count: 2, step: 2 }, pipe());
 * console.log(await run(pairs, ["a", "b", "c"]).text()); // abbc
 */
export function window(options: WindowOptions, processor: Processor): Processor {
  const { count, step = 1 } = options;
  wholeNumber("window", "count", count, 1);
  wholeNumber("window", "step", step, 1);
  requireProcessors("window", [processor]);
  return perGroup("window", processor, (input) => windowsOf(input, count, step));
}

async function* windowsOf(input: AsyncIterable<Part>, count: number, step: number): AsyncGenerator<readonly Part[]> {
  const last: Part[] = [];
  let fresh = 0;
  for await (const part of input) {
    last.push(part);
    if (last.length > count) last.shift();
    fresh += 1;
    if (fresh < step) continue;
    fresh = 0;
    yield [...last];
  }
  if (fresh > 0) yield [...last];
}
