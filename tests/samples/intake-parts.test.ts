import { isText, run, text } from "millrace";
import { openai } from "millrace/adapters/openai";
import { describe, expect, test } from "vitest";
import { csvRows } from "../../samples/intake/csv.ts";
import { progress } from "../../samples/intake/progress.ts";
import { readAnswer } from "../../samples/intake/reader.ts";
import { readerModel, readerServer } from "../../samples/intake/reader-server.ts";

const prompt = (question: string): string =>
  ["[1] a.txt", "The lamp is red. It hangs in the hall of the ferry.", "", "[2] prices.txt, page 2", "Lamp, red: 40.00", "Lamp, blue: 38.50", "", `Question: ${question}`].join("\n");

describe("the extractive reader", () => {
  test("quotes the sentence or the line that shares most with the question, and says where it is", () => {
    expect(readAnswer(prompt("In which hall does the lamp hang?"))).toEqual([{ passage: 1, sentence: "It hangs in the hall of the ferry." }]);
    expect(readAnswer(prompt("What does the blue lamp cost?"))).toEqual([{ passage: 2, sentence: "Lamp, blue: 38.50" }]);
  });

  test("says nothing where nothing fits, and where there are no passages", () => {
    expect(readAnswer(prompt("Which planets have rings?"))).toEqual([]);
    expect(readAnswer("Question: Why?")).toEqual([]);
  });

  test("answers over HTTP, through the adapter, a word at a time", async () => {
    await using server = await readerServer();
    await using model = openai({ model: readerModel, baseUrl: server.baseUrl, apiKey: "none", reasoning: false });
    const parts = await run(model, prompt("In which hall does the lamp hang?")).collect();
    expect(parts.filter(isText).map((part) => part.text)).toEqual(["It ", "hangs ", "in ", "the ", "hall ", "of ", "the ", "ferry. ", "[1]"]);
    expect(parts.at(-1)).toMatchObject({ kind: "finish", reason: "stop", model: readerModel, usage: { outputTokens: 9 } });
    expect(await run(model, prompt("Which planets have rings?")).text()).toBe("The documents do not say.");
    await expect(run(model, "hello").text()).rejects.toMatchObject({ code: "invalid_input" });
  });
});

describe("progress", () => {
  interface Screen {
    readonly isTTY: boolean;
    readonly columns: number;
    written: string;
    write(text: string): void;
  }
  const output = (isTTY: boolean, columns = 80): Screen => ({
    isTTY,
    columns,
    written: "",
    write(text) {
      this.written += text;
    },
  });

  test("is plain lines where there is no terminal: few, the last one complete, none twice", () => {
    const out = output(false);
    let nowMs = 0;
    const bars = progress(["files", "pages"], out, () => nowMs);
    bars.total("files", 3);
    for (let i = 0; i < 3; i += 1) {
      nowMs += 1_000;
      bars.count("files");
      bars.count("pages");
    }
    bars.close();
    bars.close();
    bars.count("files");
    expect(out.written).toBe("files 0/3, pages 0\nfiles 2/3, pages 1\nfiles 3/3, pages 3\n");
  });

  test("is bars on a terminal, each drawn over the last and within the width", () => {
    const out = output(true, 30);
    let nowMs = 0;
    const bars = progress(["files", "pages"], out, () => nowMs);
    bars.total("files", 2);
    nowMs += 100;
    bars.count("files");
    bars.close();
    const frames = out.written.split("\u001b[2A");
    expect(frames).toHaveLength(2);
    expect(frames[1]).toContain(`files  ${"█".repeat(12)}`);
    for (const line of out.written.replaceAll(/\u001b\[\d*[AK]/g, "").split("\n")) expect(line.length).toBeLessThan(30);
  });

  test("counts of a stage without a total have no bar, and a width of 0 is none", () => {
    const out = output(true, 0);
    const bars = progress(["pages"], out);
    bars.count("pages");
    bars.close();
    expect(out.written).toMatch(/pages {2} +1\n$/);
  });
});

describe("rows of a table", () => {
  const rows = async (csv: string): Promise<unknown[]> => (await run(csvRows, text(csv, { mimeType: "text/csv", metadata: { file: { path: "a.csv" } } })).collect()).map((part) => [isText(part) && part.text, part.metadata["row"], part.metadata["file"]]);

  test("are texts that name their columns, quoted values and line ends among them", async () => {
    expect(await rows('\ufeffid,unit_price,note\r\n1,2.50,"a, ""b""\nc"\r\n\r\n2,,x\r\n')).toEqual([
      ['id: 1; unit price: 2.50; note: a, "b"\nc', 1, { path: "a.csv" }],
      ["id: 2; note: x", 2, { path: "a.csv" }],
    ]);
    expect(await rows("id,name\n")).toEqual([]);
  });

  test("of different lengths, or with an open quote, are no table", async () => {
    await expect(rows("a,b\n1,2,3\n")).rejects.toMatchObject({ code: "invalid_input", scope: "part" });
    await expect(rows('a,b\n1,"2\n')).rejects.toMatchObject({ code: "invalid_input" });
  });
});
