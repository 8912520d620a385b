/**
 * What is in a message: made of its number, so that a changed or invented one is known.
 *
 * @module
 */
import { isText, type Part, text } from "../../src/index.ts";

/** What is done with a message. */
export type Kind = "plain" | "poison" | "slow" | "stuck" | "large";

/** Characters of a message, and of a large one. */
const size = 100;
const largeSize = 900_000;

/** Different ordering keys. */
export const keys = 64;
/** The ordering key of message `id`. */
export const keyOf = (id: number): string => `k${id % keys}`;

/** The parts of message `id`. */
export function payload(id: number, kind: Kind = "plain"): Part[] {
  return [text(`${id} ${kind} ${filler(id, kind === "large" ? largeSize : size)}`)];
}

/** Number and kind of a message that is what it was. */
export function readPayload(parts: readonly Part[]): { readonly id: number; readonly kind: Kind } | undefined {
  const [part] = parts;
  if (part === undefined || parts.length !== 1 || !isText(part)) return undefined;
  const [, number, kind] = /^(\d+) (plain|poison|slow|stuck|large) /.exec(part.text) ?? [];
  if (number === undefined || kind === undefined) return undefined;
  const [expected] = payload(Number(number), kind as Kind); // one of those in the pattern
  return expected !== undefined && isText(expected) && expected.text === part.text ? { id: Number(number), kind: kind as Kind } : undefined;
}

function filler(id: number, count: number): string {
  let state = (id * 2_654_435_761) >>> 0 || 1;
  let word = "";
  while (word.length < Math.min(count, 64)) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    word += (state >>> 0).toString(36);
  }
  return word.repeat(Math.ceil(count / word.length)).slice(0, count);
}
