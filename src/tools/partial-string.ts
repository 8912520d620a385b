/**
 * A JSON string as far as it has come: well-formed, and never cut within an escape or a character.
 *
 * @module
 */
import { wellFormed } from "../core/json-border.ts";

const escapes: ReadonlyMap<string, string> = new Map([["b", "\b"], ["f", "\f"], ["n", "\n"], ["r", "\r"], ["t", "\t"], ['"', '"'], ["\\", "\\"], ["/", "/"]]);
const unicodeEscape = /^u[\da-fA-F]{0,4}$/;

const quote = 0x22;
const backslash = 0x5c;
const firstAllowed = 0x20;

/** Reads a string from behind its first quotation mark. */
export class PartialString {
  /** What there is of it. */
  text = "";
  state: "open" | "ended" | "broken" = "open";
  /** What has come of an escape, without the backslash; undefined outside of one. */
  private escape: string | undefined = undefined;
  /** The first half of a character. */
  private half = "";

  /** Reads on, to the end of the string at most; gives where that is. */
  read(text: string, from: number): number {
    let at = from;
    while (at < text.length && this.state === "open") at = this.escape === undefined ? this.readPlain(text, at) : this.readEscape(this.escape, text, at);
    return at;
  }

  private readPlain(text: string, from: number): number {
    let at = from;
    let code = text.charCodeAt(at);
    while (code >= firstAllowed && code !== quote && code !== backslash) code = text.charCodeAt((at += 1)); // NaN where the text ends
    this.append(text.slice(from, at));
    if (code === backslash) this.escape = "";
    else if (code === quote) this.end();
    else if (at < text.length) this.state = "broken";
    return at + 1;
  }

  private readEscape(before: string, text: string, at: number): number {
    const escape = before + text.charAt(at);
    const char = escapes.get(escape);
    if (char !== undefined) this.append(char);
    else if (escape.length === 5) this.append(String.fromCharCode(Number.parseInt(escape.slice(1), 16)));
    const known = char !== undefined || unicodeEscape.test(escape);
    if (!known) this.state = "broken";
    this.escape = char === undefined && escape.length < 5 ? escape : undefined;
    return at + 1;
  }

  private append(more: string): void {
    const added = this.half + more;
    const last = added.charCodeAt(added.length - 1);
    const cut = last >= 0xd800 && last <= 0xdbff ? added.length - 1 : added.length;
    this.half = added.slice(cut);
    this.text += wellFormed(added.slice(0, cut));
  }

  private end(): void {
    this.text += this.half === "" ? "" : "\ufffd";
    this.state = "ended";
  }
}
