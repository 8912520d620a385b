/**
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import { isPromise } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { each } from "./each.ts";

/**
 * Keeps the parts for which a test is true. The test may be async.
 *
 * Throws: whatever the test throws.
 *
 * @example
 * console.log(await run(filter(isText), [text("a"), json(1)]).text()); // a
 */
export function filter(test: (part: Part, context: Context) => boolean | Promise<boolean>): Processor {
  if (typeof test !== "function") throw invalidOption("filter", "test", "a function", test);
  return each(
    (part, context) => {
      const kept = test(part, context);
      if (isPromise(kept)) return kept.then((yes) => (yes ? part : undefined));
      return kept ? part : undefined;
    },
    { name: "filter" },
  );
}
