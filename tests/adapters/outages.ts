/**
 * What readers tell of servers that were gone and are back.
 *
 * @module
 */
import { systemClock } from "../../src/core/clock.ts";
import type { WorkerEvent } from "../../src/index.ts";

/** What was told. */
export interface Outages {
  /** Milliseconds of each. */
  readonly all: number[];
  /** Does none begin before the one before it was over? */
  readonly apart: boolean;
  /** For a worker, or for one reading, by the machine's clock. */
  readonly tell: (event: WorkerEvent) => void;
}

export function outages(): Outages {
  const all: number[] = [];
  let apart = true;
  let overMs = -Infinity;
  return {
    all,
    get apart() {
      return apart;
    },
    tell(event) {
      if (event.kind !== "reconnected") return;
      const nowMs = systemClock.now();
      apart &&= nowMs - event.awayMs >= overMs;
      overMs = nowMs;
      all.push(event.awayMs);
    },
  };
}
