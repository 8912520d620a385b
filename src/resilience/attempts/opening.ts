/**
 * The first parts of an attempt, up to where it commits: nothing of them has been handed on yet.
 *
 * @module
 */
import { DONE, isPart } from "../../core/flow.ts";
import type { Part } from "../../core/part.ts";
import { weightOf } from "../part-weight.ts";
import type { Attempt } from "./attempt.ts";
import { isContent } from "./commit.ts";

/** What an attempt made so far. */
export interface Opening {
  readonly attempt: Attempt;
  readonly parts: readonly Part[];
}

/** An attempt that failed before it committed. */
export interface Failed {
  readonly error: unknown;
}

/** Empty deltas that are held back at most; behind so many, the next is handed on. */
const maxHeld = 1_024;

/**
 * Reads an attempt until it commits: with its first content, or where whole answers are wanted, with its end or behind so many
 * bytes. Never rejects.
 */
export async function readOpening(attempt: Attempt, wholeUpToBytes: number | undefined): Promise<Opening | Failed> {
  const parts: Part[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const pulled = attempt.flow.pull();
      const part = isPart(pulled) || pulled === DONE ? pulled : await pulled;
      if (part === DONE) return { attempt, parts };
      parts.push(part);
      if (wholeUpToBytes !== undefined) {
        bytes += weightOf(part);
        if (bytes > wholeUpToBytes) return { attempt, parts };
      } else if (isContent(part) || parts.length >= maxHeld) {
        return { attempt, parts };
      }
    }
  } catch (error) {
    return { error };
  }
}
