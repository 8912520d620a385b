/**
 * What is left of one-to-many results: at most one frame a depth, made once and used again for every part.
 *
 * @module
 */
import { allClosed, ignore, returnOf } from "./flow.ts";
import type { Part } from "./part.ts";
import { keepShape } from "./shapes.ts";

/** The rest of one result: an array from a position on, or an iterator. */
export class Frame {
  readonly below: Frame | null;
  above: Frame | null = null;
  items: readonly unknown[] | null = null;
  at = 0;
  sync: Iterator<unknown> | null = null;
  async: AsyncIterator<unknown> | null = null;
  /** The operation its parts go on with. */
  stage = 0;
  /** The part whose result it is; none where it is the source itself. */
  origin: Part | undefined = undefined;

  constructor(below: Frame | null) {
    this.below = below;
  }

  clear(): void {
    this.items = null;
    this.sync = null;
    this.async = null;
    this.origin = undefined;
  }
}

/** Closes frames from the innermost out; the innermost is not waited for while its `next()` is pending. */
export function closeFrames(top: Frame | null, pending: boolean): Promise<void> | undefined {
  if (top === null) return undefined;
  const closings: (Promise<unknown> | undefined)[] = [];
  for (let frame: Frame | null = top; frame !== null; frame = frame.below) {
    const iterator = frame.sync ?? frame.async;
    frame.clear();
    if (iterator === null) continue;
    const closing = returnOf(iterator);
    if (pending && frame === top) closing?.catch(ignore);
    else closings.push(closing);
  }
  return allClosed(closings);
}

keepShape(new Frame(null));
