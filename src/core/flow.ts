/**
 * The protocol that stages of ours speak among themselves.
 *
 * `next()` costs a promise and a result object a part. `pull()` costs neither where the part is ready, and that is most of
 * the time: this is where a fused pipeline wins. Nothing of it is public.
 *
 * @module
 */
import type { Part } from "./part.ts";

/** What `pull` gives when there is no further part. */
export const DONE: unique symbol = Symbol("millrace.done");

/** What a part function gives when its `match` refused the part: the part passes by, and nobody took it. */
export const PASS: unique symbol = Symbol("millrace.pass");

/** What `pullFor` gives when the reader will be told. */
export const WAIT: unique symbol = Symbol("millrace.wait");

/** Who reads a flow without a promise: told once for each `pullFor` that gave `WAIT`, and never before that has returned. */
export interface Reader {
  onPart(part: Part): void;
  onEnd(): void;
  onError(error: unknown): void;
}

/** What `pull` gives. */
export type Pulled = Part | typeof DONE | Promise<Part | typeof DONE>;

/**
 * A running stage, read by exactly one other.
 *
 * `pull` is not called while an earlier one is pending. It never throws: a failure rejects, once, after the flow has closed
 * what is behind it; then, as after the end, it gives `DONE`.
 */
export interface Flow {
  pull(): Pulled;
  /** Like `pull`, but where the part is not ready the reader is told: that costs no promise. Not every flow can. */
  pullFor?(reader: Reader): Part | typeof DONE | typeof WAIT;
  /**
   * Leaves, at once and also while a pull is pending: whoever waits inside is rejected with `why`, everything behind is
   * closed. The promise is of what can unwind; it rejects with the first error of closing. Closing twice is fine.
   */
  close(why: unknown): Promise<void> | undefined;
}

/** All parts have a kind, and nothing else that flows through the kernel has one. */
export function isPart(value: unknown): value is Part {
  return typeof value === "object" && value !== null && typeof (value as { readonly kind?: unknown }).kind === "string";
}

/** Anything that can be awaited. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { readonly then?: unknown }).then === "function";
}

/** Can it be pulled? */
export function isFlow(value: object): value is Flow {
  return "pull" in value;
}

/** Can its reader be told without a promise? */
export function tells(flow: Flow): flow is Required<Flow> {
  return flow.pullFor !== undefined;
}

/** For promises whose outcome is known by other means. */
export function ignore(): void {}

/** Waits for all, then fails with the first error; nothing to wait for is `undefined`. */
export function allClosed(closings: readonly (Promise<unknown> | undefined)[]): Promise<void> | undefined {
  const open = closings.filter((closing) => closing !== undefined);
  if (open.length === 0) return undefined;
  return Promise.allSettled(open).then((results) => {
    for (const result of results) if (result.status === "rejected") throw result.reason;
  });
}

/** Calls `return()` of an iterator, and turns what it throws into a rejection. */
export function returnOf(iterator: { return?(): unknown }): Promise<unknown> | undefined {
  try {
    const returned = iterator.return?.();
    return isPromise(returned) ? Promise.resolve(returned) : undefined;
  } catch (error) {
    return Promise.reject(error);
  }
}
