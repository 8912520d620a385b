/**
 * Mime types by the ending of a name, and back.
 *
 * The name decides, never the content. Types: IANA media types registry; where it has none, the type in common use.
 *
 * @module
 */

/** What nobody knows more about. */
export const unknownMimeType = "application/octet-stream";

/** Ending to type. Of several endings with one type, the first is the one a new name gets. */
const types: ReadonlyMap<string, string> = new Map([
  ["txt", "text/plain"],
  ["log", "text/plain"],
  ["md", "text/markdown"],
  ["markdown", "text/markdown"],
  ["html", "text/html"],
  ["htm", "text/html"],
  ["css", "text/css"],
  ["csv", "text/csv"],
  ["tsv", "text/tab-separated-values"],
  ["ics", "text/calendar"],
  ["vcf", "text/vcard"],
  ["rst", "text/x-rst"],
  ["vtt", "text/vtt"],
  ["srt", "text/x-subrip"],
  ["xml", "text/xml"],
  ["yaml", "text/yaml"],
  ["yml", "text/yaml"],
  ["toml", "text/x-toml"],
  ["ini", "text/x-ini"],
  ["diff", "text/x-diff"],
  ["js", "text/javascript"],
  ["mjs", "text/javascript"],
  ["cjs", "text/javascript"],
  ["ts", "text/x-typescript"], // video/mp2t is the registered reading; among documents it is the rarer one
  ["tsx", "text/x-typescript"],
  ["jsx", "text/javascript"],
  ["py", "text/x-python"],
  ["rb", "text/x-ruby"],
  ["go", "text/x-go"],
  ["rs", "text/x-rust"],
  ["java", "text/x-java"],
  ["kt", "text/x-kotlin"],
  ["c", "text/x-c"],
  ["h", "text/x-c"],
  ["cpp", "text/x-c++"],
  ["cs", "text/x-csharp"],
  ["php", "text/x-php"],
  ["sh", "text/x-sh"],
  ["sql", "text/x-sql"],
  ["json", "application/json"],
  ["jsonl", "application/x-ndjson"],
  ["ndjson", "application/x-ndjson"],
  ["pdf", "application/pdf"],
  ["rtf", "application/rtf"],
  ["epub", "application/epub+zip"],
  ["doc", "application/msword"],
  ["docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
  ["xls", "application/vnd.ms-excel"],
  ["xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
  ["ppt", "application/vnd.ms-powerpoint"],
  ["pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"],
  ["odt", "application/vnd.oasis.opendocument.text"],
  ["ods", "application/vnd.oasis.opendocument.spreadsheet"],
  ["eml", "message/rfc822"],
  ["zip", "application/zip"],
  ["gz", "application/gzip"],
  ["tar", "application/x-tar"],
  ["wasm", "application/wasm"],
  ["png", "image/png"],
  ["jpg", "image/jpeg"],
  ["jpeg", "image/jpeg"],
  ["gif", "image/gif"],
  ["webp", "image/webp"],
  ["avif", "image/avif"],
  ["heic", "image/heic"],
  ["bmp", "image/bmp"],
  ["tif", "image/tiff"],
  ["tiff", "image/tiff"],
  ["ico", "image/vnd.microsoft.icon"],
  ["svg", "image/svg+xml"],
  ["wav", "audio/wav"],
  ["mp3", "audio/mpeg"],
  ["m4a", "audio/mp4"],
  ["aac", "audio/aac"],
  ["ogg", "audio/ogg"],
  ["opus", "audio/ogg"],
  ["flac", "audio/flac"],
  ["mp4", "video/mp4"],
  ["m4v", "video/mp4"],
  ["mov", "video/quicktime"],
  ["webm", "video/webm"],
  ["mkv", "video/matroska"],
  ["avi", "video/x-msvideo"],
]);

const endings: ReadonlyMap<string, string> = new Map([...types].reverse().map(([ending, type]) => [type, ending]));

/**
 * The mime type that the ending of a name or path stands for; `application/octet-stream` where it stands for none.
 *
 * @example
 * console.log(mimeTypeOfName("reports/2026/May.PDF")); // application/pdf
 */
export function mimeTypeOfName(name: string): string {
  const base = name.slice(name.lastIndexOf("/") + 1);
  const dot = base.lastIndexOf(".");
  // a leading dot makes a hidden file, not an ending
  return (dot > 0 ? types.get(base.slice(dot + 1).toLowerCase()) : undefined) ?? unknownMimeType;
}

/** The ending, with its dot, that a name for this type gets; empty where there is none. */
export function endingOf(mimeType: string): string {
  const end = mimeType.indexOf(";");
  const ending = endings.get((end < 0 ? mimeType : mimeType.slice(0, end)).trim().toLowerCase());
  return ending === undefined ? "" : `.${ending}`;
}
