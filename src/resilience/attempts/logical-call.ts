/**
 * What the requests of one call have in common.
 *
 * @module
 */
import type { Limits, LogicalCall } from "../../core/limits.ts";

/** One call, however many requests it takes; `take` grants each further one. */
export function logicalCall(take: () => boolean): LogicalCall {
  return { take, memory: new Map() };
}

/** The key of a call, for all its requests: the one that there is, or a new one when somebody asks. */
export function keyed(outer: Limits): Limits {
  if (outer.key !== undefined) return {};
  let key: string | undefined;
  return { key: () => (key ??= crypto.randomUUID()) };
}
