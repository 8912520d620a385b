/**
 * How long a stretch of text is, in the unit of whoever sets the limit.
 *
 * @module
 */

/** Code points, or bytes of UTF-8 where a lone surrogate counts as U+FFFD. */
export type TextUnit = "characters" | "bytes";

/** Most units that one code point takes. */
export const widest: Readonly<Record<TextUnit, number>> = { characters: 1, bytes: 4 };

/** Measures stretches of one text. Offsets are UTF-16 units; no result is within a surrogate pair. */
export interface Ruler {
  /** Units from `start` to `end`; it stops counting above `limit`, so asking for too much costs no more than the limit. */
  count(start: number, end: number, limit: number): number;
  /** The furthest offset up to `end` that is within `room` units of `start`. */
  reach(start: number, end: number, room: number): number;
  /** The furthest offset back to `start` that is within `room` units of `end`. */
  reachBack(start: number, end: number, room: number): number;
}

/** A ruler for a text. */
export function ruler(text: string, unit: TextUnit): Ruler {
  const inBytes = unit === "bytes";
  const weigh = (at: number, length: number): number => {
    if (!inBytes) return 1;
    if (length === 2) return 4;
    const code = text.charCodeAt(at);
    return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
  };
  return {
    count(start, end, limit) {
      let units = 0;
      for (let at = start; at < end && units <= limit; ) {
        const length = isPair(text, at) && at + 1 < end ? 2 : 1;
        units += weigh(at, length);
        at += length;
      }
      return units;
    },
    reach(start, end, room) {
      let at = start;
      for (let left = room; at < end; ) {
        const length = isPair(text, at) ? 2 : 1;
        left -= weigh(at, length);
        if (left < 0) break;
        at += length;
      }
      return at;
    },
    reachBack(start, end, room) {
      let at = end;
      for (let left = room; at > start; ) {
        const length = at - 2 >= start && isPair(text, at - 2) ? 2 : 1;
        left -= weigh(at - length, length);
        if (left < 0) break;
        at -= length;
      }
      return at;
    },
  };
}

/** Do a high and a low surrogate stand there? */
export function isPair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}

/** White space as `trim` knows it. */
export function isSpace(code: number): boolean {
  if (code < 0x80) return code === 32 || (code >= 9 && code <= 13);
  if (code < 0x1680) return code === 0xa0;
  return code === 0x3000 || code === 0xfeff || code === 0x1680 || (code >= 0x2000 && code <= 0x200a) || isRareSpace(code);
}

function isRareSpace(code: number): boolean {
  return code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f;
}

/** The first offset from `start` on, up to `end`, where something other than white space stands. */
export function skipSpace(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(text.charCodeAt(at))) at += 1;
  return at;
}

/** The end of what stands before the white space in front of `end`. */
export function skipSpaceBack(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

/** The end of the line that `start` is in, its terminator (LF, CR or both) not included. */
export function lineEnd(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && text.charCodeAt(at) !== 10 && text.charCodeAt(at) !== 13) at += 1;
  return at;
}

/** The start of the line behind a line's end. */
export function nextLine(text: string, at: number, end: number): number {
  if (at >= end) return end;
  return text.charCodeAt(at) === 13 && at + 1 < end && text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1;
}
