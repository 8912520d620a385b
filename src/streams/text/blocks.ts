/**
 * A text as blocks: paragraphs, and in Markdown also headings, fenced code and tables.
 *
 * Markdown as in CommonMark 0.31 (ATX headings 4.2, setext headings 4.3, fenced code 4.5) and GFM 0.29 (tables 4.10), at the top
 * level: what is indented by four or more, as within lists, is text. YAML front matter is no heading.
 *
 * @module
 */
import { lineEnd, nextLine, skipSpace, skipSpaceBack } from "./ruler.ts";

/** A stretch of lines. `rows` may be cut between lines only: code, tables, front matter. */
export type Block =
  | { readonly kind: "prose" | "rows"; readonly start: number; readonly end: number }
  | { readonly kind: "heading"; readonly start: number; readonly end: number; readonly level: number; readonly title: string };

/** Paragraphs: lines with no blank line between them. */
export function* paragraphs(text: string): Generator<Block> {
  let start = -1;
  let end = 0;
  for (let at = 0; at < text.length; ) {
    const stop = lineEnd(text, at, text.length);
    if (skipSpace(text, at, stop) < stop) {
      if (start < 0) start = at;
      end = stop;
    } else if (start >= 0) {
      yield { kind: "prose", start, end };
      start = -1;
    }
    at = nextLine(text, stop, text.length);
  }
  if (start >= 0) yield { kind: "prose", start, end };
}

/** Blocks of Markdown, in order; blank lines between them belong to none. */
export function* markdownBlocks(text: string): Generator<Block> {
  let open: { kind: "prose" | "rows"; start: number; end: number } | undefined;
  let fence: { readonly start: number; readonly mark: string } | undefined;
  let lineBefore = 0;
  const front = frontMatterEnd(text);
  if (front > 0) yield { kind: "rows", start: 0, end: front };
  for (let at = front > 0 ? nextLine(text, front, text.length) : 0, next = at; at < text.length; lineBefore = at, at = next) {
    const end = lineEnd(text, at, text.length);
    next = nextLine(text, end, text.length);
    if (fence !== undefined) {
      if (!closes(text, at, end, fence.mark)) continue;
      yield { kind: "rows", start: fence.start, end };
      fence = undefined;
      continue;
    }
    const first = skipSpace(text, at, end);
    const indented = indentOf(text, at, end) > 3;
    const mark = indented ? undefined : fenceMark(text, first, end);
    const atx = indented ? undefined : atxHeading(text, first, end);
    if (first === end || mark !== undefined || atx !== undefined) {
      if (open !== undefined) yield open;
      open = undefined;
      if (mark !== undefined) fence = { start: at, mark };
      else if (atx !== undefined) yield { kind: "heading", start: at, end, ...atx };
      continue;
    }
    const level = indented || open?.kind !== "prose" ? 0 : setextLevel(text, first, end);
    if (open !== undefined && level > 0 && !isContainer(text, open.start)) {
      yield { kind: "heading", start: open.start, end, level, title: text.slice(open.start, open.end).trim().replaceAll(/\s+/g, " ") };
      open = undefined;
    } else if (open?.kind === "prose" && isDelimiterRow(text, first, end) && text.slice(lineBefore, open.end).includes("|")) {
      const lead = skipSpaceBack(text, open.start, lineBefore);
      if (lead > open.start) yield { ...open, end: lead };
      open = { kind: "rows", start: lineBefore, end };
    } else {
      open ??= { kind: "prose", start: at, end };
      open.end = end;
    }
  }
  if (fence !== undefined) yield { kind: "rows", start: fence.start, end: text.length };
  if (open !== undefined) yield open;
}

/** The end of YAML between `---` lines at the very beginning, 0 where there is none. */
function frontMatterEnd(text: string): number {
  const first = lineEnd(text, 0, text.length);
  if (text.slice(0, first).trimEnd() !== "---") return 0;
  for (let at = nextLine(text, first, text.length); at < text.length; ) {
    const end = lineEnd(text, at, text.length);
    if (end - at < 64 && /^(?:---|\.\.\.)[ \t]*$/.test(text.slice(at, end))) return end;
    at = nextLine(text, end, text.length);
  }
  return 0;
}

/** Columns of white space; a tab reaches the fourth. More than four need not be told apart. */
function indentOf(text: string, start: number, end: number): number {
  let columns = 0;
  for (let at = start; at < end && columns < 4; at += 1) {
    const char = text[at];
    if (char === " ") columns += 1;
    else if (char === "\t") columns = 4;
    else break;
  }
  return columns;
}

/** How often a character stands there in a row. */
function runOf(char: string, text: string, start: number, end: number): number {
  let at = start;
  while (at < end && text[at] === char) at += 1;
  return at - start;
}

/** What opens fenced code: three or more back quotes or tildes. No back quote may stand behind back quotes. */
function fenceMark(text: string, start: number, end: number): string | undefined {
  const char = text[start] ?? "";
  if (char !== "`" && char !== "~") return undefined;
  const length = runOf(char, text, start, end);
  if (length < 3 || (char === "`" && text.slice(start + length, end).includes("`"))) return undefined;
  return char.repeat(length);
}

function closes(text: string, start: number, end: number, mark: string): boolean {
  if (indentOf(text, start, end) > 3) return false;
  const first = skipSpace(text, start, end);
  const length = runOf(mark[0] ?? "", text, first, end);
  return length >= mark.length && skipSpace(text, first + length, end) === end;
}

function atxHeading(text: string, start: number, end: number): { readonly level: number; readonly title: string } | undefined {
  const level = runOf("#", text, start, Math.min(end, start + 7));
  if (level < 1 || level > 6) return undefined;
  const from = skipSpace(text, start + level, end);
  if (from === start + level && from < end) return undefined; // #hashtag
  let to = skipSpaceBack(text, from, end);
  let closing = to;
  while (closing > from && text[closing - 1] === "#") closing -= 1;
  if (closing === from || skipSpaceBack(text, from, closing) < closing) to = skipSpaceBack(text, from, closing);
  return { level, title: text.slice(from, to) };
}

/** 1 for a line of `=`, 2 for one of `-`, else 0. */
function setextLevel(text: string, start: number, end: number): number {
  const char = text[start] ?? "";
  if (char !== "=" && char !== "-") return 0;
  const behind = start + runOf(char, text, start, end);
  if (skipSpace(text, behind, end) < end) return 0;
  return char === "=" ? 1 : 2;
}

/** Does a list item or a quotation begin there? A line of dashes below is then no underline. */
function isContainer(text: string, start: number): boolean {
  return /^[ \t]*(?:[-*+][ \t]|>|\d{1,9}[.)][ \t])/.test(text.slice(start, start + 16));
}

/** The second row of a table: dashes, colons and at least one bar. */
function isDelimiterRow(text: string, start: number, end: number): boolean {
  let bars = 0;
  let dashes = 0;
  for (let at = start; at < end; at += 1) {
    const char = text[at];
    if (char === "|") bars += 1;
    else if (char === "-") dashes += 1;
    else if (char !== ":" && char !== " " && char !== "\t") return false;
  }
  return bars > 0 && dashes > 0;
}
