/**
 * Packs the pieces of a text into chunks that overlap.
 *
 * @module
 */
import type { Piece } from "./pieces.ts";
import { type Ruler, skipSpace } from "./ruler.ts";
import { characterBefore, characterFrom, type Range, sentenceStart, wordStart } from "./segments.ts";

/** A chunk by its place in the text. */
export type Chunk = Omit<Piece, "weight">;

/** What chunks may measure, in units. */
export interface ChunkLimits {
  readonly size: number;
  readonly overlap: number;
  /** Overlaps have their full length, wherever they begin then. */
  readonly exact: boolean;
}

/** Chunks of as many pieces as fit, in order; a chunk never goes beyond a section. */
export function* chunksOf(text: string, ruler: Ruler, pieces: Iterable<Piece>, limits: ChunkLimits): Generator<Chunk> {
  const { size } = limits;
  let open: Piece | undefined; // what is packed so far
  for (const piece of pieces) {
    const { end, headings } = piece;
    let start = piece.start;
    if (open !== undefined) {
      const sameSection = open.headings === headings;
      const room = size - Math.min(piece.weight, size) - ruler.count(open.end, piece.start, size);
      if (sameSection && piece.weight <= size && open.weight <= room) {
        open = { start: open.start, end, weight: size - room + open.weight, headings };
        continue;
      }
      yield open;
      // a piece that must be cut anyway leaves room for any overlap
      if (sameSection) start = overlapStart(text, ruler, open, piece.weight > size ? size - 1 : room, limits) ?? start;
    }
    if (piece.weight <= size) {
      open = { start, end, weight: start < piece.start ? ruler.count(start, end, size) : piece.weight, headings };
    } else {
      open = yield* cutBetweenCharacters(text, ruler, { start, end }, piece, limits);
    }
  }
  if (open !== undefined) yield open;
}

/** Cuts a piece that is too large, from `from.start` on, which may be before it; gives what is left for the last chunk. */
function* cutBetweenCharacters(text: string, ruler: Ruler, from: Range, piece: Piece, limits: ChunkLimits): Generator<Chunk, Piece | undefined> {
  const { size } = limits;
  const { end, headings } = piece;
  let { start } = from;
  let done = piece.start; // what is in a chunk already
  for (;;) {
    let cut = ruler.reach(start, end, size);
    if (cut === end) return skipSpace(text, start, end) < end ? { start, end, weight: ruler.count(start, end, size), headings } : undefined;
    cut = characterBefore(text, start, cut);
    if (cut <= done && start < done) {
      start = done; // the next character does not fit behind the overlap
      continue;
    }
    if (cut <= done) cut = ruler.reach(start, end, size); // a single character of more than a chunk: accents piled up
    if (skipSpace(text, start, cut) < cut) yield { start, end: cut, headings };
    done = cut;
    start = overlapStart(text, ruler, { start, end: cut }, size - 1, limits) ?? cut;
  }
}

/** Where the next chunk begins if it is to repeat the end of this one, in at most `room` units. */
function overlapStart(text: string, ruler: Ruler, { start, end }: Range, room: number, limits: ChunkLimits): number | undefined {
  const most = Math.min(limits.overlap, room);
  if (most <= 0) return undefined;
  const from = ruler.reachBack(start, end, most);
  const found = limits.exact ? undefined : (sentenceStart(text, start, from, end) ?? wordStart(text, start, from, end));
  const at = found ?? characterFrom(text, start, from, end);
  const first = limits.exact ? at : skipSpace(text, at, end);
  return first > start && first < end ? first : undefined; // a chunk that is in the next one whole would be one too many
}
