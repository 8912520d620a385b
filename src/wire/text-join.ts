/**
 * Deltas of a text as well-formed strings.
 *
 * @module
 */

/** Joins what was cut within a character. */
export interface TextJoin {
  /** The delta, without the half of a surrogate pair at its end, which waits for the other half. */
  push(delta: string): string;
  /** Does a half wait? */
  readonly waits: boolean;
  /** What still waits when the text ends: U+FFFD or nothing. */
  rest(): string;
}

/** Starts a text. Lone surrogates become U+FFFD: UTF-8 cannot carry them. */
export function textJoin(): TextJoin {
  let half = "";
  return {
    push(delta) {
      let text = half === "" ? delta : half + delta;
      half = "";
      const last = text.charCodeAt(text.length - 1);
      if (last >= 0xd800 && last <= 0xdbff) {
        half = text.slice(-1);
        text = text.slice(0, -1);
      }
      return text.isWellFormed() ? text : text.toWellFormed();
    },
    get waits() {
      return half !== "";
    },
    rest() {
      const rest = half === "" ? "" : "\ufffd";
      half = "";
      return rest;
    },
  };
}
