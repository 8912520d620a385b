import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, test, vi } from "vitest";
import { encodePng } from "../../src/adapters/pdf/png.ts";
import { tesseract } from "../../src/adapters/tesseract/index.ts";
import { bytes, image, json, text, uri } from "../../src/core/constructors.ts";
import { isMillraceError, type MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { isolate } from "../../src/streams/isolate.ts";
import { pipe } from "../../src/streams/pipe.ts";
import { analyserContract } from "../../src/testing/contracts/analyser.ts";

vi.setConfig({ testTimeout: 120_000 }); // a page takes a second of a processor, which may be busy with other things

const inbox = join(import.meta.dirname, "../../samples/intake/inbox");
const scan = (name: string): Part => bytes(readFileSync(join(inbox, name)), name.endsWith("png") ? "image/png" : "image/jpeg", { metadata: { file: { name } } });
const blank = async (width: number, height: number): Promise<Part> =>
  image(await encodePng({ width, height, channels: 1, data: new Uint8Array(width * height).fill(255) }));
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);
/** Threads that are open; only Node tells, so elsewhere it is always the same number. */
const threads = (): number => process.getActiveResourcesInfo().filter((name) => name === "MessagePort" || name === "Worker").length;

/** Threads end by themselves, when the machine lets them. */
const patience = { timeout: 20_000 };

const folders: string[] = [];
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "millrace-tesseract-"));
  folders.push(path);
  return path;
}

async function failure(call: () => unknown): Promise<MillraceError> {
  try {
    await call();
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("it went well");
}

const small = await encodePng({ width: 40, height: 20, channels: 1, data: new Uint8Array(800).fill(255) });
analyserContract({ describe, it }, {
  name: "tesseract",
  service: "tesseract",
  open: () => tesseract({ workers: 2 }),
  sample: (options) => image(small, "image/png", options),
  unreadable: (options) => image(small.subarray(0, 40), "image/png", options),
  takes: (part) => part.kind === "bytes" && part.mimeType.startsWith("image/"),
  gives: "text",
  running: threads,
});

describe("tesseract: what it reads", () => {
  test("pages come out as text in their order, with what they carried, and everything else passes by", async () => {
    await using ocr = tesseract({ workers: 2 });
    const others = [text("words"), uri("https://example.com/a.png", "image/png"), json({ a: 1 }), bytes(Uint8Array.of(1), "image/svg+xml"), bytes(Uint8Array.of(1), "audio/wav")];
    const parts = await run(ocr, [scan("invoice-castor-2091.png"), ...others, scan("letter-landlord.jpg"), scan("delivery-note-scan.jpg")]).collect();
    expect(parts.slice(1, -2)).toEqual(others);
    const pages = [parts[0], ...parts.slice(-2)].map((part) => (part?.kind === "text" ? part.text : ""));
    expect(pages[0]).toMatch(/INVOICE No\. 2091[\s\S]*Book linen dark blue, roll 6 42\.00 252\.00[\s\S]*Total due 1,448\.40/);
    expect(pages[1]).toMatch(/monthly rent will rise from 1,450 to 1,520/);
    expect(pages[2]).toMatch(/serial number of the press is 88213/);
    expect(parts[0]).toMatchObject({ role: "user", substream: "", mimeType: "text/plain", metadata: { file: { name: "invoice-castor-2091.png" }, tesseract: { confidence: expect.any(Number) } } });
    const { confidence } = (parts[0]?.metadata["tesseract"] ?? {}) as { confidence?: number };
    expect(confidence).toBeGreaterThan(80);
  });

  test("the fields of a form stay beside their labels", async () => {
    await using ocr = tesseract({ workers: 1 });
    expect(await run(ocr, scan("commission-form.png")).text()).toMatch(/Deadline: 30 May 2026\n+Agreed price: 3,120\.00/);
  });

  test("an image without text gives an empty text, on its own substream", async () => {
    await using ocr = tesseract({ workers: 1 });
    const [part] = await run(ocr, { ...(await blank(200, 100)), substream: "scans" }).collect();
    expect(part).toMatchObject({ kind: "text", text: "", substream: "scans" });
  });
});

describe("tesseract: what it refuses", () => {
  const png = readFileSync(join(inbox, "invoice-castor-2091.png"));
  const jpeg = readFileSync(join(inbox, "letter-landlord.jpg"));
  const broken: Readonly<Record<string, [Uint8Array, string]>> = {
    "a PNG that ends early": [png.subarray(0, 30_000), "image/png"],
    "a PNG with rubbish inside": [readFileSync(join(inbox, "broken.png")), "image/png"],
    "a JPEG that ends early": [jpeg.subarray(0, 40_000), "image/jpeg"],
    "five bytes": [jpeg.subarray(0, 5), "image/jpeg"],
    "no bytes": [new Uint8Array(), "image/png"],
    "a PDF that says it is an image": [readFileSync(join(inbox, "staff-handbook.pdf")), "image/png"],
    "a BMP of nothing but its name": [Uint8Array.from("BMrubbish", (char) => char.charCodeAt(0)), "image/bmp"],
  };

  test("broken images are invalid_input, one by one, with nothing uncaught and nothing printed, and the next page is read", async () => {
    const uncaught = vi.fn();
    const rejected = vi.fn();
    const printed = vi.spyOn(process.stderr, "write");
    process.on("uncaughtException", uncaught).on("unhandledRejection", rejected);
    try {
      await using ocr = tesseract({ workers: 1 });
      for (const [what, [content, mimeType]] of Object.entries(broken)) {
        const error = await failure(() => run(ocr, bytes(content, mimeType)).collect());
        expect([what, error.code, error.scope]).toEqual([what, "invalid_input", "part"]);
        expect(error.message).toContain(`${content.length} bytes as ${mimeType}`);
      }
      const careful = isolate(ocr, { onError: "part" });
      const parts = await run(careful, [bytes(broken["a PNG that ends early"]?.[0] ?? png, "image/png"), scan("delivery-note-scan.jpg")]).collect();
      expect(parts.map((part) => part.kind)).toEqual(["error", "text"]);
      await new Promise((resolve) => setTimeout(resolve, 50)); // an uncaught error comes by the message port, after the rejection
      expect([uncaught.mock.calls, rejected.mock.calls]).toEqual([[], []]);
      // Bun gives no hold on what a thread prints
      if (!("Bun" in globalThis)) expect(printed.mock.calls.map(([line]) => String(line)).filter((line) => /pix|libpng|JPEG/i.test(line))).toEqual([]);
    } finally {
      process.off("uncaughtException", uncaught).off("unhandledRejection", rejected);
      printed.mockRestore();
    }
  });

  test("an image that says it has too many pixels is refused by its header, before any thread is opened", async () => {
    await using ocr = tesseract({ workers: 1 });
    const header = png.slice(0, 64);
    new DataView(header.buffer, header.byteOffset).setUint32(16, 60_000);
    const before = threads();
    const error = await failure(() => run(ocr, image(header)).collect());
    expect([error.code, error.message]).toEqual(["too_large", expect.stringContaining("60000 by 1754")]);
    expect(threads()).toBe(before);
  });

  test("options that cannot be are refused at once, an address for the data among them", () => {
    const refused = (options: object): string => {
      try {
        tesseract(options);
        return "taken";
      } catch (error) {
        return isMillraceError(error, "invalid_input") ? error.message : String(error);
      }
    };
    expect(refused({ workers: 0 })).toContain("workers");
    expect(refused({ maxPixels: 0.5 })).toContain("maxPixels");
    expect(refused({ layout: "spiral" })).toContain("layout");
    expect(refused({ layout: "constructor" })).toContain("layout");
    expect(refused({ languages: "../eng" })).toContain("languages");
    expect(refused({ languages: [] })).toContain("languages");
    expect(refused({ languages: ["eng", "deu"] })).toContain("langPath");
    for (const langPath of ["https://cdn.example/data", "file:///data", "HTTP://x"]) expect(refused({ langPath })).toContain("langPath");
  });
});

describe("tesseract: its data", () => {
  test("data that is not there is missing_config, and nothing is fetched or written", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    try {
      await using other = tesseract({ languages: "xyz" });
      const page = scan("delivery-note-scan.jpg");
      expect(await failure(() => run(other, page).collect())).toMatchObject({ code: "missing_config", message: expect.stringContaining("npm install @tesseract.js-data/xyz") });
      const empty = folder();
      await using elsewhere = tesseract({ langPath: empty });
      expect(await failure(() => run(elsewhere, page).collect())).toMatchObject({ code: "missing_config", message: expect.stringContaining(empty) });
      expect(fetched).not.toHaveBeenCalled();
      expect(readdirSync(empty)).toEqual([]);
    } finally {
      fetched.mockRestore();
    }
  });

  test("a folder of one's own is used, and no copy of the data is left in the working directory", async () => {
    const home = createRequire(import.meta.url).resolve("@tesseract.js-data/eng/package.json");
    const own = folder();
    writeFileSync(join(own, "eng.traineddata.gz"), readFileSync(join(home, "../4.0.0_best_int/eng.traineddata.gz")));
    await using ocr = tesseract({ workers: 1, langPath: own });
    expect(await run(ocr, scan("delivery-note-scan.jpg")).text()).toContain("FERRIS TOOLS");
    expect(readdirSync(own)).toEqual(["eng.traineddata.gz"]);
    expect(readdirSync(process.cwd()).filter((name) => name.endsWith(".traineddata"))).toEqual([]);
  });
});

describe("tesseract: leaving", () => {
  test("an abort in the middle of a page rejects with the reason and ends that thread; the next run reads on", async () => {
    await using ocr = tesseract({ workers: 1 });
    await run(ocr, await blank(100, 100)).collect(); // the thread is open
    const reason = new Error("enough");
    const controller = new AbortController();
    const before = threads();
    const reading = run(ocr, scan("letter-landlord.jpg"), { signal: controller.signal }).collect();
    setTimeout(() => controller.abort(reason), 100); // a page takes over a second
    await expect(reading).rejects.toBe(reason);
    if (isNode) await vi.waitFor(() => expect(threads()).toBeLessThan(before), patience);
    expect(await run(ocr, scan("delivery-note-scan.jpg")).text()).toContain("FERRIS TOOLS");
  });

  test("an abort while the thread is being opened rejects with the reason, and close ends what was opened", async () => {
    const before = threads();
    const ocr = tesseract({ workers: 1 });
    const reason = new Error("enough");
    const controller = new AbortController();
    const reading = run(ocr, scan("letter-landlord.jpg"), { signal: controller.signal }).collect();
    setTimeout(() => controller.abort(reason), 20);
    await expect(reading).rejects.toBe(reason);
    await ocr.close();
    await vi.waitFor(() => expect(threads()).toBe(before), patience);
  });

  test("close during a page rejects with closed, twice is fine, and afterwards it refuses", async () => {
    const before = threads();
    const ocr = tesseract({ workers: 1 });
    await run(ocr, await blank(100, 100)).collect();
    const pages = run(ocr, [scan("letter-landlord.jpg"), scan("letter-landlord.jpg")]);
    const error = failure(() => pages.collect());
    setTimeout(() => void ocr.close(), 100);
    expect((await error).code).toBe("closed");
    await ocr.close();
    expect((await failure(() => run(ocr, scan("letter-landlord.jpg")).collect())).code).toBe("closed");
    await vi.waitFor(() => expect(threads()).toBe(before), patience);
  });

  test("two runs share the threads: no more are opened than workers says", async () => {
    await using ocr = tesseract({ workers: 1 });
    const before = threads();
    const texts = await Promise.all([run(ocr, scan("delivery-note-scan.jpg")).text(), run(pipe(ocr), scan("commission-form.png")).text()]);
    expect(texts.map((it) => it.slice(0, 10))).toEqual(["FERRIS TOO", "COMMISSION"]);
    expect(threads() - before).toBeLessThanOrEqual(2); // one thread is its handle and its port
  });

  test("nothing is opened before the first image", async () => {
    const before = threads();
    await using ocr = tesseract();
    await run(ocr, "no image").collect();
    expect(threads()).toBe(before);
  });
});
