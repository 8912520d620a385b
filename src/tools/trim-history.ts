/**
 * @module
 */
import { asks } from "../core/asks.ts";
import { text } from "../core/constructors.ts";
import { invalidOption, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { from } from "../core/from.ts";
import type { Part } from "../core/part.ts";
import type { Context, Processor } from "../core/processor.ts";
import { isReset } from "../core/reset.ts";
import type { TokenCounter } from "../kinds/token-counter.ts";
import { noTurn, summaryMark, turnsOf } from "./history-turns.ts";

const who = "trimHistory";

/** Of the room there is, what is left after turns were summarised. */
const usualShare = 0.75;

/** Options of `trimHistory`. */
export interface TrimHistoryOptions {
  /** What a history may take: the model's window less its answer, its tools and its own system text. */
  readonly maxTokens: number;
  readonly count: TokenCounter;
  /**
   * Where more than `maxTokens` is taken, turns go until it is no more than this: what a service keeps in its cache begins with the
   * first part, so it is better not to trim at every turn; and a summary needs room. @default `maxTokens`; three quarters of it with `summary`
   */
  readonly toTokens?: number;
  /** Turns at the end that stay in any case. @default 1 */
  readonly keep?: number;
  /** Reads what is dropped, in order; its text takes the place of it. Models in it are asked for nothing that was asked further out. */
  readonly summary?: Processor;
}

/**
 * Drops the oldest turns of a history that is too long for the model behind it.
 *
 * Reads:  the whole input. A turn is what the user says and all that follows until the user speaks again: answers, reasoning, tool
 *         calls and their results.
 * Yields: the input where it fits. Else the newest turns that fit, whole, and every system part, in order; before them, in place of
 *         what is gone, one text part of role `user` with `metadata.trimHistory` where there is a `summary`.
 * Throws: `too_large` when even system parts and the last turns do not fit, or a summary has no room; `bad_response` for a summary without
 *         text; `invalid_input` for options and counts that are none; what `count` and `summary` throw.
 * Closes: the input; the summary when it is left half way.
 *
 * @example
 * const history = [text("be brief", { role: "system" }), text("Hello there"), text("Hello.", { role: "assistant" }), text("How are you?")];
 * const trimmed = run(trimHistory({ maxTokens: 16, count: approximateTokens }), history);
 * for await (const part of trimmed) console.log(part.role); // system  user
 */
export function trimHistory(options: TrimHistoryOptions): Processor {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { maxTokens, count, keep = 1, summary } = options;
  wholeNumber(who, "maxTokens", maxTokens, 1);
  if (typeof count !== "function") throw invalidOption(who, "count", "a function that counts tokens", count);
  const { toTokens = summary === undefined ? maxTokens : Math.ceil(maxTokens * usualShare) } = options;
  wholeNumber(who, "toTokens", toTokens, 1, maxTokens);
  wholeNumber(who, "keep", keep, 1);
  if (summary !== undefined && typeof summary !== "function") throw invalidOption(who, "summary", "a processor", summary);
  const summarise = summary && asks(summary, {});

  return async function* trimHistory(input, context) {
    const history: Part[] = [];
    for await (const part of input) history.push(part);
    const tokensOf = async (parts: readonly Part[]): Promise<number> => checkedCount(await count(parts, context === undefined ? {} : { signal: context.signal }));
    const all = await tokensOf(history);
    if (all <= maxTokens) return yield* history;

    const turns = turnsOf(history);
    const isDropped = (index: number, dropped: number): boolean => turns[index] !== noTurn && (turns[index] ?? 0) < dropped;
    const restOf = (dropped: number): Part[] => history.filter((_, index) => !isDropped(index, dropped));
    const most = Math.max(0, turns.reduce((last, turn) => Math.max(last, turn), noTurn) + 1 - keep);
    const dropped = await leastDropped(most, async (tried) => (await tokensOf(restOf(tried))) <= toTokens);
    const rest = restOf(dropped);
    const left = dropped === 0 ? all : await tokensOf(rest);
    if (left > maxTokens) throw tooLarge(`system parts and the last ${keep === 1 ? "turn" : `${keep} turns`} take ${left} tokens`, maxTokens);
    if (summarise === undefined) return yield* rest;

    const gone = history.filter((_, index) => isDropped(index, dropped));
    const words = await wordsOf(summarise, gone, context);
    if (words.trim() === "") throw new MillraceError("bad_response", `${who}: the summary of ${gone.length} parts has no text`);
    const brief = text(words, { metadata: { [summaryMark]: { parts: gone.length } } });
    const first = history.findIndex((_, index) => isDropped(index, dropped));
    const shortened = [...rest.slice(0, first), brief, ...rest.slice(first)]; // what stands before the first is all kept
    const tokens = await tokensOf(shortened);
    if (tokens > maxTokens) throw tooLarge(`${left} tokens are left and the summary makes them ${tokens}`, maxTokens);
    yield* shortened;
  };
}

/** The fewest turns whose dropping is enough, found in few counts, as each may be a request; where none is enough, all that may go. */
async function leastDropped(most: number, isEnough: (dropped: number) => Promise<boolean>): Promise<number> {
  let [low, high] = [1, most];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isEnough(middle)) high = middle;
    else low = middle + 1;
  }
  return high;
}

async function wordsOf(summarise: Processor, parts: readonly Part[], context: Context | undefined): Promise<string> {
  let words = "";
  for await (const part of summarise(from(parts), context)) {
    if (isReset(part)) words = "";
    else if (part.kind === "text" && part.substream === "") words += part.text;
  }
  return words;
}

function checkedCount(tokens: unknown): number {
  if (typeof tokens === "number" && tokens >= 0 && tokens < Infinity) return tokens;
  throw new MillraceError("invalid_input", `${who}: count must give a number of tokens, gave ${received(tokens)}`);
}

function tooLarge(what: string, maxTokens: number): MillraceError {
  return new MillraceError("too_large", `${who}: ${what}, ${maxTokens} may be taken`);
}
