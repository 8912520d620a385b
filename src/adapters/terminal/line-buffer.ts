/**
 * Bytes in, lines out, wherever the bytes are cut.
 *
 * Lines are cut as bytes and decoded whole by the caller, so that no cut falls inside a character: in UTF-8 no other character
 * holds the byte of a line feed.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { joinBytes } from "../../core/join-bytes.ts";

const lineFeed = 10;
const carriageReturn = 13;
const nothing: Uint8Array = new Uint8Array();

/** The bytes of lines that nobody has taken yet. */
export class LineBuffer {
  private readonly maxBytes: number;
  /** Chunks without a line feed, the start of a line. */
  private start: Uint8Array[] = [];
  private startBytes = 0;
  /** What follows them. */
  private chunk = nothing;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Adds bytes; not before `take` has given all lines. */
  push(chunk: Uint8Array): void {
    this.chunk = chunk;
  }

  /** The next whole line, without its end; undefined where there is none yet. Throws `too_large` for one that is too long. */
  take(): Uint8Array | undefined {
    const end = this.chunk.indexOf(lineFeed);
    if (this.startBytes + (end < 0 ? this.chunk.length : end) > this.maxBytes + 1) throw this.tooLarge(); // + 1: a CR may be part of the end
    if (end < 0) {
      if (this.chunk.length > 0) this.start.push(this.chunk);
      this.startBytes += this.chunk.length;
      this.chunk = nothing;
      return undefined;
    }
    const line = joinBytes([...this.start, this.chunk.subarray(0, end)]);
    this.start = [];
    this.startBytes = 0;
    this.chunk = this.chunk.subarray(end + 1);
    const whole = line.at(-1) === carriageReturn ? line.subarray(0, -1) : line;
    if (whole.length > this.maxBytes) throw this.tooLarge();
    return whole;
  }

  /** What follows the last line feed, once nothing more comes; undefined where nothing does. */
  last(): Uint8Array | undefined {
    const last = this.rest();
    if (last.length > this.maxBytes) throw this.tooLarge();
    return last.length === 0 ? undefined : last;
  }

  /** All that was not taken. */
  rest(): Uint8Array {
    return joinBytes([...this.start, this.chunk]);
  }

  private tooLarge(): MillraceError {
    return new MillraceError("too_large", `terminalInput: a line has more than ${this.maxBytes} bytes`, { service: "terminal" });
  }
}
