/**
 * @module
 */
import { uri } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { unknownMimeType } from "../core/mime-types.ts";
import type { Part, TextPart } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { jsonLike, matchRules } from "./extract.ts";
import { matchReader } from "./text/matches.ts";
import { perTextRun } from "./text/run.ts";

/** What URLs become. */
export interface ExtractUrlsOptions {
  /** `"json"`: a part with the value `{ url, index }`; `"uri"`: a part that `fetchUrls` takes. @default "json" */
  readonly as?: "json" | "uri";
  /** Leaves the text of URLs in the stream, each before its part. @default false */
  readonly keep?: boolean;
  /** A URL of so many characters (UTF-16 units) or more is left as text. @default 8_192 */
  readonly maxChars?: number;
}

/** What RFC 3986 lets stand in a URL, and letters, digits and marks of any script, as people write them. */
const urlChars = String.raw`\-._~:/?#\[\]@!$&'()*+,;=%\w\p{L}\p{N}\p{M}`;
const pattern = new RegExp(String.raw`(?<![A-Za-z0-9+])https?://[${urlChars}]+`, "iu");
const end = new RegExp(`[^${urlChars}]`, "iu");

/**
 * Takes `http` and `https` URLs out of streamed text, however it is cut. Nothing is fetched.
 *
 * A URL is over where no character of one follows, at a closing bracket that it did not open, and before punctuation at its end
 * (`?` `!` `.` `,` `:` `;` `*` `_` `~` `'`, an HTML entity), as in GFM 6.9. It is given as it stands in the text, user and password too.
 *
 * Reads:  text parts; neighbours of the same role, substream and source are one text. Other parts pass by, and end a text.
 * Yields: the text without the URLs, and in its place each URL as a JSON part (`application/json; type=url`) or a `uri` part, like the
 *         text it was in; `index` is counted from the beginning of the text. Text is held back from an `h` to the end of its word.
 * Throws: `invalid_input` for bad options.
 *
 * @example
 * const found = run(extractUrls(), ["See https://exam", "ple.com/a_(b), please."]);
 * for await (const part of found) if (isJson(part)) console.log(part.value); // { url: 'https://example.com/a_(b)', index: 4 }
 */
export function extractUrls(options: ExtractUrlsOptions = {}): Processor {
  const { as = "json", keep = false } = options;
  if (as !== "json" && as !== "uri") throw invalidOption("extractUrls", "as", '"json" or "uri"', as);
  const maxChars = wholeNumber("extractUrls", "maxChars", options.maxChars ?? 8_192, 1);
  const rules = matchRules("extractUrls", pattern, { start: /h/i, end, keep, maxChars }, {
    take: urlLength,
    toPart: ([found], index, length, origin) => urlPart(found.slice(0, length), index, origin, as),
  });
  return perTextRun("extractUrls", () => matchReader(rules));
}

function urlPart(url: string, index: number, origin: TextPart, as: "json" | "uri"): Part {
  if (as === "json") return jsonLike(origin, "url", { url, index });
  const { role, substream, metadata } = origin;
  return derive(uri(url, unknownMimeType), { role, substream, metadata });
}

/** How much of it is the URL, 0 where it is none. One that is cut is none: half a URL leads elsewhere. */
function urlLength(found: string, cut: boolean): number {
  let length = closedBefore(found);
  if (cut && length === found.length) return -1;
  for (;;) {
    const entity = /&[a-z\d]{2,8};$/i.exec(found.slice(Math.max(0, length - 10), length));
    if (entity !== null) length -= entity[0].length;
    else if ("?!.,:;*_~'([".includes(found.charAt(length - 1))) length -= 1;
    else break;
  }
  return URL.canParse(found.slice(0, length)) ? length : 0;
}

/** Where a bracket closes that was not opened, else the end. */
function closedBefore(found: string): number {
  let round = 0;
  let square = 0;
  for (let at = 0; at < found.length; at += 1) {
    const char = found[at];
    if (char === "(") round += 1;
    else if (char === "[") square += 1;
    else if (char === ")") round -= 1;
    else if (char === "]") square -= 1;
    if (round < 0 || square < 0) return at;
  }
  return found.length;
}
