/**
 * A text as pieces that chunks are packed of: each as large as it may be without being more than a chunk.
 *
 * @module
 */
import { type Block, markdownBlocks, paragraphs } from "./blocks.ts";
import { isSpace, lineEnd, nextLine, type Ruler, skipSpace, skipSpaceBack } from "./ruler.ts";
import { hasUnspacedScript, type Range, sentences, words } from "./segments.ts";

/** A stretch without white space around it. */
export interface Piece extends Range {
  /** In units of the limit; above the limit where nothing but cutting between characters is left. */
  readonly weight: number;
  /** The headings it stands under. Pieces of one section share the very array. */
  readonly headings: readonly string[] | undefined;
}

/** How to divide what is too large; tried from the first to the last. */
type Level = (range: Range) => Iterable<Range>;

/** What the pieces of a text are made with. */
export interface PieceMaker {
  readonly text: string;
  readonly ruler: Ruler;
  /** Units of a chunk. */
  readonly size: number;
}

/** Paragraphs; where they are too large sentences, lines, words. */
export function* prosePieces(maker: PieceMaker): Generator<Piece> {
  for (const block of paragraphs(maker.text)) yield* piecesOf(maker, block, undefined);
}

/**
 * Blocks of Markdown under their headings. A heading stands with the paragraph behind it; one that has nothing but deeper headings
 * below it stands with the first of these.
 */
export function* markdownPieces(maker: PieceMaker): Generator<Piece> {
  let path: { readonly level: number; readonly title: string }[] = [];
  let headings: readonly string[] = [];
  let lead: (Range & { readonly level: number }) | undefined; // headings with nothing below them yet
  for (const block of markdownBlocks(maker.text)) {
    if (block.kind === "heading") {
      const { level, title } = block;
      if (lead !== undefined && lead.level >= level) {
        yield* piecesOf(maker, { kind: "prose", ...lead }, headings);
        lead = undefined;
      }
      path = [...path.filter((above) => above.level < level), { level, title }];
      headings = path.map((above) => above.title);
      lead = { start: lead?.start ?? block.start, end: block.end, level };
    } else if (lead !== undefined && block.kind === "prose") {
      yield* piecesOf(maker, { kind: "prose", start: lead.start, end: block.end }, headings);
      lead = undefined;
    } else {
      if (lead !== undefined) yield* piecesOf(maker, { kind: "prose", ...lead }, headings);
      lead = undefined;
      yield* piecesOf(maker, block, headings);
    }
  }
  if (lead !== undefined) yield* piecesOf(maker, { kind: "prose", ...lead }, headings);
}

/** The text as one stretch, to be cut between characters. */
export function* wholePiece({ text }: PieceMaker): Generator<Piece> {
  yield { start: 0, end: text.length, weight: Infinity, headings: undefined };
}

function piecesOf(maker: PieceMaker, block: Pick<Block, "kind" | "start" | "end">, headings: Piece["headings"]): Generator<Piece> {
  const { text, size } = maker;
  const rows: readonly Level[] = [
    (range) => lines(text, range),
    (range) => tokens(text, range),
    // a character of a script without spaces is one unit of UTF-16 or two
    ({ start, end }) => (hasUnspacedScript(text.slice(start, end)) ? words(text, start, end, 2 * size) : []),
  ];
  if (block.kind === "rows") return divided(maker, block, rows, headings, true);
  const prose: readonly Level[] = [({ start, end }) => sentences(text, start, end, 2 * size), ...rows];
  return divided(maker, block, prose, headings, false);
}

/** The range if it fits, else what the next level makes of it. `indented`: the white space before the first word counts. */
function* divided(
  maker: PieceMaker,
  range: Range,
  levels: readonly Level[],
  headings: Piece["headings"],
  indented: boolean,
): Generator<Piece> {
  const { text, ruler, size } = maker;
  const first = skipSpace(text, range.start, range.end);
  const end = skipSpaceBack(text, first, range.end);
  if (first === end) return;
  if (indented) {
    const weight = ruler.count(range.start, end, size);
    if (weight <= size) return yield { start: range.start, end, weight, headings };
  }
  const weight = ruler.count(first, end, size);
  if (weight <= size) return yield { start: first, end, weight, headings };
  const [level, ...finer] = levels;
  let parts = 0;
  for (const part of level?.(indented ? { start: range.start, end } : { start: first, end }) ?? []) {
    parts += 1;
    yield* divided(maker, part, finer, headings, indented);
  }
  if (parts > 0) return;
  if (level === undefined) yield { start: first, end, weight, headings };
  else yield* divided(maker, { start: first, end }, finer, headings, indented);
}

/** Lines without their terminators. */
function* lines(text: string, { start, end }: Range): Generator<Range> {
  for (let at = start; at < end; ) {
    const stop = lineEnd(text, at, end);
    yield { start: at, end: stop };
    at = nextLine(text, stop, end);
  }
}

/** What stands between white space. */
function* tokens(text: string, { start, end }: Range): Generator<Range> {
  for (let at = skipSpace(text, start, end); at < end; ) {
    let stop = at;
    while (stop < end && !isSpace(text.charCodeAt(stop))) stop += 1;
    yield { start: at, end: stop };
    at = skipSpace(text, stop, end);
  }
}
