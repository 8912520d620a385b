/**
 * Marks that are looked for in streamed text: a literal string, or any one character of a class.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { isPair } from "./ruler.ts";

/** A string, or a regular expression that is asked about single characters. */
export type Mark = string | RegExp;

/** Finds a mark in pieces of text. */
export interface MarkFinder {
  /** Where the first one begins, -1 for nowhere. */
  find(text: string): number;
  /** The length of the one that begins there. */
  lengthAt(text: string, at: number): number;
  /** How much of the text's end may be the beginning of one. */
  partial(text: string): number;
}

/** Makes a finder. Throws `invalid_input` for an empty string, and for an expression that no single character matches. */
export function markFinder(who: string, option: string, mark: Mark): MarkFinder {
  if (typeof mark === "string" && mark !== "") return literal(mark);
  if (!(mark instanceof RegExp)) throw invalidOption(who, option, "a string that is not empty, or a regular expression for one character", mark);
  const flags = mark.flags.replace(/[dgy]/g, ""); // `test` would move on from call to call
  const found = oneOf(new RegExp(mark.source, flags));
  if (!found.hasAny()) throw invalidOption(who, option, "a regular expression that matches a single character", mark.source);
  return found;
}

function literal(mark: string): MarkFinder {
  return {
    find: (text) => text.indexOf(mark),
    lengthAt: () => mark.length,
    partial(text) {
      for (let length = Math.min(mark.length - 1, text.length); length > 0; length -= 1) if (text.endsWith(mark.slice(0, length))) return length;
      return 0;
    },
  };
}

/** By code point; what was asked about an ASCII character is remembered. */
function oneOf(pattern: RegExp): MarkFinder & { hasAny(): boolean } {
  const known: (boolean | undefined)[] = Array.from({ length: 128 }, () => undefined);
  const asks = (char: string): boolean => pattern.test(char);
  const isMark = (text: string, at: number): boolean => {
    const code = text.charCodeAt(at);
    if (code < 128) return (known[code] ??= asks(text.charAt(at)));
    return asks(isPair(text, at) ? text.slice(at, at + 2) : text.charAt(at));
  };
  return {
    find(text) {
      const end = text.length - halfOf(text); // the other half may come
      for (let at = 0; at < end; at += isPair(text, at) ? 2 : 1) if (isMark(text, at)) return at;
      return -1;
    },
    lengthAt: (text, at) => (isPair(text, at) ? 2 : 1),
    partial: halfOf,
    hasAny() {
      for (let code = 0; code <= 0x10ffff; code += 1) if (asks(String.fromCodePoint(code))) return true;
      return false;
    },
  };
}

/** 1 for a high surrogate at the end. */
function halfOf(text: string): number {
  return (text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800 ? 1 : 0;
}
