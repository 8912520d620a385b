/**
 * Words of a server that people and models may be shown: no more of them than said, and nothing in them that only one of the two sees.
 *
 * Source: Unicode TR9 and CVE-2021-42574 (embeddings, overrides and isolates of direction); Unicode 16, tags (U+E0000 to U+E007F), in which
 * models read whole sentences that no screen shows.
 *
 * @module
 */

/** Controls but for line feed and tab, what turns the direction, separators, and what has no width; joiners stay, scripts need them. */
const unseen = /(?![\n\t])[\p{Cc}\u200b\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/** The text without what cannot be seen, cut to so many characters. */
export function plain(text: string, maxChars: number): string {
  // What is far behind the cut is not looked at: a server may send megabytes.
  const seen = text.slice(0, maxChars * 4).replace(unseen, "").toWellFormed();
  if (seen.length <= maxChars) return seen;
  return `${seen.slice(0, maxChars - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
