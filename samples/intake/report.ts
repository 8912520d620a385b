/**
 * What is told at the end of an intake.
 *
 * @module
 */
import type { DeadLetter, Ingested } from "./ingest.ts";
import type { Stage } from "./read.ts";

/** Numbers of a run. */
export interface Totals extends Ingested {
  readonly counts: Readonly<Record<Stage, number>>;
  readonly removed: number;
  readonly seconds: number;
}

/** The table, and why files were left out. */
export function report({ counts, unchanged, dead, removed, seconds }: Totals): string {
  const rows: readonly (readonly [string, string])[] = [
    ["files", String(counts.files)],
    ["  taken in", String(counts.files - unchanged - dead.length)],
    ["  unchanged", String(unchanged)],
    ["  skipped", String(dead.length)],
    ["  removed", String(removed)],
    ["pages", String(counts.pages)],
    ["chunks", String(counts.stored)],
    ["seconds", seconds.toFixed(1)],
  ];
  const width = Math.max(...rows.map(([, value]) => value.length));
  const table = rows.map(([name, value]) => `  ${name.padEnd(12)}${value.padStart(width)}`);
  const skipped = dead.map((letter: DeadLetter) => `  ${letter.path}: ${letter.reason}`);
  return [...table, ...(skipped.length === 0 ? [] : ["", "Skipped", ...skipped])].join("\n");
}
