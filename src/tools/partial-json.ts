/**
 * JSON text as far as it has come: what is certain of its value, at every place it may be cut.
 *
 * Source: RFC 8259.
 *
 * @module
 */
import type { JsonValue } from "../core/part.ts";
import { PartialString } from "./partial-string.ts";

/** An object or array that is not closed yet. */
type Open = { readonly kind: "array"; readonly items: JsonValue[] } | { readonly kind: "object"; readonly entries: Record<string, JsonValue>; key: string };

/** What may come next; behind the last two nothing is read. */
type Place = "value" | "value or end" | "key" | "key or end" | "colon" | "next" | "over" | "broken";

/** Levels of nesting: deeper answers are refused as a whole. */
const maxDepth = 64;

const space = /[ \t\n\r]*/y;
/** As far as a number, `true`, `false` or `null` may go. */
const wordRun = /[-+.\w]*/y;
const wholeWord = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

/**
 * Reads one JSON value piece by piece.
 *
 * What there is of it is what the whole begins with: strings may be cut, but not within a character; numbers and words are there when their end
 * is known, keys when their value has begun. Text that is no JSON, or has a key twice in an object, adds nothing from there on.
 */
export class PartialJson {
  private place: Place = "value";
  private readonly open: Open[] = [];
  private root: JsonValue | undefined = undefined;
  /** A string that has not ended: a value, or the key of the innermost object. */
  private string: PartialString | undefined = undefined;
  private naming = false;
  /** A number or a word that has not ended. */
  private word: string | undefined = undefined;
  private grown = false;

  /** Reads on; true when there is more of the value than before. */
  push(text: string): boolean {
    this.grown = false;
    for (let at = 0; at < text.length && this.place !== "over" && this.place !== "broken"; ) at = this.read(text, at);
    return this.grown && this.place !== "broken";
  }

  /** What there is, as a value that never changes; undefined while there is nothing. Closed objects and arrays are shared, not copied. */
  value(): JsonValue | undefined {
    let value: JsonValue | undefined = this.naming ? undefined : this.string?.text;
    for (const open of this.open.toReversed()) {
      if (open.kind === "array") value = value === undefined ? [...open.items] : [...open.items, value];
      else value = value === undefined ? { ...open.entries } : { ...open.entries, [open.key]: value };
    }
    return value ?? this.root;
  }

  /** One step; gives where the next one begins. */
  private read(text: string, at: number): number {
    if (this.string !== undefined) return this.readString(this.string, text, at);
    if (this.word !== undefined) return this.readWord(this.word, text, at);
    const mark = endOf(space, text, at);
    if (mark < text.length) this.readMark(text.charAt(mark), this.open.at(-1));
    return mark + 1;
  }

  private readMark(mark: string, top: Open | undefined): void {
    const { place } = this;
    const ends = (place === "next" || place === "value or end" || place === "key or end") && top !== undefined && mark === (top.kind === "array" ? "]" : "}");
    if (ends) this.close();
    else if (place === "colon") this.place = mark === ":" ? "value" : "broken";
    else if (place === "next") {
      if (top === undefined) this.place = "over";
      else if (mark !== ",") this.place = "broken";
      else this.place = top.kind === "array" ? "value" : "key";
    } else if (mark === '"') this.begin(place === "key" || place === "key or end");
    else if (place === "key" || place === "key or end") this.place = "broken";
    else if (mark === "[") this.enter({ kind: "array", items: [] }, "value or end");
    else if (mark === "{") this.enter({ kind: "object", entries: {}, key: "" }, "key or end");
    else this.word = mark;
  }

  private begin(naming: boolean): void {
    this.string = new PartialString();
    this.naming = naming;
    if (!naming) this.grown = true;
  }

  private readString(string: PartialString, text: string, at: number): number {
    const before = string.text.length;
    const end = string.read(text, at);
    if (!this.naming && string.text.length > before) this.grown = true;
    if (string.state === "broken") this.place = "broken";
    if (string.state !== "ended") return end;
    this.string = undefined;
    if (this.naming) this.name(string.text);
    else this.add(string.text);
    return end;
  }

  private name(key: string): void {
    this.naming = false;
    const top = this.open.at(-1);
    // a value of `__proto__` would be no entry
    if (top?.kind !== "object" || key === "__proto__" || Object.hasOwn(top.entries, key)) {
      this.place = "broken";
      return;
    }
    top.key = key;
    this.place = "colon";
  }

  private readWord(before: string, text: string, at: number): number {
    const end = endOf(wordRun, text, at);
    const whole = before + text.slice(at, end);
    this.word = end < text.length ? undefined : whole;
    if (end < text.length) this.endWord(whole);
    return end;
  }

  private endWord(whole: string): void {
    const value: unknown = wholeWord.test(whole) ? JSON.parse(whole) : undefined;
    if (value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) {
      this.add(value);
      this.grown = true;
    } else this.place = "broken";
  }

  private enter(open: Open, place: Place): void {
    this.place = this.open.length === maxDepth ? "broken" : place;
    this.open.push(open);
    this.grown = true;
  }

  private close(): void {
    const closed = this.open.pop();
    if (closed !== undefined) this.add(closed.kind === "array" ? closed.items : closed.entries);
  }

  private add(value: JsonValue): void {
    const top = this.open.at(-1);
    if (top === undefined) this.root = value;
    else if (top.kind === "array") top.items.push(value);
    else top.entries[top.key] = value;
    this.place = "next";
  }
}

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return pattern.lastIndex;
}
