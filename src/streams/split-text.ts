/**
 * @module
 */
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { isText } from "../core/guards.ts";
import type { Part, TextPart } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { each } from "./each.ts";
import { type Chunk, type ChunkLimits, chunksOf } from "./text/chunks.ts";
import { markdownPieces, prosePieces, wholePiece } from "./text/pieces.ts";
import { ruler, skipSpace, type TextUnit, widest } from "./text/ruler.ts";

/** How long texts are split. */
export interface SplitTextOptions {
  /** Most units in a chunk; at least 1 character or 4 bytes, so that any character fits. */
  readonly size: number;
  /**
   * `"sentences"`: whole paragraphs and sentences, as many as fit. `"headings"`: the same for Markdown, and never beyond a heading.
   * `"characters"`: after every `size`, wherever that is. @default "sentences"
   */
  readonly by?: "characters" | "sentences" | "headings";
  /** Units that a chunk may repeat from the end of the one before; less than `size`. @default 0 */
  readonly overlap?: number;
  /** What `size` and `overlap` count: code points, or bytes of UTF-8 as services do. @default "characters" */
  readonly unit?: TextUnit;
}

const ways = { characters: wholePiece, sentences: prosePieces, headings: markdownPieces };

/**
 * Splits long texts into chunks, for embedders and the byte limits of services.
 *
 * By sentences, a paragraph that fits is kept together; a larger one is packed by whole sentences, a larger sentence by lines, then
 * words, a larger word between characters as readers see them. By headings, a chunk belongs to one section, fenced code and tables
 * stay whole where they fit and are cut between lines else; a heading stands with the text below it. White space between chunks
 * is dropped, nothing else is. An overlap begins at a sentence or a word where it can, and gives way where a sentence needs the room.
 *
 * Reads:  text parts; other parts pass by, as do texts that are blank.
 * Yields: chunks like the part they are of, with `metadata.split` of `{ index, start, end }`, UTF-16 offsets in its text, and by
 *         headings also `headings`, the path from the top. A text that fits is one chunk; by headings there is one for each section.
 *         Chunks are made as they are asked for.
 * Throws: `invalid_input` for bad options.
 *
 * @example
 * const chunks = splitText({ size: 20 });
 * for await (const part of run(chunks, "Glue the joint. Clamp it. Wait.")) console.log(isText(part) && part.text); // Glue the joint.  Clamp it. Wait.
 */
export function splitText(options: SplitTextOptions): Processor {
  const { by = "sentences", overlap = 0, unit = "characters" } = options;
  if (!Object.hasOwn(ways, by)) throw invalidOption("splitText", "by", '"characters", "sentences" or "headings"', by);
  if (!Object.hasOwn(widest, unit)) throw invalidOption("splitText", "unit", '"characters" or "bytes"', unit);
  const size = wholeNumber("splitText", "size", options.size, widest[unit]);
  wholeNumber("splitText", "overlap", overlap, 0, size - 1);
  const limits: ChunkLimits = { size, overlap, exact: by === "characters" };

  function splitOne(part: TextPart): Part | Iterable<Part> {
    const { text } = part;
    if (skipSpace(text, 0, text.length) === text.length) return part;
    const measure = ruler(text, unit);
    if (by !== "headings" && measure.count(0, text.length, size) <= size) return chunkPart(part, 0, { start: 0, end: text.length, headings: undefined });
    return chunkParts(part, chunksOf(text, measure, ways[by]({ text, ruler: measure, size }), limits));
  }
  return each((part) => (isText(part) ? splitOne(part) : part), { match: isText, name: "splitText" });
}

function* chunkParts(part: TextPart, chunks: Iterable<Chunk>): Generator<Part> {
  let index = 0;
  for (const chunk of chunks) {
    yield chunkPart(part, index, chunk);
    index += 1;
  }
}

function chunkPart(part: TextPart, index: number, { start, end, headings }: Chunk): Part {
  const split = headings === undefined ? { index, start, end } : { index, start, end, headings };
  return derive(part, { text: part.text.slice(start, end), metadata: { ...part.metadata, split } });
}
