/**
 * PDFs as the text of their pages, or as images where a page has none.
 *
 * Kind: analyser, part by part. Client: `unpdf` 1 (optional peer, loaded at first use), which is PDF.js in this thread.
 * Source: https://github.com/unjs/unpdf, https://mozilla.github.io/pdf.js/api
 *
 * @module
 */
import { image, text } from "../../core/constructors.ts";
import { MillraceError, wholeNumber } from "../../core/errors.ts";
import { isPdf } from "../../core/guards.ts";
import type { BytesPart, Part, PartOptions } from "../../core/part.ts";
import type { Context, Processor } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
import { drawnImages } from "./images.ts";
import { loadModule, openDocument, type PdfDocument, type PdfModule, type PdfPage } from "./open.ts";
import { encodePng } from "./png.ts";

const service = "pdf";

/** How PDFs are read. */
export interface PdfOptions {
  /** Pages of a document at most. @default 2000 */
  readonly maxPages?: number;
  /** Pixels of an image at most. @default 50 million */
  readonly maxPixels?: number;
}

/**
 * Takes PDFs apart into pages.
 *
 * Reads:  PDFs in memory; the others pass by.
 * Yields: one text part a page, role user; for a page without text its images as PNGs, for a stage that reads them to follow;
 *         for an empty page an empty text. All have substream and metadata of the PDF and `metadata.pdf` of `{ page, pages }`,
 *         from 1. Pages come as they are asked for. Images on pages with text are left out.
 * Throws: `invalid_input` for what is no PDF, is broken or encrypted, and for a scanned page whose image cannot be decoded;
 *         `too_large` for more pages than `maxPages`; `missing_config` where the package is not installed.
 * Closes: the document, at its end and when it is left.
 *
 * @example
 * import { readFile } from "node:fs/promises";
 *
 * const contract = bytes(await readFile("contract.pdf"), "application/pdf");
 * for await (const part of run(pdf(), contract)) console.log(part.metadata.pdf); // { page: 1, pages: 2 }  { page: 2, pages: 2 }
 */
export function pdf(options: PdfOptions = {}): Processor {
  const maxPages = wholeNumber(service, "maxPages", options.maxPages ?? 2_000, 1);
  const maxPixels = wholeNumber(service, "maxPixels", options.maxPixels ?? 50_000_000, 1);

  async function* pagesOf(part: BytesPart, { signal }: Context): AsyncGenerator<Part> {
    const module = await heard(loadModule(), signal);
    const document = await opened(module, part.bytes, signal, false);
    try {
      const pages = document.numPages;
      if (pages > maxPages) throw new MillraceError("too_large", `${service}: a document of ${pages} pages, maxPages is ${maxPages}`, { service });
      for (let number = 1; number <= pages; number += 1) {
        const like: PartOptions = { role: "user", substream: part.substream, metadata: { ...part.metadata, pdf: { page: number, pages } } };
        const page = await heard(document.getPage(number), signal);
        const content = await heard(textOf(page), signal);
        if (content !== "") yield text(content, like);
        else yield* scanOf(module, part.bytes, page, number, like, signal);
        page.cleanup();
      }
    } catch (error) {
      if (signal.aborted || error instanceof MillraceError) throw error;
      throw new MillraceError("invalid_input", `${service}: a broken document: ${error instanceof Error ? error.message : String(error)}`, { service, cause: error });
    } finally {
      await document.loadingTask.destroy();
    }
  }

  async function* scanOf(module: PdfModule, bytes: Uint8Array, page: PdfPage, number: number, like: PartOptions, signal: AbortSignal): AsyncGenerator<Part> {
    const { OPS } = await module.getResolvedPDFJS();
    const { images, operators } = await heard(drawnImages(page, OPS, number), signal);
    for (const pixels of images) yield image(await encodePng(pixels), "image/png", like);
    if (images.length > 0) return;
    if (await skipsAny(module, bytes, number, operators, signal)) {
      throw new MillraceError("invalid_input", `${service}: page ${number} has nothing but what is broken, or has more than ${maxPixels} pixels`, { service });
    }
    yield text("", like);
  }

  /** PDF.js leaves out what it cannot draw and says so to the console alone; told to stop there, it ends with fewer operators. */
  async function skipsAny(module: PdfModule, bytes: Uint8Array, number: number, operators: number, signal: AbortSignal): Promise<boolean> {
    const strict = await opened(module, bytes, signal, true);
    try {
      const page = await heard(strict.getPage(number), signal);
      return (await heard(page.getOperatorList(), signal)).fnArray.length < operators;
    } finally {
      await strict.loadingTask.destroy();
    }
  }

  /** A document that opens after the abort is closed all the same. */
  async function opened(module: PdfModule, bytes: Uint8Array, signal: AbortSignal, strict: boolean): Promise<PdfDocument> {
    signal.throwIfAborted();
    const opening = openDocument(module, bytes, { maxPixels, strict });
    try {
      return await heard(opening, signal);
    } catch (error) {
      if (signal.aborted) void opening.then((document) => document.loadingTask.destroy()).catch(() => {});
      throw error;
    }
  }

  return each((part, context) => (isDocument(part) ? pagesOf(part, context) : part), { match: isDocument, name: service });
}

function isDocument(part: Part): part is BytesPart {
  return part.kind === "bytes" && isPdf(part);
}

async function textOf(page: PdfPage): Promise<string> {
  const { items } = await page.getTextContent();
  return items.map(({ str = "", hasEOL = false }) => (hasEOL ? `${str}\n` : str)).join("").trim();
}

/** PDF.js hears no signal: what was asked goes on, but nobody waits for it. */
async function heard<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort: () => void = () => {};
  try {
    return await new Promise<T>((resolve, reject) => {
      abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      work.then(resolve, reject);
    });
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
