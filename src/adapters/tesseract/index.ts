/**
 * Text of images, by Tesseract as WebAssembly, in threads of this process.
 *
 * Kind: analyser, part by part. Client: `tesseract.js` 7 (optional peer, loaded at first use), with the language data of
 * `@tesseract.js-data/<language>`. Nothing is ever fetched: a folder that is missing is an error, not a download.
 * Source: https://github.com/naptha/tesseract.js/blob/master/docs/api.md
 *
 * @module
 */
import { text } from "../../core/constructors.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
import { checkPixels } from "../../wire/image-size.ts";
import { findData } from "./data.ts";
import { Pool } from "./pool.ts";
import { openWorker } from "./worker.ts";

const service = "tesseract";

/** How a page is laid out, as `tessedit_pageseg_mode`. */
const layouts = { auto: "3", column: "4", block: "6", sparse: "11" } as const;

/** How images are read. */
export interface TesseractOptions {
  /** Threads, and so images at a time: each takes one processor and about 100 MB. @default as many as processors, 4 at most */
  readonly workers?: number;
  /** Languages by their ISO 639-2 codes, as Tesseract has them. @default "eng" */
  readonly languages?: string | readonly string[];
  /** The folder of `<language>.traineddata`, gzipped or not. @default that of the package `@tesseract.js-data/<language>` */
  readonly langPath?: string;
  /**
   * `"column"`: one column of lines of any size, tables and forms read row by row; `"auto"`: finds columns and reads one after
   * the other; `"block"`: one block of even text; `"sparse"`: as much text as there is, in no order. @default "column"
   */
  readonly layout?: keyof typeof layouts;
  /** Pixels of an image at most, read from its header before anything is decoded. @default 50 million */
  readonly maxPixels?: number;
}

/** A processor that holds threads until it is closed. */
export interface Tesseract extends AsyncDisposable {
  (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part>;
  close(): Promise<void>;
}

/**
 * Reads the text of images.
 *
 * Reads:  images in memory, but for SVG; the others pass by.
 * Yields: one text part an image in its place, role user, with its substream and metadata and `metadata.tesseract` of
 *         `{ confidence }`, 0 to 100. An image without text gives an empty one.
 * Throws: `invalid_input` for bytes that are no image the engine knows, and for bad options; `too_large` for more pixels than
 *         `maxPixels`; `missing_config` where package or data are not installed; `closed` after `close()`.
 * Closes: its threads, in `close()`; an aborted run ends the thread that was at work.
 *
 * @example
 * import { readFile } from "node:fs/promises";
 *
 * await using ocr = tesseract({ workers: 2 });
 * for await (const part of run(ocr, image(await readFile("scan.png")))) console.log(part.kind, part.metadata.tesseract); // text { confidence: … }
 */
export function tesseract(options: TesseractOptions = {}): Tesseract {
  const workers = wholeNumber(service, "workers", options.workers ?? Math.min(4, processors()), 1, 64);
  const maxPixels = wholeNumber(service, "maxPixels", options.maxPixels ?? 50_000_000, 1);
  const { langPath, layout = "column" } = options;
  const languages = languagesOf(options.languages ?? "eng");
  if (!Object.hasOwn(layouts, layout)) throw invalidOption(service, "layout", Object.keys(layouts).join(", "), layout);
  // tesseract.js would fetch from an address
  if (langPath !== undefined && (typeof langPath !== "string" || /^[\w.+-]{2,}:/.test(langPath))) throw invalidOption(service, "langPath", "the path of a folder", langPath);
  if (langPath === undefined && languages.length > 1) throw invalidOption(service, "langPath", "given with several languages", langPath);

  const pool = new Pool(workers, async () => {
    const data = await findData(languages, langPath);
    return openWorker(data.module, { languages: languages.join("+"), ...data, segmentation: layouts[layout] });
  });

  async function read(part: BytesPart, { signal }: Context): Promise<Part> {
    checkPixels(service, part.bytes, maxPixels);
    const page = part.bytes.length === 0 ? { why: "there are none" } : await pool.read(part.bytes, signal);
    if ("why" in page) {
      throw new MillraceError("invalid_input", `${service}: cannot read ${part.bytes.length} bytes as ${part.mimeType}: ${page.why.slice(0, 200)}`, { service });
    }
    const metadata = { ...part.metadata, tesseract: { confidence: page.confidence } };
    return text(page.text.trim(), { role: "user", substream: part.substream, metadata });
  }

  const processor = each((part, context) => (isScan(part) ? read(part, context) : part), { match: isScan, concurrency: workers, name: service });
  const close = (): Promise<void> => pool.close();
  return Object.assign(processor, { close, [Symbol.asyncDispose]: close });
}

/** An image in memory. SVG is markup, not pixels. */
function isScan(part: Part): part is BytesPart {
  if (part.kind !== "bytes") return false;
  const type = essence(part.mimeType);
  return type.startsWith("image/") && type !== "image/svg+xml";
}

function languagesOf(given: unknown): readonly string[] {
  const list: readonly unknown[] = typeof given === "string" ? [given] : Array.isArray(given) ? given : [];
  // they become names of files
  const codes = list.filter((code): code is string => typeof code === "string" && /^[A-Za-z0-9_]{1,32}$/.test(code));
  if (codes.length === 0 || codes.length < list.length) throw invalidOption(service, "languages", "a code like eng, or a list of them", given);
  return codes;
}

function processors(): number {
  const { navigator } = globalThis as { readonly navigator?: { readonly hardwareConcurrency?: number } };
  return Math.max(1, navigator?.hardwareConcurrency ?? 1);
}
