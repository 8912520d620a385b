/**
 * The results as the README shows them.
 *
 * @module
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RowResult } from "./rows.ts";

const readme = join(import.meta.dirname, "..", "..", "README.md");
const kept = join(import.meta.dirname, "results.json");
const begin = "<!-- chaos: written by `npm run chaos -- --write` -->";
const end = "<!-- chaos end -->";

/** One broker's results. */
export interface BrokerResult {
  readonly broker: string;
  /** Which software it was. */
  readonly from: string;
  readonly rows: readonly RowResult[];
}

/** One line for the terminal. */
export function line(broker: string, { row, lost, duplicates, explained, messages, seconds, complaints }: RowResult): string {
  const share = ((duplicates / messages) * 100).toFixed(2);
  const fate = complaints.length === 0 ? "" : ` FAILED: ${complaints.join("; ")}`;
  return `${broker} ${row}: ${messages} messages, lost ${lost}, dup ${duplicates} (${share} %; ${explained}), ${seconds.toFixed(1)} s${fate}`;
}

/** The table in Markdown. */
export function markdown(results: readonly BrokerResult[]): string {
  const rows = results.flatMap(({ broker, rows }) =>
    rows.map(({ row, messages, lost, duplicates, explained, seconds }) => `| ${broker} | ${row} | ${messages.toLocaleString("en")} | ${lost} | ${duplicates} | ${explained} | ${seconds.toFixed(0)} |`),
  );
  const servers = results.map(({ broker, from }) => `${broker} ${from}`).join("; ");
  return ["| broker | what happened | messages | lost | twice | why twice | s |", "| --- | --- | --- | --- | --- | --- | --- |", ...rows, "", `Servers: ${servers}.`].join("\n");
}

/** What was kept of earlier runs, with these in the place of those of the same broker and row. */
export function merged(kept: readonly BrokerResult[], fresh: readonly BrokerResult[]): readonly BrokerResult[] {
  const known = new Map(kept.map((result) => [result.broker, result]));
  for (const { broker, from, rows } of fresh) {
    const before = known.get(broker)?.rows ?? [];
    const both = [...before.map((row) => rows.find((it) => it.row === row.row) ?? row), ...rows.filter((row) => before.every((it) => it.row !== row.row))];
    known.set(broker, { broker, from, rows: both });
  }
  return [...known.values()];
}

/** Keeps the results, and puts the table of all that were kept into the README. */
export function writeTable(results: readonly BrokerResult[]): void {
  const all = merged(existsSync(kept) ? (JSON.parse(readFileSync(kept, "utf8")) as readonly BrokerResult[]) : [], results);
  writeFileSync(kept, `${JSON.stringify(all, null, 2)}\n`);
  const text = readFileSync(readme, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no place for the table: ${begin} … ${end}`);
  writeFileSync(readme, `${text.slice(0, from + begin.length)}\n\n${markdown(all)}\n\n${text.slice(to)}`);
}
