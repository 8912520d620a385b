/**
 * What a part costs while it is held.
 *
 * @module
 */
import type { Part } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";

/** Bytes that a part counts for besides its content, so that parts without content are not free. */
const overheadBytes = 32;

/** Bytes that a part counts for where parts are held: its content, if that can be written as JSON, and itself. */
export function weightOf(part: Part): number {
  try {
    return sizeOf(part) + overheadBytes;
  } catch {
    return overheadBytes; // it is held by reference all the same
  }
}
