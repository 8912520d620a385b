/**
 * Who may speak as system: only parts that a constructor of this process made with that role.
 *
 * The brand is no field, so it cannot be forged by data: decoding, cloning and spreading lose it.
 *
 * @module
 */
import type { Part } from "./part.ts";

const branded = new WeakSet<Part>();

/** Marks a part as made by the program. */
export function brandSystem(part: Part): void {
  branded.add(part);
}

/** Was this system part made by the program, not decoded from data? */
export function isTrustedSystem(part: Part): boolean {
  return part.role === "system" && branded.has(part);
}
