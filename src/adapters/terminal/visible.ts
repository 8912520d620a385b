/**
 * Text that a terminal can do nothing with but show it.
 *
 * What models and documents say is data. Sent to a terminal as it is, it could clear the screen, rename the window, write to the
 * clipboard, make the terminal type an answer, or show a line in another order than it is in.
 * Source: ECMA-48 (C0, C1, escape sequences); Unicode TR9 and CVE-2021-42574 (embeddings, overrides and isolates of direction; the three
 * marks stay: right-to-left texts need them, and they turn nothing but punctuation).
 *
 * @module
 */

/** All of C0 and C1 with DEL, what turns the direction, and the two separators that some terminals take for line ends. */
const controls = /[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

/** Control characters as `\x1b` or `\u202e`. Line feeds and tabs stay; carriage returns, which let a line be overwritten, go. */
export function visible(text: string): string {
  return text.replace(controls, (control) => {
    if (control === "\n" || control === "\t") return control;
    if (control === "\r") return "";
    const code = control.charCodeAt(0);
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`; // four digits from U+2028 on
  });
}
