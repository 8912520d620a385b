/**
 * From the address of a file to its chunks.
 *
 * @module
 */
import { each, filter, isPdf, isText, load, MillraceError, type Part, pipe, type Processor, route, run, splitText, tap } from "millrace";
import { files } from "millrace/adapters/files";
import { pdf } from "millrace/adapters/pdf";
import { csvRows } from "./csv.ts";

/** What reading needs. */
export interface Reading {
  readonly root: string;
  /** Text of images. */
  readonly ocr: Processor;
  /** Files at a time. */
  readonly concurrency: number;
  /** Hears of each file that was read, of its pages and its chunks. */
  readonly count: (stage: Stage) => void;
}

/** What is counted on the way. */
export type Stage = "files" | "pages" | "chunks" | "stored";

/** Characters of a chunk: a few sentences, so that what is found is about one thing. */
const size = 600;

/** Reads one file after the other into chunks: all of a file, or its error. */
export function readDocuments({ root, ocr, concurrency, count }: Reading): Processor {
  const sentences = splitText({ size, by: "sentences" });
  const pages = tap(() => count("pages"));
  const read = pipe(
    load(files({ root })),
    route(typeOf, {
      routes: {
        image: pipe(ocr, pages, sentences),
        pdf: pipe(pdf(), ocr, pages, sentences),
        markdown: pipe(pages, splitText({ size, by: "headings" })),
        table: pipe(pages, csvRows),
        text: pipe(pages, sentences),
      },
    }),
    filter(hasWords),
    tap(() => count("chunks")),
  );
  return each(
    async (file, { signal }) => {
      const chunks = await run(read, file, { signal }).collect();
      if (chunks.length === 0) throw new MillraceError("invalid_input", "no text in it");
      count("files");
      return chunks;
    },
    { concurrency, name: "read" },
  );
}

function hasWords(part: Part): boolean {
  return isText(part) && part.text.trim() !== "";
}

function typeOf(part: Part): string {
  if (part.mimeType.startsWith("image/")) return "image";
  if (isPdf(part)) return "pdf";
  if (part.mimeType === "text/markdown") return "markdown";
  if (part.mimeType === "text/csv") return "table";
  if (isText(part)) return "text";
  throw new MillraceError("no_route", `nothing here reads ${part.mimeType}`);
}
