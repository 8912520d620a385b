/**
 * @module
 */
import { invalidOption } from "../core/errors.ts";
import { isPromise } from "../core/flow.ts";
import type { Part } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { each } from "./each.ts";

/**
 * Calls a function with every part, waits for it, and hands on the same part.
 *
 * Throws: whatever the function throws; it fails the run.
 *
 * @example
 * await run(tap((part) => console.log(part.kind)), "a").collect(); // text
 */
export function tap(fn: (part: Part, context: Context) => unknown): Processor {
  if (typeof fn !== "function") throw invalidOption("tap", "fn", "a function", fn);
  return each(
    (part, context) => {
      const seen = fn(part, context);
      return isPromise(seen) ? Promise.resolve(seen).then(() => part) : part;
    },
    { name: "tap" },
  );
}
