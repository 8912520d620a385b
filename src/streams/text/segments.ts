/**
 * Sentences, words and characters as readers see them, by the rules of Unicode (UAX 29), which every runtime has built in.
 *
 * @module
 */
import { isPair, isSpace } from "./ruler.ts";

type Granularity = "grapheme" | "word" | "sentence";

/** From `start` on, up to `end`: offsets in UTF-16 units. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

const segmenters = new Map<Granularity, Intl.Segmenter>();

/** Made at first use. One locale for all machines: a text must be cut alike wherever it is. */
function segmenter(granularity: Granularity): Intl.Segmenter {
  let made = segmenters.get(granularity);
  if (made === undefined) {
    made = new Intl.Segmenter("en", { granularity });
    segmenters.set(granularity, made);
  }
  return made;
}

/** Characters that are looked at together at least: enough for any sentence that is one. */
const windowChars = 16_384;

/** Characters of context in front of a place, for the rules to find their way in. */
const contextChars = 256;

/**
 * Sentences, each with the white space behind it. A single line break within a paragraph is no end of a sentence, unless the next
 * line is a list item, a quotation, a heading or a row of a table.
 *
 * The text is looked at through windows, so that a book without a full stop is not held twice; a sentence longer than `longest`
 * characters may come in pieces, which end at white space where they can.
 */
export function sentences(text: string, start: number, end: number, longest: number): Generator<Range> {
  return segments(text, start, end, longest, "sentence");
}

/** Words of any script, each with the punctuation and white space behind it; the window as for `sentences`. */
export function words(text: string, start: number, end: number, longest: number): Generator<Range> {
  return segments(text, start, end, longest, "word");
}

function* segments(text: string, start: number, end: number, longest: number, granularity: "word" | "sentence"): Generator<Range> {
  const window = Math.max(windowChars, 2 * longest);
  for (let at = start; at < end; ) {
    const to = end - at <= window ? end : seam(text, at, at + window);
    let last = at; // where the segment begins that is not given yet
    for (const { index, isWordLike } of segmenter(granularity).segment(flat(text.slice(at, to)))) {
      // what is no word belongs to the word before it
      if (index === 0 || (granularity === "word" && isWordLike !== true)) continue;
      yield { start: last, end: at + index };
      last = at + index;
    }
    // the last one may go on behind the window, so it is looked at again in the next, unless it fills this one
    if (to === end || last === at) {
      yield { start: last, end: to };
      last = to;
    }
    at = last;
  }
}

/** The end of a window: behind white space if there is any in it, and never within a pair. */
function seam(text: string, start: number, end: number): number {
  for (let at = end; at > start; at -= 1) if (isSpace(text.charCodeAt(at - 1))) return at;
  return isPair(text, end - 1) ? end - 1 : end;
}

/** What a line begins with that is not the rest of the line above: nothing, a list item, a quotation, a heading, a row. */
const ownLine = /[ \t]*(?:$|[\r\n|>]|[-*+•][ \t]|#{1,6}[ \t]|\d{1,9}[.)][ \t])/y;

/** The same text with spaces for the line breaks that only wrap it; as long as it was. */
function flat(text: string): string {
  let line = 0; // where the line begins that ends at a break
  return text.replace(/\r\n|\r|\n/g, (found, at: number) => {
    const isHeading = text[line] === "#";
    line = at + found.length;
    ownLine.lastIndex = line;
    return isHeading || ownLine.test(text) ? found : " ".repeat(found.length);
  });
}

/** The first start of a sentence from `from` on, before `end`. The text from `lower` on may be looked at. */
export function sentenceStart(text: string, lower: number, from: number, end: number): number | undefined {
  const look = Math.max(lower, from - contextChars);
  for (const { index } of segmenter("sentence").segment(flat(text.slice(look, end)))) {
    if (index > 0 && look + index >= from) return look + index;
  }
  return undefined;
}

/** The first start of a word from `from` on, before `end`: behind white space, else where the script has words without it. */
export function wordStart(text: string, lower: number, from: number, end: number): number | undefined {
  for (let at = Math.max(from, lower + 1); at < end; at += 1) {
    if (isSpace(text.charCodeAt(at - 1)) && !isSpace(text.charCodeAt(at))) return at;
  }
  if (!hasUnspacedScript(text.slice(from, end))) return undefined;
  const look = Math.max(lower, from - contextChars);
  for (const { index, isWordLike } of segmenter("word").segment(text.slice(look, end))) {
    if (index > 0 && look + index >= from && isWordLike === true) return look + index;
  }
  return undefined;
}

/** May it hold words that no white space parts? Thai is the first such script of Unicode. */
export function hasUnspacedScript(text: string): boolean {
  return /[\u0e00-\uffff]/.test(text);
}

/** The last place up to `at` that is not within a character as readers see it; `start` where there is none behind it. */
export function characterBefore(text: string, start: number, at: number): number {
  if (at >= text.length || isPlain(text, at)) return at;
  const found = segmenter("grapheme").segment(text.slice(start, at + 2)).containing(at - start);
  return start + (found?.index ?? at - start);
}

/** The first place from `at` on, up to `end`, that is not within a character as readers see it. */
export function characterFrom(text: string, lower: number, at: number, end: number): number {
  if (at <= lower || at >= end || isPlain(text, at)) return at;
  const look = Math.max(lower, at - contextChars);
  const found = segmenter("grapheme").segment(text.slice(look, end)).containing(at - look);
  if (found === undefined || look + found.index === at) return at;
  return look + found.index + found.segment.length;
}

/** Between two characters below the combining marks there is always a boundary, but within CR LF. */
function isPlain(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const behind = text.charCodeAt(at);
  return before < 0x300 && behind < 0x300 && !(before === 13 && behind === 10);
}
