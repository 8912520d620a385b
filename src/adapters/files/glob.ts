/**
 * Patterns of paths, matched one segment at a time while a tree is walked, so that branches nobody wants are never opened.
 *
 * `*` any characters but `/`, `?` one of them, `[a-z]` `[!a-z]` one of a set, `**` any number of directories, `{a,b}` either,
 * `\` before a character takes it as it is. A name that begins with a dot is matched only by a pattern that says the dot.
 * The runtimes have a matcher of their own, but Node 22 calls it experimental, warns at its use, and can't be asked about a
 * directory. This one takes time in proportion to name times pattern, whatever they are.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../../core/errors.ts";

/** One thing in a segment of a pattern: any run of characters, or one character by a test. */
type Token = "any-run" | ((char: string) => boolean);

/** `"any-depth"` is `**`. */
type Segment = "any-depth" | { readonly tokens: readonly Token[]; readonly dot: boolean };

/** Where a walk stands in every pattern: alternative and segment that comes next. */
export type GlobState = readonly (readonly [alternative: number, segment: number])[];

/** Patterns, ready to walk with. */
export interface Glob {
  readonly start: GlobState;
  /** Into the entry of this name; an empty state means that nothing there can match. */
  step(state: GlobState, name: string): GlobState;
  /** Does a pattern end here? */
  accepts(state: GlobState): boolean;
}

/** Most alternatives that braces may make: they multiply. */
const maxAlternatives = 1_000;

/** Compiles patterns; a path that any of them matches is matched. */
export function glob(who: string, option: string, patterns: readonly string[]): Glob {
  const alternatives = patterns.flatMap((pattern) => {
    if (typeof pattern !== "string" || pattern === "" || pattern.startsWith("/")) {
      throw invalidOption(who, option, "patterns relative to the root", pattern);
    }
    return expand(who, pattern);
  });
  if (alternatives.length > maxAlternatives) throw tooMany(who);
  const compiled = alternatives.map((alternative) => alternative.split("/").map((segment) => compile(who, option, segment)));

  // `**` may stand for nothing, so a state in front of it also stands behind it
  const reach = (state: Map<string, readonly [number, number]>, alternative: number, segment: number): void => {
    state.set(`${alternative}/${segment}`, [alternative, segment]);
    if (compiled[alternative]?.[segment] === "any-depth") reach(state, alternative, segment + 1);
  };
  const start = new Map<string, readonly [number, number]>();
  for (const alternative of compiled.keys()) reach(start, alternative, 0);

  return {
    start: [...start.values()],
    step(state, name) {
      const next = new Map<string, readonly [number, number]>();
      for (const [alternative, at] of state) {
        const segment = compiled[alternative]?.[at];
        if (segment === undefined) continue;
        if (segment === "any-depth") {
          if (!name.startsWith(".")) reach(next, alternative, at);
        } else if ((segment.dot || !name.startsWith(".")) && matches(segment.tokens, name)) reach(next, alternative, at + 1);
      }
      return [...next.values()];
    },
    accepts: (state) => state.some(([alternative, at]) => at === compiled[alternative]?.length),
  };
}

/** All that braces stand for; an unclosed one is a character like others. */
function expand(who: string, pattern: string, budget = { left: maxAlternatives }): string[] {
  let depth = 0;
  let open = -1;
  const commas: number[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at];
    if (char === "\\") at += 1;
    else if (char === "{") {
      if (depth === 0) open = at;
      depth += 1;
    } else if (char === "," && depth === 1) commas.push(at);
    else if (char === "}" && depth > 0) {
      depth -= 1;
      if (depth > 0) continue;
      const cuts = [open, ...commas, at];
      const choices = cuts.slice(1).map((cut, i) => pattern.slice((cuts[i] ?? 0) + 1, cut));
      return choices.flatMap((choice) => expand(who, pattern.slice(0, open) + choice + pattern.slice(at + 1), budget));
    }
  }
  budget.left -= 1;
  if (budget.left < 0) throw tooMany(who);
  return [pattern];
}

function tooMany(who: string): MillraceError {
  return new MillraceError("invalid_input", `${who}: the braces of a pattern make more than ${maxAlternatives} alternatives`);
}

function compile(who: string, option: string, segment: string): Segment {
  if (segment === "**") return "any-depth";
  if (segment === "" || segment === "." || segment === "..") throw invalidOption(who, option, 'patterns without "", "." and ".." segments', segment);
  const chars = [...segment];
  const tokens: Token[] = [];
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] ?? "";
    if (char === "*") {
      if (tokens.at(-1) !== "any-run") tokens.push("any-run");
    } else if (char === "?") tokens.push(() => true);
    else if (char === "[" && chars.indexOf("]", at + 2) > 0) {
      const end = chars.indexOf("]", at + 2);
      tokens.push(oneOf(chars.slice(at + 1, end)));
      at = end;
    } else {
      if (char === "\\" && at + 1 < chars.length) at += 1;
      const wanted = chars[at];
      tokens.push((met) => met === wanted);
    }
  }
  return { tokens, dot: chars[0] === "." };
}

function oneOf(set: readonly string[]): Token {
  const negated = set[0] === "!" || set[0] === "^";
  const items = negated ? set.slice(1) : set;
  const ranges: (readonly [string, string])[] = [];
  for (let at = 0; at < items.length; at += 1) {
    const from = items[at] ?? "";
    const to = items[at + 1] === "-" ? items[at + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) at += 2;
  }
  return (char) => negated !== ranges.some(([from, to]) => from <= char && char <= to);
}

/** Only the last star is ever tried again, so no pattern takes longer than its length times the name's. */
function matches(tokens: readonly Token[], name: string): boolean {
  const chars = [...name];
  let token = 0;
  let star = -1;
  let retry = 0;
  for (let at = 0; at < chars.length; ) {
    const wanted = tokens[token];
    if (wanted === "any-run") {
      star = token;
      retry = at;
      token += 1;
    } else if (wanted !== undefined && wanted(chars[at] ?? "")) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      token = star + 1;
      retry += 1;
      at = retry;
    } else return false;
  }
  while (tokens[token] === "any-run") token += 1;
  return token === tokens.length;
}
