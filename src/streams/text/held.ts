/**
 * The text that `extract` has not let go yet, and the parts it came in.
 *
 * @module
 */
import { derive } from "../../core/derive.ts";
import { Fifo } from "../../core/fifo.ts";
import type { TextPart } from "../../core/part.ts";

/** A part by its place in the text. */
interface Placed {
  readonly part: TextPart;
  readonly start: number;
  readonly end: number;
}

/** One text in the making. Offsets are UTF-16 units from its beginning. */
export class HeldText {
  private readonly contextChars: number;
  private readonly parts = new Fifo<Placed>();
  private first: Placed | undefined = undefined;
  /** The text from `base` on; joined as it comes, looked at only where something is to be decided. */
  private text = "";
  private base = 0;
  private sent = 0;

  /** Keeps so much of what was let go already. */
  constructor(contextChars: number) {
    this.contextChars = contextChars;
  }

  /** Where the text ends so far. */
  get length(): number {
    return this.base + this.text.length;
  }

  add(part: TextPart): void {
    const start = this.length;
    this.parts.push({ part, start, end: start + part.text.length });
    this.text += part.text;
  }

  slice(start: number, end?: number): string {
    return this.text.slice(Math.max(0, start - this.base), end === undefined ? undefined : end - this.base);
  }

  codeAt(at: number): number {
    return this.text.charCodeAt(at - this.base);
  }

  /** Where the context of a place begins; it does not depend on how the text came. */
  contextOf(at: number): number {
    return Math.max(this.base, at - this.contextChars);
  }

  /** The part in which the next text to be let go begins. */
  get origin(): TextPart | undefined {
    return this.head()?.part;
  }

  /** Lets go of the text before `end`: whole parts as they are, else what is of them. */
  *pass(end: number): Generator<TextPart> {
    for (let placed = this.head(); placed !== undefined && placed.start <= end; placed = this.head()) {
      const { part } = placed;
      if (placed.end <= end && this.sent <= placed.start) {
        this.drop(placed.end);
        yield part;
        continue;
      }
      const from = this.sent - placed.start;
      const to = Math.min(end, placed.end) - placed.start;
      this.sent = placed.start + to;
      if (to > from) yield derive(part, { text: part.text.slice(from, to) });
      if (placed.end > end) break;
      this.drop(placed.end);
    }
    this.sent = Math.max(this.sent, end);
  }

  /** Leaves out the text before `end`. */
  skip(end: number): void {
    for (let placed = this.head(); placed !== undefined && placed.end <= end; placed = this.head()) this.drop(placed.end);
    this.sent = end;
  }

  /** Forgets what no context reaches any more: seldom, because it makes one string of what was joined. */
  trim(): void {
    const unused = this.sent - this.contextChars - this.base;
    if (unused < 4 * this.contextChars) return;
    this.text = this.text.slice(unused);
    this.base += unused;
  }

  private head(): Placed | undefined {
    this.first ??= this.parts.shift();
    return this.first;
  }

  private drop(end: number): void {
    this.first = undefined;
    this.sent = Math.max(this.sent, end);
  }
}
