/**
 * Cells of the matrix: a client meets a case, and what came of it is put in words.
 *
 * @module
 */
import { tryFault } from "../../src/testing/try-fault.ts";
import { type WireFaultCase, wireFaults } from "../../src/testing/wire-faults.ts";
import { codeOfRaw, type Provider } from "./clients.ts";

/** What came of a case. */
export interface Cell {
  readonly fault: string;
  readonly when: string;
  /** Our adapter's name, or the package of the official client. */
  readonly client: string;
  /** The service's name, since a client may speak to several. */
  readonly service: string;
  readonly verdict: string;
}

/** Longer than two retries of an official client take when they are asked to wait for a second each. */
const patienceMs = 4_000;
/** Official clients answer an abort in one way before they have seen the headers, and in another afterwards. */
const settleMs = 100;

const levels = ["log", "info", "warn", "error", "debug"] as const;

/** Runs one; not two at once, since what is printed meanwhile counts. */
export async function cellOf(fault: WireFaultCase, provider: Provider, whose: "ours" | "raw"): Promise<Cell> {
  const { voice, adapter, client } = provider;
  const printed: unknown[][] = [];
  const real = levels.map((level) => [level, console[level]] as const);
  for (const level of levels) console[level] = (...values: unknown[]) => void printed.push(values);
  try {
    const outcome = await tryFault(fault, voice, provider[whose], whose === "ours" ? {} : { patienceMs, settleMs, codeOf: codeOfRaw });
    return {
      fault: fault.name,
      when: fault.when,
      client: whose === "ours" ? adapter : client,
      service: voice.name,
      verdict: printed.length === 0 ? outcome.verdict : [...outcome.findings, "prints to the console"].join(", "),
    };
  } finally {
    for (const [level, print] of real) console[level] = print;
  }
}

/** All cells of a provider, in the order of the cases. */
export async function cellsOf(provider: Provider, whose: "ours" | "raw"): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (const fault of wireFaults) cells.push(await cellOf(fault, provider, whose));
  return cells;
}

const aborts = 9;

/** Milliseconds from an abort in the midst of an answer to the service seeing the connection close: the median, since this machine does other things too. */
export async function abortMsOf({ voice, ours }: Provider): Promise<number> {
  const fault = wireFaults.find(({ leaves, when }) => leaves === "abort" && when === "after content");
  const times: number[] = [];
  for (let at = 0; fault !== undefined && at < aborts; at += 1) times.push((await tryFault(fault, voice, ours)).closedMs ?? Infinity);
  return times.toSorted((a, b) => a - b)[(aborts - 1) / 2] ?? Infinity;
}
