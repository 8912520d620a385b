/**
 * Recordings: what a processor or a service once did, as lines of JSON that people can read and change.
 *
 * The first line says what the file is; each other line is one thing that happened, with the number of its call or exchange and
 * milliseconds since that began. Lines of several calls may be mixed.
 *
 * @module
 */
import { MillraceError, received } from "../core/errors.ts";
import type { JsonValue } from "../core/part.ts";

/** Version of the lines; another one is refused. */
const version = 1;
const header = JSON.stringify({ millrace: "recording", version });

/** A line as data. */
export type RecordingLine = Readonly<Record<string, JsonValue>>;

/** What was recorded, and what is being recorded. */
export interface Recording {
  readonly lines: readonly RecordingLine[];
  /** Adds a line. */
  add(line: RecordingLine): void;
  /** A number that no line has under this name yet: `call` or `exchange`. */
  nextNumber(name: "call" | "exchange"): number;
  /** The whole file. */
  toString(): string;
}

/**
 * An empty recording, or one from the text of a file.
 *
 * Throws: `invalid_input` for a text that is no recording, naming the line.
 *
 * @example
 * const notes = recording();
 * await run(record(mockModel(["Hello."]), { to: notes }), "Hi").text();
 * console.log(await run(replay(recording(notes.toString())), "Hi").text()); // Hello.
 */
export function recording(text?: string): Recording {
  const lines: RecordingLine[] = text === undefined ? [] : parsed(text);
  const last: Record<string, number> = {};
  for (const line of lines) {
    for (const name of ["call", "exchange"]) {
      const number = line[name];
      if (typeof number === "number") last[name] = Math.max(last[name] ?? 0, number);
    }
  }
  return {
    lines,
    add: (line) => void lines.push(line),
    nextNumber: (name) => (last[name] = (last[name] ?? 0) + 1),
    toString: () => [header, ...lines.map((line) => JSON.stringify(line)), ""].join("\n"),
  };
}

/** A recording, or the text of one. */
export function recordingOf(given: Recording | string): Recording {
  return typeof given === "string" ? recording(given) : given;
}

function parsed(text: string): RecordingLine[] {
  const rows = text.split(/\r?\n/).map((row, index) => ({ row, number: index + 1 })).filter(({ row }) => row.trim() !== "");
  const [first, ...rest] = rows.map(({ row, number }) => {
    let value: unknown;
    try {
      value = JSON.parse(row);
    } catch (cause) {
      throw new MillraceError("invalid_input", `recording: line ${number} is no JSON: ${received(row.slice(0, 80))}`, { cause });
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as RecordingLine; // it was parsed from JSON
    throw new MillraceError("invalid_input", `recording: line ${number} must be an object, got ${received(value)}`);
  });
  if (first?.millrace !== "recording") throw new MillraceError("invalid_input", "recording: the first line does not say that this is one");
  if (first.version !== version) throw new MillraceError("invalid_input", `recording: knows version ${version}, got ${received(first.version)}`);
  return rest;
}

/** Milliseconds since the start, to a hundredth: what people read. */
export function sinceMs(startMs: number, nowMs: number): number {
  return Math.round((nowMs - startMs) * 100) / 100;
}
