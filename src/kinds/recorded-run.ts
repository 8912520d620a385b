/**
 * What is kept of one run until it is stored.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";
import type { Part, TextPart } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";
import type { Context } from "../core/processor.ts";
import type { EncodedRow } from "./insert-statement.ts";
import { type PartTexts, partTexts } from "./recorded-rows.ts";

/** The inputs and results of a run so far. */
export interface RunRecord {
  /** The correlation id. */
  readonly run: string;
  readonly inputs: number;
  readonly results: number;
  /** Notes an input; gives its row as `received`. */
  input(part: Part): EncodedRow;
  result(part: Part): void;
  /** The rows, `processed` or with the code of what failed. */
  inputRows(failure: string | undefined): EncodedRow[];
  resultRows(): EncodedRow[];
}

/** How many rows of a pair of tables a run has made: `isolate` and `retry` run the processor often in one run. */
interface Counts {
  inputs: number;
  results: number;
}

interface Noted {
  readonly id: string;
  readonly ordinal: number;
  /** Which input a result is of. */
  readonly input: string | null;
  /** Of a text that goes on, made of its pieces when it is stored. */
  readonly texts: PartTexts | undefined;
  readonly pieces: TextPart[];
}

/** Begins a record. Its methods throw `too_large` for more than `maxBytes` in all. */
export function runRecord(tables: string, context: Context | undefined, maxBytes: number): RunRecord {
  const run = context?.correlationId ?? crypto.randomUUID();
  const counts = countsOf(tables, context);
  const inputs: Noted[] = [];
  const results: Noted[] = [];
  let bytes = 0;
  const noted = (part: Part, ordinal: number, input: string | null): Noted => {
    const goesOn = part.kind === "text" && isBare(part);
    return { id: `${run}:${ordinal}`, ordinal, input, texts: goesOn ? undefined : partTexts(part), pieces: goesOn ? [part] : [] };
  };
  const take = (part: Part): void => {
    bytes += sizeOf(part);
    if (bytes > maxBytes) throw new MillraceError("too_large", `recorded: inputs and results have more than ${maxBytes} bytes`);
  };
  const rowOf = ({ id, ordinal, texts, pieces }: Noted, ...between: readonly (string | null)[]): EncodedRow => ({
    ordinal,
    texts: [id, run, String(ordinal), ...between, ...(texts ?? joined(pieces))],
  });
  return {
    run,
    get inputs() {
      return inputs.length;
    },
    get results() {
      return results.length;
    },
    input(part) {
      take(part);
      const note = noted(part, counts.inputs, null);
      counts.inputs += 1;
      inputs.push(note);
      return rowOf(note, "received", null);
    },
    result(part) {
      take(part);
      const input = inputs.at(-1)?.id ?? null;
      const last = results.at(-1);
      const [first] = last?.pieces ?? [];
      if (last !== undefined && first !== undefined && last.input === input && part.kind === "text" && isBare(part) && isAlike(first, part)) {
        last.pieces.push(part);
        return;
      }
      results.push(noted(part, counts.results, input));
      counts.results += 1;
    },
    inputRows: (failure) => inputs.map((note) => rowOf(note, failure === undefined ? "processed" : "failed", failure ?? null)),
    resultRows: () => results.map((note) => rowOf(note, note.input)),
  };
}

function countsOf(tables: string, context: Context | undefined): Counts {
  const key = `recorded ${tables}`;
  const known = context?.state.get(key);
  if (isCounts(known)) return known;
  const counts = { inputs: 0, results: 0 };
  context?.state.set(key, counts);
  return counts;
}

function isCounts(value: unknown): value is Counts {
  return typeof value === "object" && value !== null && "inputs" in value && "results" in value;
}

function isBare({ metadata }: TextPart): boolean {
  for (const _ in metadata) return false;
  return true;
}

function isAlike(a: TextPart, b: TextPart): boolean {
  return a.mimeType === b.mimeType && a.role === b.role && a.substream === b.substream;
}

function joined(pieces: readonly TextPart[]): PartTexts {
  const [first] = pieces;
  if (first === undefined) return [];
  return partTexts(pieces.length === 1 ? first : { ...first, text: pieces.map(({ text }) => text).join("") });
}
