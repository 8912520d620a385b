/**
 * @module
 */
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import type { Part, TextPart } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { perTextRun, type TextReader } from "./text/run.ts";

/** What a line may be. */
export interface LinesOptions {
  /** Characters (UTF-16 units) of a line at most, its end not counted. @default 1_048_576 */
  readonly maxChars?: number;
  /** Leaves LF, CR LF or CR at the end of the line. @default false */
  readonly keepEnds?: boolean;
}

/**
 * One text part for each line, however the text comes: in deltas, in chunks of a file, or whole.
 *
 * Reads:  text parts; neighbours of the same role, substream and source are one text. Other parts pass by and end a line.
 * Yields: each line as soon as it is complete, before more is read, like the part in which it begins; empty lines too. What stands
 *         behind the last end is a line unless it is nothing. With `keepEnds` a CR at the end of a part waits for what follows.
 * Throws: `invalid_input` for bad options; `too_large` for a line above `maxChars`. A line that an error cuts is not given.
 *
 * @example
 * for await (const part of run(lines(), ["a\nb", "c\r", "\nd"])) console.log(isText(part) && part.text); // a  bc  d
 */
export function lines(options: LinesOptions = {}): Processor {
  const { keepEnds = false } = options;
  const maxChars = wholeNumber("lines", "maxChars", options.maxChars ?? 1_048_576, 1);
  if (typeof keepEnds !== "boolean") throw invalidOption("lines", "keepEnds", "a boolean", keepEnds);
  return perTextRun("lines", () => new LineReader(maxChars, keepEnds));
}

class LineReader implements TextReader {
  private readonly maxChars: number;
  private readonly keepEnds: boolean;
  /** The part in which the open line began; none where no line is open. */
  private origin: TextPart | undefined = undefined;
  /** The open line so far; joined, never looked at. */
  private open = "";
  /** The text so far ends with a CR, of which an LF may be the other half. */
  private afterReturn = false;

  constructor(maxChars: number, keepEnds: boolean) {
    this.maxChars = maxChars;
    this.keepEnds = keepEnds;
  }

  *push(part: TextPart): Generator<Part> {
    const { text } = part;
    if (text === "") return;
    let at = 0;
    if (this.afterReturn) {
      this.afterReturn = false;
      if (text.startsWith("\n")) at = 1;
      if (this.keepEnds) yield this.take(part, at === 1 ? "\r\n" : "\r");
    }
    let feed = text.indexOf("\n", at);
    let back = text.indexOf("\r", at);
    while (feed !== -1 || back !== -1) {
      const end = back === -1 || (feed !== -1 && feed < back) ? feed : back;
      this.add(part, text.slice(at, end));
      at = end + 1;
      if (end === back) {
        if (at === text.length) {
          this.afterReturn = true;
          if (!this.keepEnds) yield this.take(part, "");
          return;
        }
        if (feed === at) at += 1;
      }
      yield this.take(part, this.keepEnds ? text.slice(end, at) : "");
      if (feed !== -1 && feed < at) feed = text.indexOf("\n", at);
      if (back !== -1 && back < at) back = text.indexOf("\r", at);
    }
    if (at < text.length) this.add(part, text.slice(at));
  }

  *end(): Generator<Part> {
    if (this.origin !== undefined) yield this.take(this.origin, this.afterReturn ? "\r" : "");
  }

  private add(part: TextPart, piece: string): void {
    this.origin ??= part;
    this.open += piece;
    if (this.open.length > this.maxChars) throw new MillraceError("too_large", `lines: a line has more than ${this.maxChars} characters`);
  }

  /** The open line, whole; the next one is not open yet. */
  private take(part: TextPart, end: string): Part {
    const line = derive(this.origin ?? part, { text: this.open + end });
    this.origin = undefined;
    this.open = "";
    return line;
  }
}
