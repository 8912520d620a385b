import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync, inflateSync } from "node:zlib";
import { describe, expect, it, test, vi } from "vitest";
import { pdf } from "../../src/adapters/pdf/index.ts";
import { encodePng } from "../../src/adapters/pdf/png.ts";
import { tesseract } from "../../src/adapters/tesseract/index.ts";
import { bytes, json, text, uri } from "../../src/core/constructors.ts";
import { isMillraceError, type MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { isolate } from "../../src/streams/isolate.ts";
import { pipe } from "../../src/streams/pipe.ts";
import { analyserContract } from "../../src/testing/contracts/analyser.ts";
import { imageSize } from "../../src/wire/image-size.ts";

vi.setConfig({ testTimeout: 120_000 }); // a page takes a second of a processor, which may be busy with other things

const inbox = join(import.meta.dirname, "../../samples/intake/inbox");
const handbook = new Uint8Array(readFileSync(join(inbox, "staff-handbook.pdf")));
const policy = new Uint8Array(readFileSync(join(inbox, "insurance-policy.pdf")));
const document = (content: Uint8Array): Part => bytes(content, "application/pdf", { substream: "in", metadata: { file: { name: "a.pdf" } } });

async function failure(call: () => unknown): Promise<MillraceError> {
  try {
    await call();
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it went well");
}

/** A page of this content, with these streams as its objects X1, X2, … */
function onePage(content: string, objects: readonly (readonly [dictionary: string, stream: Uint8Array])[] = [], trailer = ""): Uint8Array {
  const xobjects = objects.map((_, i) => `/X${i + 1} ${i + 5} 0 R`).join(" ");
  const items: (readonly [string, Uint8Array?])[] = [
    ["/Type /Catalog /Pages 2 0 R"],
    ["/Type /Pages /Count 1 /Kids [3 0 R]"],
    [`/Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] /Contents 4 0 R /Resources << /XObject << ${xobjects} >> >>`],
    ["", Buffer.from(content, "latin1")],
    ...objects,
  ];
  let file = "%PDF-1.4\n";
  const offsets = items.map(([dictionary, stream], i) => {
    const at = file.length;
    const body = stream === undefined ? "" : `\nstream\n${Buffer.from(stream).toString("latin1")}\nendstream`;
    file += `${i + 1} 0 obj\n<< ${dictionary}${stream === undefined ? "" : ` /Length ${stream.length}`} >>${body}\nendobj\n`;
    return `${String(at).padStart(10, "0")} 00000 n \n`;
  });
  file += `xref\n0 ${items.length + 1}\n0000000000 65535 f \n${offsets.join("")}trailer\n<< /Size ${items.length + 1} /Root 1 0 R ${trailer} >>\nstartxref\n${file.length}\n%%EOF\n`;
  return Buffer.from(file, "latin1");
}

/** The rows of a PNG as the encoder writes it: filter 2 undone, of one byte a pixel or packed bits. */
function rowsOf(png: Uint8Array, stride: number): number[][] {
  const length = new DataView(png.buffer, png.byteOffset).getUint32(33);
  const raw = inflateSync(png.subarray(41, 41 + length));
  const rows: number[][] = [];
  for (let at = 0; at < raw.length; at += stride + 1) {
    expect(raw[at]).toBe(2);
    const above = rows.at(-1) ?? [];
    rows.push(Array.from(raw.subarray(at + 1, at + 1 + stride), (byte, i) => (byte + (above[i] ?? 0)) & 255));
  }
  return rows;
}

const image = (rest: string): string => `/Type /XObject /Subtype /Image ${rest}`;

const drawn = onePage("BT /F1 12 Tf 10 10 Td (words) Tj ET");
analyserContract({ describe, it }, {
  name: "pdf",
  service: "pdf",
  open: () => pdf(),
  sample: (options) => bytes(drawn, "application/pdf", options),
  unreadable: (options) => bytes(drawn.subarray(0, 20), "application/pdf", options),
  takes: (part) => part.kind === "bytes" && part.mimeType === "application/pdf",
  gives: "text",
  lacks: { close: "it holds nothing between documents" },
});

describe("pdf: pages of text", () => {
  test("each page is a text with its number, role, substream and metadata; other parts pass by", async () => {
    const others = [text("words"), uri("https://example.com/a.pdf", "application/pdf"), json({ a: 1 }), bytes(Uint8Array.of(1), "image/png")];
    const parts = await run(pdf(), [others[0] as Part, document(handbook), ...others.slice(1)]).collect();
    expect([parts[0], ...parts.slice(-3)]).toEqual(others);
    const pages = parts.slice(1, -3);
    expect(pages.map((part) => [part.kind, part.role, part.substream, part.metadata])).toEqual(
      [1, 2, 3].map((page) => ["text", "user", "in", { file: { name: "a.pdf" }, pdf: { page, pages: 3 } }]),
    );
    expect(pages.map((part) => (part.kind === "text" ? part.text.split("\n")[0] : ""))).toEqual([
      "Staff handbook: working time",
      "Staff handbook: holidays and illness",
      "Staff handbook: safety and expenses",
    ]);
  });

  test("the bytes of the part are still there afterwards", async () => {
    const part = document(handbook.slice());
    const size = part.kind === "bytes" ? part.bytes.length : 0;
    await run(pdf(), part).collect();
    expect(part.kind === "bytes" ? part.bytes.length : 0).toBe(size);
    expect(await run(pdf(), part).collect()).toHaveLength(3);
  });

  test("an empty page gives an empty text", async () => {
    const parts = await run(pdf(), document(onePage("0 0 m"))).collect();
    expect(parts).toMatchObject([{ kind: "text", text: "", metadata: { pdf: { page: 1, pages: 1 } } }]);
  });
});

describe("pdf: scanned pages", () => {
  test("a page without text gives its image as a PNG, and a reader of images can follow", async () => {
    const scans = await run(pdf(), document(policy)).collect();
    expect(scans.map((part) => [part.kind, part.mimeType, part.metadata["pdf"]])).toEqual([
      ["bytes", "image/png", { page: 1, pages: 2 }],
      ["bytes", "image/png", { page: 2, pages: 2 }],
    ]);
    expect(scans.map((part) => part.kind === "bytes" && imageSize(part.bytes))).toEqual(Array(2).fill({ width: 1240, height: 1754 }));
    await using ocr = tesseract({ workers: 1 });
    const read = await run(pipe(pdf(), ocr), document(policy)).collect();
    expect(read.map((part) => (part.kind === "text" ? part.text : ""))).toEqual([expect.stringContaining("Policy number: AM-77-20418"), expect.stringContaining("within 14 days")]);
    expect(read.map((part) => part.metadata["pdf"])).toEqual(scans.map((part) => part.metadata["pdf"]));
  });

  test("grey, coloured, black-and-white, inline images and stencils keep their pixels", async () => {
    const grey = Uint8Array.of(0, 128, 255, 10, 20, 30);
    const bits = Uint8Array.of(0b1010_0000, 0b0100_0000); // rows of whole bytes
    const draw = (name: string): string => `q 10 0 0 10 0 0 cm /${name} Do Q\n`;
    const inline = "q 10 0 0 10 0 0 cm BI /W 3 /H 2 /BPC 8 /CS /G /F /AHx ID 00 80 ff 0a 14 1e > EI Q\n";
    const file = onePage(draw("X1") + draw("X2") + draw("X3") + draw("X4") + inline + draw("X1"), [
      [image("/Width 3 /Height 2 /BitsPerComponent 8 /ColorSpace /DeviceGray"), grey],
      [image("/Width 1 /Height 2 /BitsPerComponent 8 /ColorSpace /DeviceRGB /Filter /FlateDecode"), deflateSync(Uint8Array.of(255, 0, 0, 0, 0, 255))],
      [image("/Width 3 /Height 2 /BitsPerComponent 1 /ColorSpace /DeviceGray"), bits],
      [image("/Width 3 /Height 2 /BitsPerComponent 1 /ImageMask true"), bits],
    ]);
    const parts = await run(pdf(), document(file)).collect();
    expect(parts, "an image drawn twice comes once").toHaveLength(5);
    const [first, second, third, fourth, fifth] = parts.map((part) => (part.kind === "bytes" ? part.bytes : new Uint8Array()));
    const greyAsRgb = [[0, 0, 0, 128, 128, 128, 255, 255, 255], [10, 10, 10, 20, 20, 20, 30, 30, 30]];
    expect(rowsOf(first as Uint8Array, 9)).toEqual(greyAsRgb);
    expect(rowsOf(second as Uint8Array, 3)).toEqual([[255, 0, 0], [0, 0, 255]]);
    const firstBits = (png: Uint8Array): number[] => rowsOf(png, 1).map(([byte = 0]) => byte >> 5);
    expect(firstBits(third as Uint8Array)).toEqual([0b101, 0b010]);
    expect(firstBits(fourth as Uint8Array)).toEqual([0b101, 0b010]);
    const withAlpha = greyAsRgb.map((row) => row.flatMap((value, i) => (i % 3 === 2 ? [value, 255] : [value])));
    expect(rowsOf(fifth as Uint8Array, 12)).toEqual(withAlpha);
  });

  test("a PNG of raw pixels has the size, the depth and the check sums it should", async () => {
    const png = await encodePng({ width: 2, height: 2, channels: 4, data: Uint8Array.from({ length: 16 }, (_, i) => i * 16) });
    expect(imageSize(png)).toEqual({ width: 2, height: 2 });
    expect([png[24], png[25]]).toEqual([8, 6]);
    // the engine's own decoder refuses a wrong check sum
    const wide = await encodePng({ width: 64, height: 64, channels: 3, data: new Uint8Array(64 * 64 * 3).fill(255) });
    await using ocr = tesseract({ workers: 1 });
    expect(await run(ocr, bytes(wide, "image/png")).text()).toBe("");
    wide[wide.length - 20] = (wide[wide.length - 20] ?? 0) ^ 1;
    expect((await failure(() => run(ocr, bytes(wide, "image/png")).collect())).code).toBe("invalid_input");
  });
});

describe("pdf: what it refuses", () => {
  test("broken, cut, empty and encrypted documents are invalid_input, and the next one is read", async () => {
    const encrypted = onePage("0 0 m", [], `/Encrypt << /Filter /Standard /V 1 /R 2 /O (${"o".repeat(32)}) /U (${"u".repeat(32)}) /P -44 >> /ID [(abcdefghijklmnop) (abcdefghijklmnop)]`);
    const refused: Readonly<Record<string, [Uint8Array, RegExp]>> = {
      rubbish: [readFileSync(join(inbox, "plan.cadx")), /cannot read 512 bytes as a PDF/],
      cut: [policy.slice(0, 100_000), /cannot read 100000 bytes/],
      empty: [new Uint8Array(), /cannot read 0 bytes/],
      encrypted: [encrypted, /encrypted/],
    };
    for (const [what, [content, message]] of Object.entries(refused)) {
      const error = await failure(() => run(pdf(), document(content)).collect());
      expect([what, error.code, error.scope]).toEqual([what, "invalid_input", "part"]);
      expect(error.message).toMatch(message);
    }
    const parts = await run(isolate(pdf(), { onError: "part" }), [document(refused["cut"]?.[0] ?? policy), document(handbook)]).collect();
    expect(parts.map((part) => part.kind)).toEqual(["error", "text", "text", "text"]);
  });

  test("a scanned page whose only image is too large, or cannot be decoded, is an error and no empty page", async () => {
    const large = await failure(() => run(pdf({ maxPixels: 1_000 }), document(policy)).collect());
    expect([large.code, large.message]).toEqual(["invalid_input", expect.stringMatching(/page 1 .*1000 pixels/)]);
    const jpx = onePage("q 10 0 0 10 0 0 cm /X1 Do Q", [[image("/Width 3 /Height 2 /BitsPerComponent 8 /ColorSpace /DeviceGray /Filter /JPXDecode"), Uint8Array.of(1, 2, 3)]]);
    expect((await failure(() => run(pdf(), document(jpx)).collect())).code).toBe("invalid_input");
  });

  test("more pages than maxPages are too_large before the first page is read", async () => {
    expect((await failure(() => run(pdf({ maxPages: 2 }), document(handbook)).collect())).code).toBe("too_large");
  });

  test("options that cannot be are refused at once", () => {
    for (const options of [{ maxPages: 0 }, { maxPixels: Number.NaN }]) expect(() => pdf(options)).toThrow(/max(Pages|Pixels) must be a whole number/);
  });
});

describe("pdf: leaving", () => {
  test("pages come one at a time: after the first the reader may leave, and nothing is left over", async () => {
    const numbers: unknown[] = [];
    for await (const part of run(pdf(), [document(handbook), document(policy)])) {
      numbers.push(part.metadata["pdf"]);
      break;
    }
    expect(numbers).toEqual([{ page: 1, pages: 3 }]);
  });

  test("an abort between pages rejects with the reason", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const _ of run(pdf(), document(handbook), { signal: controller.signal })) controller.abort(reason);
    };
    await expect(reading()).rejects.toBe(reason);
  });
});
