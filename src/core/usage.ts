/**
 * Token counts of several requests as those of one.
 *
 * @module
 */
import type { Usage } from "./part.ts";

const counts = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"] as const;

/** The sums of what is known; what none of them knows stays unknown, and what is no count is left out. */
export function sumOfUsage(usages: readonly unknown[]): Usage {
  const sums: Partial<Record<(typeof counts)[number], number>> = {};
  for (const usage of usages) {
    if (typeof usage !== "object" || usage === null) continue;
    for (const name of counts) {
      const count: unknown = Reflect.get(usage, name);
      if (typeof count === "number" && Number.isFinite(count) && count >= 0) sums[name] = (sums[name] ?? 0) + count;
    }
  }
  return sums;
}
