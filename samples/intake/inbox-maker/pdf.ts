/**
 * Writes the two PDFs: one of text, one of scanned pages. PDF 1.4 (ISO 32000-1), nothing but what they need.
 *
 * @module
 */
import { deflateSync } from "node:zlib";
import type { Page } from "./draw.ts";

/** A4 in points. */
const paper = { width: 595, height: 842 };

/** An object of the file: a dictionary, and bytes if it is a stream. */
interface Item {
  readonly dictionary: string;
  readonly stream?: Uint8Array;
}

/** Pages of text: a heading and paragraphs, set in the reader's own Times. */
export function textPdf(pages: readonly (readonly [heading: string, ...paragraphs: string[]])[]): Uint8Array {
  const fonts = "/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >> /F2 << /Type /Font /Subtype /Type1 /BaseFont /Times-Bold >> >>";
  return pdf(
    pages.map(([heading, ...paragraphs]) => ({
      resources: fonts,
      content: ["BT", "72 760 Td", "16 TL", "/F2 15 Tf", show(heading), "T*", "/F1 12 Tf", ...paragraphs.flatMap((it) => [...wrap(it, 80).map(show), "T*"]), "ET"].join("\n"),
      items: [],
    })),
  );
}

/** Scanned pages: one image each, the first of them a JPEG, the others packed grey pixels. */
export async function scannedPdf(pages: readonly Page[]): Promise<Uint8Array> {
  const made = await Promise.all(
    pages.map(async (page, i): Promise<Sheet> => {
      const about = `/Type /XObject /Subtype /Image /Width ${page.width} /Height ${page.height} /BitsPerComponent 8`;
      const image: Item =
        i === 0
          ? { dictionary: `${about} /ColorSpace /DeviceRGB /Filter /DCTDecode`, stream: await page.jpeg(45) }
          : { dictionary: `${about} /ColorSpace /DeviceGray /Filter /FlateDecode`, stream: deflateSync(page.grey, { level: 9 }) };
      return {
        resources: "/XObject << /Scan {0} >>",
        content: `q ${paper.width} 0 0 ${paper.height} 0 0 cm /Scan Do Q`,
        items: [image],
      };
    }),
  );
  return pdf(made);
}

/** A page to write; `{0}` in its resources is the first of its items. */
interface Sheet {
  readonly resources: string;
  readonly content: string;
  readonly items: readonly Item[];
}

function pdf(sheets: readonly Sheet[]): Uint8Array {
  const items: Item[] = [{ dictionary: "/Type /Catalog /Pages 2 0 R" }, { dictionary: "" }];
  const kids: string[] = [];
  for (const { resources, content, items: own } of sheets) {
    const first = items.length + 1;
    const named = resources.replace(/\{(\d+)\}/g, (_, i: string) => `${first + 2 + Number(i)} 0 R`);
    kids.push(`${first} 0 R`);
    items.push({ dictionary: `/Type /Page /Parent 2 0 R /MediaBox [0 0 ${paper.width} ${paper.height}] /Contents ${first + 1} 0 R /Resources << ${named} >>` });
    items.push({ dictionary: "", stream: Buffer.from(content, "latin1") }, ...own);
  }
  items[1] = { dictionary: `/Type /Pages /Count ${kids.length} /Kids [${kids.join(" ")}]` };

  const chunks: Buffer[] = [Buffer.from("%PDF-1.4\n%\u00e2\u00e3\u00cf\u00d3\n", "latin1")];
  const offsets: number[] = [];
  let at = chunks[0]?.length ?? 0;
  const put = (chunk: Buffer): void => {
    chunks.push(chunk);
    at += chunk.length;
  };
  for (const [i, { dictionary, stream }] of items.entries()) {
    offsets.push(at);
    const length = stream === undefined ? "" : ` /Length ${stream.length}`;
    put(Buffer.from(`${i + 1} 0 obj\n<< ${dictionary}${length} >>\n`, "latin1"));
    if (stream !== undefined) put(Buffer.concat([Buffer.from("stream\n"), stream, Buffer.from("\nendstream\n")]));
    put(Buffer.from("endobj\n"));
  }
  const start = at;
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  put(Buffer.from(`xref\n0 ${items.length + 1}\n0000000000 65535 f \n${table}trailer\n<< /Size ${items.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`));
  return Buffer.concat(chunks);
}

function show(text: string): string {
  return `(${text.replace(/[\\()]/g, "\\$&")}) Tj T*`;
}

function wrap(text: string, chars: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > chars) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
