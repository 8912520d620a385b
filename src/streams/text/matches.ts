/**
 * Finds matches in text that comes in pieces, the same ones however it is cut.
 *
 * Regular expressions cannot say "perhaps, if more follows". So each place is decided in a window that depends on the text alone, never
 * on its pieces, and only when the window is full or the text has ended.
 *
 * @module
 */
import type { Part, TextPart } from "../../core/part.ts";
import { HeldText } from "./held.ts";
import type { MarkFinder } from "./marks.ts";
import { isPair } from "./ruler.ts";
import type { TextReader } from "./run.ts";

/** What is looked for. */
export interface MatchRules {
  /** With `g` and with `y`; `lastIndex` is set before each use, so runs may share them. */
  readonly anywhere: RegExp;
  readonly there: RegExp;
  /** UTF-16 units of a match at most. */
  readonly maxChars: number;
  /** Where a match may begin. */
  readonly start: MarkFinder | undefined;
  /** Behind what the pattern sees nothing; only with `start`. */
  readonly end: MarkFinder | undefined;
  /** Matches stay in the text. */
  readonly keep: boolean;
  /**
   * How much of what was found is the match; 0 for nothing, below 0 if nothing that begins within it is one either. `cut` says that it
   * goes as far as `maxChars` lets it.
   */
  readonly take: (found: string, cut: boolean) => number;
  /** The part of a match, like the part of the text in which it begins. */
  readonly toPart: (found: RegExpExecArray, index: number, length: number, origin: TextPart) => Part;
}

/** A match by its place in the text. */
interface Found {
  readonly index: number;
  readonly length: number;
  readonly groups: RegExpExecArray;
}

/** A reader of one text. */
export function matchReader(rules: MatchRules): TextReader {
  return rules.start === undefined ? new WindowReader(rules) : new MarkedReader(rules, rules.start, rules.end);
}

abstract class MatchReader implements TextReader {
  protected readonly rules: MatchRules;
  protected readonly held: HeldText;
  /** What is before it is decided. */
  protected done = 0;

  constructor(rules: MatchRules) {
    this.rules = rules;
    this.held = new HeldText(rules.maxChars);
  }

  *push(part: TextPart): Generator<Part> {
    this.held.add(part);
    yield* this.read(false);
  }

  *end(): Generator<Part> {
    yield* this.read(true);
  }

  /** Decides as far as the text goes, and moves `done` there; `final` when no more will come. */
  protected abstract decide(final: boolean): Generator<Found>;

  private *read(final: boolean): Generator<Part> {
    const { held, rules } = this;
    for (const { index, length, groups } of this.decide(final)) {
      yield* held.pass(index);
      const { origin } = held;
      if (rules.keep) yield* held.pass(index + length);
      else held.skip(index + length);
      if (origin !== undefined) yield rules.toPart(groups, index, length, origin);
    }
    yield* held.pass(this.done);
    held.trim();
  }

  /** What matches right there, if the text ended at `limit`. */
  protected matchAt(index: number, limit: number): RegExpExecArray | null {
    const { held, rules } = this;
    const from = held.contextOf(index);
    rules.there.lastIndex = index - from;
    return rules.there.exec(held.slice(from, limit));
  }

  /** The furthest that a match from there may reach; never half of a pair. */
  protected furthest(index: number): number {
    const limit = index + this.rules.maxChars;
    return (this.held.codeAt(limit - 1) & 0xfc00) === 0xd800 ? limit - 1 : limit;
  }

  /** How much of it is the match, as the rules say. */
  protected taken(index: number, groups: RegExpExecArray | null): number {
    if (groups === null) return 0;
    const { length } = groups[0];
    return this.rules.take(groups[0], length >= this.rules.maxChars - 1 && index + length >= this.furthest(index));
  }

  /** Where the search goes on behind something that is no match. */
  protected behindNone(index: number, length: number, groups: RegExpExecArray | null): number {
    return length < 0 && groups !== null ? index + groups[0].length : this.behind(index);
  }

  /** Behind the character that stands there. */
  protected behind(index: number): number {
    return index + (isPair(this.held.slice(index, index + 2), 0) ? 2 : 1);
  }
}

/**
 * Without a mark any place may be the beginning of a match. The text is gone through in steps, each in a window of the step and
 * `maxChars` more; where the next begins follows from the text.
 */
class WindowReader extends MatchReader {
  protected override *decide(final: boolean): Generator<Found> {
    const { held, rules } = this;
    const step = Math.ceil(rules.maxChars / 8); // a match is told late by so much; the text is gone over nine times
    for (;;) {
      const full = this.done + rules.maxChars + step;
      const rest = held.length < full; // the last window, if there is no more to come
      if (rest && !final) return;
      const end = rest ? held.length : full;
      const limit = rest ? end : this.behindStep(this.done + step);
      const from = held.contextOf(this.done);
      const window = held.slice(from, end);
      let at = this.done;
      while (at < limit) {
        rules.anywhere.lastIndex = at - from;
        let groups = rules.anywhere.exec(window);
        const index = groups === null ? limit : from + groups.index;
        if (index >= limit) break;
        if (groups !== null && groups[0].length > rules.maxChars) groups = this.matchAt(index, this.furthest(index));
        const length = this.taken(index, groups);
        if (groups !== null && length > 0) yield { index, length, groups };
        at = length > 0 ? index + length : this.behindNone(index, length, groups);
      }
      this.done = Math.max(at, limit);
      if (rest) return;
    }
  }

  private behindStep(limit: number): number {
    return (this.held.codeAt(limit - 1) & 0xfc00) === 0xd800 ? limit + 1 : limit;
  }
}

/** A match begins at a mark, so text without one goes out at once. */
class MarkedReader extends MatchReader {
  private readonly first: MarkFinder;
  private readonly last: MarkFinder | undefined;
  /** The part that came last and its place: what is looked for at every part is looked for in it alone. */
  private recent = "";
  private recentAt = 0;
  /** The mark that waits for the text behind it. */
  private candidate: { readonly at: number; readonly behind: number } | undefined = undefined;
  /** Before it no end is left; it is one itself if `ending` says how long it is. */
  private endAt = 0;
  private ending = 0;

  constructor(rules: MatchRules, first: MarkFinder, last: MarkFinder | undefined) {
    super(rules);
    this.first = first;
    this.last = last;
  }

  override *push(part: TextPart): Generator<Part> {
    this.recent = part.text;
    this.recentAt = this.held.length;
    yield* super.push(part);
  }

  protected override *decide(final: boolean): Generator<Found> {
    const { held, rules } = this;
    for (;;) {
      const candidate = (this.candidate ??= this.nextMark(final));
      if (candidate === undefined) return;
      const { at } = candidate;
      this.done = at;
      const window = at + rules.maxChars;
      const end = this.endBehind(candidate.behind, window);
      if (end === undefined && held.length < window && !final) return;
      const limit = Math.min(end ?? window, window, held.length);
      const groups = this.matchAt(at, limit === window ? this.furthest(at) : limit);
      const length = this.taken(at, groups);
      if (groups !== null && length > 0) yield { index: at, length, groups };
      this.done = length > 0 ? at + length : this.behindNone(at, length, groups);
      this.candidate = undefined;
    }
  }

  /** The next place where a match may begin; without one the text is decided, but for what may become a mark. */
  private nextMark(final: boolean): { at: number; behind: number } | undefined {
    const text = this.from(this.done);
    const at = this.first.find(text);
    if (at >= 0) return { at: this.done + at, behind: this.done + at + this.first.lengthAt(text, at) };
    this.done = this.held.length - (final ? 0 : this.first.partial(text));
    return undefined;
  }

  /** Where the first end from there on is over, if there is one in the window. What was looked at is not looked at again. */
  private endBehind(from: number, window: number): number | undefined {
    if (this.last === undefined) return undefined;
    if (this.ending > 0 && this.endAt >= from) return this.endAt + this.ending;
    this.ending = 0;
    const start = Math.max(from, this.endAt);
    if (start >= window) return undefined;
    const text = this.from(start).slice(0, window - start);
    const at = this.last.find(text);
    this.endAt = start + (at >= 0 ? at : text.length - this.last.partial(text));
    this.ending = at >= 0 ? this.last.lengthAt(text, at) : 0;
    return at >= 0 ? this.endAt + this.ending : undefined;
  }

  private from(at: number): string {
    return at >= this.recentAt ? this.recent.slice(at - this.recentAt) : this.held.slice(at);
  }
}
