import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, json, type Part, run, status, text } from "../../src/index.ts";
import { lines } from "../../src/streams/lines.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { processorMs } from "./processor-ms.ts";
import { soon, texts, textsOf, turns } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const wrong = (value: unknown): never => value as never;

/** Lines of a whole text, by a regular expression: what the deltas of it must give as well. */
function linesOf(content: string, keepEnds: boolean): string[] {
  const found = content.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? [];
  return keepEnds ? [...found] : found.map((line) => line.replace(/[\r\n]+$/, ""));
}

describe("lines", () => {
  test("LF, CR LF and CR end a line; what is behind the last end is one, nothing is none", async () => {
    expect(await textsOf(lines(), "a\nb\r\nc\rd")).toEqual(["a", "b", "c", "d"]);
    expect(await textsOf(lines(), "a\n")).toEqual(["a"]);
    expect(await textsOf(lines(), "\n\n")).toEqual(["", ""]);
    expect(await textsOf(lines(), ["", ""])).toEqual([]);
    expect(await textsOf(lines(), [])).toEqual([]);
  });

  test("ends are cut anywhere: the CR of CR LF at the end of a part", async () => {
    expect(await textsOf(lines(), ["a\r", "\nb"])).toEqual(["a", "b"]);
    expect(await textsOf(lines(), ["a\r", "b"])).toEqual(["a", "b"]);
    expect(await textsOf(lines(), ["a\r", "", "\n", "\nb"])).toEqual(["a", "", "b"]);
    expect(await textsOf(lines({ keepEnds: true }), ["a\r", "\nb\r", "\r"])).toEqual(["a\r\n", "b\r", "\r"]);
  });

  test("any cut of a text gives the same lines", async () => {
    const content = fc.array(fc.constantFrom("a", "bc", "\n", "\r", "\r\n", "ü", " "), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(content, fc.boolean(), async (pieces, keepEnds) => {
        const whole = pieces.join("");
        const expected = linesOf(whole, keepEnds);
        expect(await textsOf(lines({ keepEnds }), whole)).toEqual(expected);
        expect(await textsOf(lines({ keepEnds }), [...whole])).toEqual(expected);
        expect(await textsOf(lines({ keepEnds }), pieces)).toEqual(expected);
      }),
      { numRuns: runs },
    );
  });

  test("a complete line goes out before more is read, also one that ends with a CR", async () => {
    for (const part of ["a\nb", "a\r"]) {
      const iterator = run(lines(), stalledSource([part]))[Symbol.asyncIterator]();
      expect((await soon(iterator.next())).value).toMatchObject({ text: "a" });
      await iterator.return?.();
    }
    const source = watchedSource(["a\nb\nc\n", "d"]);
    const iterator = run(lines(), source)[Symbol.asyncIterator]();
    for (const line of ["a", "b", "c"]) expect((await iterator.next()).value).toMatchObject({ text: line });
    expect(source.pulls).toBe(1);
    await iterator.return?.();
    expect(source.closed).toBe(1);
  });

  test("other parts keep their place and end a line; reserved ones do not", async () => {
    expect(await textsOf(lines(), ["a", json(1), "b", bytes(new Uint8Array(1), "a/b"), "c\nd"])).toEqual(["a", "json", "b", "bytes", "c", "d"]);
    const parts = await run(lines(), ["a", status("s"), "b"]).collect();
    expect(texts(parts.filter((part) => part.substream === ""))).toEqual(["ab"]);
  });

  test("another role, substream or source is another text", async () => {
    const from = (path: string, content: string): Part => text(content, { metadata: { file: { path } } });
    expect(await textsOf(lines(), [text("a"), text("b", { role: "assistant" }), text("c", { role: "assistant", substream: "x" })])).toEqual(["a", "b", "c"]);
    expect(await textsOf(lines(), [from("a.txt", "last of a"), from("b.txt", "first "), from("b.txt", "of b")])).toEqual(["last of a", "first of b"]);
    expect(await textsOf(lines(), [text("a", { metadata: { source: "1" } }), text("b", { metadata: { source: "2" } })])).toEqual(["a", "b"]);
    expect(await textsOf(lines(), [text("a\r"), text("\nb", { role: "assistant" })])).toEqual(["a", "", "b"]);
  });

  test("a line is like the part in which it begins", async () => {
    const options = { role: "assistant", substream: "x", mimeType: "text/csv", metadata: { n: 1 } } as const;
    const [first, second] = await run(lines(), [text("a\nb", options), text("c", { ...options, metadata: { n: 2 } })]).collect();
    expect([first, second]).toEqual([text("a", options), text("bc", options)]);
  });

  test("a line above maxChars is too_large, after the lines before it; one of just maxChars is not", async () => {
    expect(await textsOf(lines({ maxChars: 3 }), ["ab", "c\r", "\nabc"])).toEqual(["abc", "abc"]);
    const seen: string[] = [];
    const reading = run(lines({ maxChars: 3 }), ["ok\nab", "cd", "\n"]).forEach((part) => seen.push(...texts([part])));
    await expect(reading).rejects.toMatchObject({ code: "too_large", message: "lines: a line has more than 3 characters" });
    expect(seen).toEqual(["ok"]);
  });

  test("an error of the input comes after the lines before it; the line it cuts is not given", async () => {
    const seen: string[] = [];
    const reading = run(lines(), watchedSource(["a\nb", "c"], { failAt: 2, error: "E" })).forEach((part) => seen.push(...texts([part])));
    await expect(reading).rejects.toBe("E");
    expect(seen).toEqual(["a"]);
  });

  test("an abort rejects with its reason while a line is open, and closes the source", async () => {
    const controller = new AbortController();
    const source = stalledSource(["a\nb"]);
    const iterator = run(lines(), source, { signal: controller.signal })[Symbol.asyncIterator]();
    await iterator.next();
    const next = iterator.next();
    await turns();
    controller.abort("stop");
    await expect(soon(next)).rejects.toBe("stop");
    expect(source.closed).toBe(1);
  });

  test("runs at once do not see each other's open line", async () => {
    const processor = lines();
    const clock = fakeClock();
    const slowly = async function* (name: string): AsyncGenerator<string> {
      yield `${name}1`;
      await clock.sleep(10);
      yield `${name}2\n`;
    };
    const all = Promise.all(["a", "b"].map((name) => run(processor, slowly(name)).text()));
    await turns();
    await clock.advance(10);
    expect(await soon(all)).toEqual(["a1a2", "b1b2"]);
  });

  test("a million characters in deltas, in one part and as empty lines take time in proportion", async () => {
    const million = 1_000_000;
    const began = processorMs();
    for (const input of [Array.from({ length: million / 10 }, () => "0123456789"), "a".repeat(million), "\n".repeat(million), "\r".repeat(million), "a\rb\n".repeat(million / 4)]) {
      await run(lines(), input).forEach(() => {});
    }
    expect(processorMs() - began).toBeLessThan(20_000);
  });
});

test("bad options of lines are refused by name", () => {
  expect(() => lines({ maxChars: 0 })).toThrow("lines: maxChars must be a whole number from 1, got number 0");
  expect(() => lines({ maxChars: Number.NaN })).toThrow("maxChars");
  expect(() => lines({ keepEnds: wrong("yes") })).toThrow('lines: keepEnds must be a boolean, got "yes"');
});
