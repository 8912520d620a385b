/**
 * Files as a source of parts.
 *
 * @module
 */
import { uri } from "../../core/constructors.ts";
import { invalidOption } from "../../core/errors.ts";
import { mimeTypeOfName } from "../../core/mime-types.ts";
import type { Metadata, Part } from "../../core/part.ts";
import { type Likeness, partsOf, type ReadOptions, readOptions } from "../../kinds/blob-parts.ts";
import type { BlobInfo } from "../../kinds/blob-store.ts";
import { type Glob, glob, type GlobState } from "./glob.ts";
import { opened } from "./open.ts";
import { addressOf, checkPath, Root } from "./paths.ts";
import { walk } from "./walk.ts";

const who = "readFiles";

/** Which files, and as what. */
export interface ReadFilesOptions extends Omit<ReadOptions, "as"> {
  /** The directory; nothing outside it is read. */
  readonly root: string;
  /** Patterns as in `glob.ts`: `"*.md"`, `"docs/**\/*.{txt,pdf}"`. @default all files, but for hidden ones */
  readonly pattern?: string | readonly string[];
  /** Files by name, in this order, instead of a pattern. One that is missing is `not_found`. */
  readonly paths?: readonly string[];
  /** Patterns of files and directories to leave out. */
  readonly exclude?: string | readonly string[];
  /** `"content"`: text and JSON by mime type, else bytes; `"bytes"`: never decoded; `"uri"`: not read at all. @default "content" */
  readonly as?: "content" | "bytes" | "uri";
}

/**
 * Reads the files of a directory tree, one after the other, as they are asked for.
 *
 * Yields: one part a file, in natural order (`2.md` before `10.md`, directories among the files), its mime type by the ending of
 * its name, with `metadata.file` of `{ name, path, size, modifiedMs }`; with `as: "uri"` the address for `load(files({ root }))`.
 * Throws: `too_large` for a file above `maxBytes` unless `chunked`; `bad_response` for text that is not UTF-8 and for broken JSON;
 * `refused` for a path that leads out or is no regular file.
 * Closes: each file after it was read, and on leaving.
 *
 * @example
 * for await (const part of run(splitText({ size: 1_000, by: "headings" }), readFiles({ root: "docs", pattern: "**\/*.md" }))) {
 *   console.log(part.metadata.file, part.metadata.split);
 * }
 */
export function readFiles(options: ReadFilesOptions): AsyncIterable<Part> {
  const { as = "content", paths } = options;
  if (as !== "content" && as !== "bytes" && as !== "uri") throw invalidOption(who, "as", '"content", "bytes" or "uri"', as);
  if (paths !== undefined && options.pattern !== undefined) throw invalidOption(who, "paths", "given without pattern", options.pattern);
  const root = new Root(who, options.root);
  const reading = readOptions(who, { ...options, as: as === "uri" ? "content" : as });
  const wanted = glob(who, "pattern", listOf(options.pattern ?? "**/*"));
  const excluded = glob(who, "exclude", listOf(options.exclude ?? []));
  const named = paths?.map((path) => checkPath(who, path));

  async function* read(path: string): AsyncGenerator<Part> {
    const handle = await root.open(path);
    const all = ({ size }: BlobInfo): { start: number; end: number } => ({ start: 0, end: size });
    const content = await opened(who, handle, { key: path, mimeType: mimeTypeOfName(path) }, all, () => {});
    const named: Likeness = { who, role: "user", substream: "", metadata: metadataOf(path, content.info), namespace: "file" };
    if (as !== "uri") return yield* partsOf(content, named, reading);
    await content.close();
    yield uri(addressOf("", path), content.info.mimeType, named);
  }
  return {
    async *[Symbol.asyncIterator]() {
      if (named !== undefined) for (const path of named) yield* read(path);
      else {
        for await (const found of walk(who, root, wayOf(wanted, excluded))) {
          // a file that is only named need not be readable
          if (as === "uri") yield uri(addressOf("", found.path), mimeTypeOfName(found.path), { metadata: metadataOf(found.path, found) });
          else yield* read(found.path);
        }
      }
    },
  };
}

function metadataOf(path: string, { size, modifiedMs }: Pick<BlobInfo, "size" | "modifiedMs">): Metadata {
  return { file: { name: path.slice(path.lastIndexOf("/") + 1), path, size, modifiedMs } };
}

function wayOf(wanted: Glob, excluded: Glob): Parameters<typeof walk<readonly [GlobState, GlobState]>>[2] {
  return {
    start: [wanted.start, excluded.start],
    enter([into, out], name) {
      const next = [wanted.step(into, name), excluded.step(out, name)] as const;
      return next[0].length === 0 || excluded.accepts(next[1]) ? undefined : next;
    },
    take: ([into, out], name) => wanted.accepts(wanted.step(into, name)) && !excluded.accepts(excluded.step(out, name)),
    sorted: true,
  };
}

function listOf(patterns: string | readonly string[]): readonly string[] {
  return typeof patterns === "string" ? [patterns] : patterns;
}
