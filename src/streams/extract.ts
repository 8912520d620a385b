/**
 * @module
 */
import { json } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import type { JsonValue, Part, TextPart } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { type MatchRules, matchReader } from "./text/matches.ts";
import { type Mark, markFinder } from "./text/marks.ts";
import { perTextRun } from "./text/run.ts";

/** Where matches are looked for, and what becomes of their text. */
export interface ExtractOptions {
  /**
   * What a match begins with: a string, or an expression that is asked about each single character. Text without it goes out at once;
   * a match that begins otherwise is none. @default anything
   */
  readonly start?: Mark;
  /**
   * What a match ends with or before, needs `start`: the first one behind the beginning is the last that the pattern sees, so that
   * a match is known as soon as it is there. @default nothing
   */
  readonly end?: Mark;
  /** Leaves the text of matches in the stream, each before its part. @default false */
  readonly keep?: boolean;
  /** Characters (UTF-16 units) of a match at most. @default 1_024 */
  readonly maxChars?: number;
}

/**
 * Takes what matches a regular expression out of streamed text, as JSON. The result is the same however the text is cut into parts.
 *
 * A match has at most `maxChars` characters: from its beginning the pattern sees so many, and as many before it; a longer match is what
 * matches if the text ended there, which may be nothing. So much text is held back, an eighth more without `start`, and no more: with
 * `start` only behind such a beginning, and with `end` only up to the next one. A lookahead without `start` may see an eighth more. Empty
 * matches are none; the flags `g` and `y` change nothing. The pattern is trusted: one that backtracks may be slow, in one window at a time.
 *
 * Reads:  text parts; neighbours of the same role, substream and source are one text. Other parts pass by, and end a text.
 * Yields: the text without the matches, and in its place each match as a JSON part (`application/json; type=match`) like the text it
 *         was in: `{ match, index, captures, groups }`, `index` counted from the beginning of the text, `null` for a group that did not
 *         take part.
 * Throws: `invalid_input` for bad options. Text that is held back when the input fails is not given.
 *
 * @example
 * const orders = extract(/#(\d+)/, { start: "#" });
 * for await (const part of run(orders, ["Order #1", "2 and #7."])) console.log(part.kind); // text  json  text  json  text
 */
export function extract(pattern: RegExp, options: ExtractOptions = {}): Processor {
  const rules = matchRules("extract", pattern, options, { take: (found) => found.length, toPart: matchPart });
  return perTextRun("extract", () => matchReader(rules));
}

/** Checks the options and makes rules of them. */
export function matchRules(who: string, pattern: RegExp, options: ExtractOptions, own: Pick<MatchRules, "take" | "toPart">): MatchRules {
  if (!(pattern instanceof RegExp)) throw invalidOption(who, "pattern", "a regular expression", pattern);
  const { start, end, keep = false } = options;
  const maxChars = wholeNumber(who, "maxChars", options.maxChars ?? 1_024, 1);
  if (typeof keep !== "boolean") throw invalidOption(who, "keep", "a boolean", keep);
  if (end !== undefined && start === undefined) throw invalidOption(who, "end", "given together with start", end);
  const flags = pattern.flags.replace(/[dgy]/g, "");
  return {
    anywhere: new RegExp(pattern.source, `${flags}g`),
    there: new RegExp(pattern.source, `${flags}y`),
    maxChars,
    start: start === undefined ? undefined : markFinder(who, "start", start),
    end: end === undefined ? undefined : markFinder(who, "end", end),
    keep,
    ...own,
  };
}

function matchPart(found: RegExpExecArray, index: number, _length: number, origin: TextPart): Part {
  const [match, ...captures] = found;
  const groups = Object.fromEntries(Object.entries(found.groups ?? {}).map(([name, group]) => [name, orNull(group)]));
  return jsonLike(origin, "match", { match, index, captures: captures.map(orNull), groups });
}

function orNull(group: string | undefined): string | null {
  return group ?? null;
}

/** A JSON part with role, substream and metadata of a text. By `derive`, so that a text that says `system` gains no trust. */
export function jsonLike({ role, substream, metadata }: TextPart, type: string, value: JsonValue): Part {
  return derive(json(value, { mimeType: `application/json; type=${type}` }), { role, substream, metadata });
}
