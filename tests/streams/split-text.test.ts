import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, isText, json, type Part, pipe, run, text, type TextPart } from "../../src/index.ts";
import { splitText, type SplitTextOptions } from "../../src/streams/split-text.ts";
import { watchedSource } from "../../src/testing/index.ts";
import { processorMs } from "./processor-ms.ts";
import { texts } from "./support.ts";

interface Split {
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly headings?: readonly string[];
}

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const wrong = (value: unknown): never => value as never;
const splitOf = (part: Part): Split => part.metadata.split as Split;
const chunksOf = async (input: string, options: SplitTextOptions): Promise<TextPart[]> =>
  (await run(splitText(options), input).collect()).filter(isText);
const split = async (input: string, options: SplitTextOptions): Promise<string[]> => texts(await chunksOf(input, options));
const codePoints = (content: string): number => [...content].length;
const utf8 = (content: string): number => new TextEncoder().encode(content).length;
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

describe("by sentences", () => {
  const story = "Hide glue is old. It is made of hides! Does it hold? It does.";

  test("whole sentences are packed, as many as fit", async () => {
    expect(await split(story, { size: 40 })).toEqual(["Hide glue is old. It is made of hides!", "Does it hold? It does."]);
    expect(await split(story, { size: 37 })).toEqual(["Hide glue is old.", "It is made of hides! Does it hold?", "It does."]);
  });

  test("a paragraph that fits is kept together, also where a part of it would have fitted before", async () => {
    const paragraphs = "One is short. Two.\n\nThree comes here. Four ends it.\n\nFive.";
    expect(await split(paragraphs, { size: 40 })).toEqual(["One is short. Two.", "Three comes here. Four ends it.\n\nFive."]);
  });

  test("white space around a paragraph is no part of its chunk", async () => {
    expect(await split("Aa bb. \n\n   Cc dd.\n", { size: 9 })).toEqual(["Aa bb.", "Cc dd."]);
  });

  test("a line break inside a paragraph is no end of a sentence; before a list item it is", async () => {
    expect(await split("The joint is\nstrong and\r\nclean. Clamp it well.", { size: 34 })).toEqual(["The joint is\nstrong and\r\nclean.", "Clamp it well."]);
    expect(await split("Bring this along\n- a clamp for the joint\n- a pot of glue", { size: 42 })).toEqual([
      "Bring this along\n- a clamp for the joint",
      "- a pot of glue",
    ]);
  });

  test("a sentence that is too long is cut at lines, then words, a word between characters", async () => {
    expect(await split("alpha beta\ngamma delta epsilon", { size: 20 })).toEqual(["alpha beta", "gamma delta epsilon"]);
    expect(await split("aa bb cc dd", { size: 5 })).toEqual(["aa bb", "cc dd"]);
    expect(await split("x abcdefgh y", { size: 3 })).toEqual(["x", "abc", "def", "gh", "y"]);
  });

  test("scripts without spaces are cut between their words and sentences", async () => {
    expect(await split("今日は寒いです。明日は晴れます。", { size: 10 })).toEqual(["今日は寒いです。", "明日は晴れます。"]);
    const thai = "ฉันรักภาษาไทยมากและชอบอ่านหนังสือทุกวัน";
    const starts = new Set([...new Intl.Segmenter("en", { granularity: "word" }).segment(thai)].map(({ index }) => index));
    const chunks = await chunksOf(thai, { size: 12 }); // which words there are is the dictionary's word
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.filter((chunk) => !starts.has(splitOf(chunk).start))).toEqual([]);
  });

  test("white space of every kind parts words, and nothing else does", async () => {
    for (let code = 0; code <= 0xffff; code += 1) {
      const char = String.fromCharCode(code);
      if (char.trim() === "") expect(await split(`aa${char}bb`, { size: 2 }), code.toString(16)).toEqual(["aa", "bb"]);
    }
    expect(await split("a\u200bb", { size: 2 })).toEqual(["a\u200b", "b"]);
  });

  test("a text that fits is one chunk, white space and all", async () => {
    const [chunk, ...more] = await chunksOf("  a b. \n", { size: 8 });
    expect([chunk?.text, more]).toEqual(["  a b. \n", []]);
    expect(splitOf(chunk as Part)).toEqual({ index: 0, start: 0, end: 8 });
  });

  test("a sentence across the edge of what is looked at at once is cut nowhere but where it must be", async () => {
    const long = Array.from({ length: 6_000 }, (_, i) => `w${i}`).join(" "); // without a full stop, several windows long
    const chunks = await split(long, { size: 50 });
    expect(chunks.join(" ")).toBe(long);
    const sentence = "Glue the joint and clamp it for the night. ";
    const many = await split(sentence.repeat(2_000).trim(), { size: 100 });
    expect(new Set(many)).toEqual(new Set([`${sentence}${sentence.trim()}`]));
    expect(new Set(await split(sentence.repeat(2_000), { size: 50 }))).toEqual(new Set([sentence.trim()]));
  });
});

describe("by headings", () => {
  const book = [
    "Before any heading.",
    "",
    "# Glues",
    "",
    "Glue joins wood.",
    "",
    "## Hide glue ##",
    "It is old.",
    "",
    "PVA",
    "---",
    "White glue.",
    "",
    "Clamps",
    "======",
    "Use many.",
  ].join("\n");

  test("a section per heading, each with its path from the top", async () => {
    const chunks = await chunksOf(book, { size: 1_000, by: "headings" });
    expect(chunks.map((chunk) => [splitOf(chunk).headings, chunk.text])).toEqual([
      [[], "Before any heading."],
      [["Glues"], "# Glues\n\nGlue joins wood."],
      [["Glues", "Hide glue"], "## Hide glue ##\nIt is old."],
      [["Glues", "PVA"], "PVA\n---\nWhite glue."],
      [["Clamps"], "Clamps\n======\nUse many."],
    ]);
  });

  test("a heading with nothing but a deeper one below it stands with that; before one of its own level it stands alone", async () => {
    const chunks = await chunksOf("# A\n## B\ntext\n## C\n## D\nmore", { size: 100, by: "headings" });
    expect(chunks.map((chunk) => [splitOf(chunk).headings, chunk.text])).toEqual([
      [["A", "B"], "# A\n## B\ntext"],
      [["A", "C"], "## C"],
      [["A", "D"], "## D\nmore"],
    ]);
  });

  test("a section that is too large is split by sentences, and its heading keeps the first of them", async () => {
    const chunks = await chunksOf("# Glue\n\nHide glue is old. It is made of hides.", { size: 28, by: "headings" });
    expect(texts(chunks)).toEqual(["# Glue\n\nHide glue is old.", "It is made of hides."]);
    expect(chunks.every((chunk) => splitOf(chunk).headings?.join() === "Glue")).toBe(true);
  });

  test("what only looks like a heading is none: in fenced code, hashtags, seven hashes, indented, front matter, below a list", async () => {
    const lookalikes = [
      "---\ntitle: x\n# comment\n---\n\n```sh\n# comment\n```",
      "~~~~\n# a\n~~~\n# b\n~~~~",
      "```\n# never closed",
      "```\n``` x\n# a\n```",
      "#hashtag",
      "####### seven",
      "    # code",
      "\t# code",
      "- item\n---",
      "> quote\n---",
      "| a | b |\n|---|---|\n| c | d |\n---",
      "text\n\n---\n\ntext",
    ];
    for (const content of lookalikes) {
      const chunks = await chunksOf(content, { size: 1_000, by: "headings" });
      expect(chunks.map((chunk) => splitOf(chunk).headings), content).toEqual([[]]);
    }
  });

  test("ATX headings of all levels, empty ones and closing hashes are known", async () => {
    const titles: Readonly<Record<string, string>> = {
      "###### six": "six",
      "   # three spaces": "three spaces",
      "# closed #####": "closed",
      "# C#": "C#",
      "```\n# in code\n````\n# behind it": "behind it",
      "---\nfront: matter\n...\n# behind it": "behind it",
      "---\n# no front matter": "no front matter",
      "#": "",
      "## ##": "",
      "#\ttab": "tab",
      "*Emphasis* title\nover two lines\n===": "*Emphasis* title over two lines",
    };
    for (const [line, title] of Object.entries(titles)) {
      const chunks = await chunksOf(`${line}\nbody`, { size: 1_000, by: "headings" });
      expect(splitOf(chunks.at(-1) as Part).headings, line).toEqual([title]);
    }
  });

  test("fenced code and tables stay whole where they fit, and are cut between lines where they do not", async () => {
    const code = "```ts\nif (a) {\n\n    b();\n}\n```";
    expect(await split(`Some words first here.\n\n${code}\n\nAnd after.`, { size: 45, by: "headings" })).toEqual(["Some words first here.", `${code}\n\nAnd after.`]);
    expect(await split(code, { size: 16, by: "headings" })).toEqual(["```ts\nif (a) {", "    b();\n}\n```"]);
    const table = "| a | b |\n|---|---|\n| One. Two | 2 |";
    expect(await split(`Look at it:\n${table}`, { size: 45, by: "headings" })).toEqual(["Look at it:", table]);
    expect(await split(table, { size: 20, by: "headings" })).toEqual(["| a | b |\n|---|---|", "| One. Two | 2 |"]);
  });

  test("bars and dashes with words between them make no table", async () => {
    expect(await split("aa | bb. Cc dd\n|-- ee. Ff gg", { size: 11, by: "headings" })).toEqual(["aa | bb.", "Cc dd", "|-- ee.", "Ff gg"]);
    expect(await split("aa | bb. Cc dd\n| |\nff", { size: 11, by: "headings" })).toEqual(["aa | bb.", "Cc dd", "| |\nff"]);
    expect(await split("aa | bb. Cc dd\n|--|:-:| \nff", { size: 11, by: "headings" })).toEqual(["aa | bb. Cc", "dd\n|--|:-:|", "ff"]);
  });

  test("overlaps do not reach into another section", async () => {
    const chunks = await split("# A\nOne. Two.\n# B\nThree. Four.", { size: 14, overlap: 8, by: "headings" });
    expect(chunks).toEqual(["# A\nOne. Two.", "# B\nThree.", "Three. Four."]);
  });

  test("line ends of all kinds", async () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const chunks = await chunksOf(book.replaceAll("\n", end), { size: 1_000, by: "headings" });
      expect(chunks.map((chunk) => splitOf(chunk).headings?.at(-1)), JSON.stringify(end)).toEqual([undefined, "Glues", "Hide glue", "PVA", "Clamps"]);
    }
  });
});

describe("by characters", () => {
  test("after every size, with an exact overlap", async () => {
    expect(await split("abcdefghij", { size: 4, by: "characters" })).toEqual(["abcd", "efgh", "ij"]);
    expect(await split("abcdefghij", { size: 4, overlap: 1, by: "characters" })).toEqual(["abcd", "defg", "ghij"]);
    expect(await split("ab cd ef", { size: 3, overlap: 2, by: "characters" })).toEqual(["ab ", "b c", " cd", "cd ", "d e", " ef"]);
  });

  test("counts code points, and cuts neither pairs nor what readers see as one character", async () => {
    expect(await split("😀😀😀", { size: 2, by: "characters" })).toEqual(["😀😀", "😀"]);
    expect(await split("abe\u0301f", { size: 3, by: "characters" })).toEqual(["ab", "e\u0301f"]);
    expect(await split("abe\u0300f", { size: 3, by: "characters" })).toEqual(["ab", "e\u0300f"]); // the first of the marks
    expect(await split("a👩‍👩‍👧b", { size: 5, by: "characters" })).toEqual(["a", "👩‍👩‍👧", "b"]);
    expect(await split("🇦🇹🇩🇪🇨🇭", { size: 3, by: "characters" })).toEqual(["🇦🇹", "🇩🇪", "🇨🇭"]);
    expect(await split("ab\r\nc", { size: 3, by: "characters" })).toEqual(["ab", "\r\nc"]);
  });

  test("a single character of more than a chunk is cut all the same, between code points", async () => {
    const piled = `e${"\u0301".repeat(9)}`;
    const chunks = await split(`${piled}x`, { size: 4, by: "characters" });
    expect(chunks.join("")).toBe(`${piled}x`);
    expect(Math.max(...chunks.map(codePoints))).toBe(4);
  });
});

describe("in bytes", () => {
  test("no chunk has more bytes of UTF-8 than size, and none cuts a character", async () => {
    expect(await split("äöüäöü", { size: 5, unit: "bytes", by: "characters" })).toEqual(["äö", "üä", "öü"]);
    expect(await split("Häuser sind groß. Gärten auch.", { size: 20, unit: "bytes" })).toEqual(["Häuser sind groß.", "Gärten auch."]);
    expect(await split("😀😀", { size: 7, unit: "bytes" })).toEqual(["😀", "😀"]);
  });

  test("one, two, three and four bytes begin where UTF-8 says", async () => {
    for (const [char, bytes] of [["\u007f", 1], ["\u0080", 2], ["\u07ff", 2], ["\u0800", 3], ["\uffff", 3], ["\u{10000}", 4]] as const) {
      expect(await split(char.repeat(12), { size: 12, unit: "bytes", by: "characters" })).toEqual(Array.from({ length: bytes }, () => char.repeat(12 / bytes)));
    }
  });

  test("a lone surrogate counts as the three bytes it becomes", async () => {
    expect(await split("\ud83d\ud83dab", { size: 4, unit: "bytes", by: "characters" })).toEqual(["\ud83d", "\ud83da", "b"]);
  });
});

describe("overlap", () => {
  test("begins at a sentence where one fits, else at a word, else between characters", async () => {
    expect(await split("One is one. Two is two. Three is three.", { size: 24, overlap: 12 })).toEqual(["One is one. Two is two.", "is two. Three is three."]);
    expect(await split("One is one. Two is two. Three is it.", { size: 25, overlap: 12 })).toEqual(["One is one. Two is two.", "Two is two. Three is it."]);
    expect(await split("alpha beta gamma delta", { size: 12, overlap: 7 })).toEqual(["alpha beta", "beta gamma", "gamma delta"]);
    expect(await split("abcdefghij", { size: 4, overlap: 2 })).toEqual(["abcd", "cdef", "efgh", "ghij"]);
    const thai = "ฉันรักภาษาไทยมากและชอบอ่านหนังสือทุกวัน";
    const starts = [...new Intl.Segmenter("en", { granularity: "word" }).segment(thai)].map(({ index }) => index);
    const chunks = (await chunksOf(thai, { size: 16, overlap: 8 })).map(splitOf);
    expect(chunks.filter(({ start }) => !starts.includes(start))).toEqual([]);
    expect(chunks.slice(1).some(({ start }, i) => start < (chunks[i]?.end ?? 0))).toBe(true);
  });

  test("gives way where the next sentence needs the room", async () => {
    expect(await split("Ab. Cd. Efghijklmnop.", { size: 14, overlap: 4 })).toEqual(["Ab. Cd.", "Efghijklmnop."]);
  });
});

describe("parts", () => {
  test("chunks are like their part, with the place in metadata.split; index starts anew for each part", async () => {
    const options = { role: "assistant", substream: "draft", mimeType: "text/markdown", metadata: { file: { path: "a.md" }, split: "old" } } as const;
    const parts = await run(splitText({ size: 3 }), [text("ab cd", options), text("ef gh")]).collect();
    expect(parts[1]).toEqual({ ...text("cd", options), metadata: { file: { path: "a.md" }, split: { index: 1, start: 3, end: 5 } } });
    expect(parts.map((part) => splitOf(part).index)).toEqual([0, 1, 0, 1]);
  });

  test("other parts and blank texts pass in order, as the same objects", async () => {
    const others = [json({ a: 1 }), text(""), bytes(new Uint8Array(1), "a/b"), text(" \n\t\u3000 ".repeat(50))];
    const parts = await run(splitText({ size: 2 }), [others[0] as Part, "ab cd", ...others.slice(1)]).collect();
    expect(texts(parts)).toEqual(["json", "ab", "cd", "", "bytes", " \n\t\u3000 ".repeat(50)]);
    expect([parts[0], ...parts.slice(3)].every((part, i) => part === others[i])).toBe(true);
  });

  test("text of the program's system role split by data rules gains no trust from data", async () => {
    const decoded = { ...text("ab cd"), role: "system" } as Part;
    const parts = await run(splitText({ size: 2 }), [decoded]).collect();
    expect(parts.map((part) => part.role)).toEqual(["system", "system"]);
  });

  test("chunks are made as they are asked for, and leaving closes the source", async () => {
    let made = 0;
    const part = { ...text("word ".repeat(10_000)) };
    Object.defineProperty(part, "metadata", { get: () => ({ made: (made += 1) }) });
    const source = watchedSource([part, "never"]);
    let seen = 0;
    for await (const _part of run(splitText({ size: 10 }), source)) {
      seen += 1;
      if (seen === 3) break;
    }
    expect(made).toBeLessThanOrEqual(4);
    expect([source.pulls, source.closed]).toEqual([1, 1]);
  });

  test("fuses: a pipe of it with itself pulls one part at a time", async () => {
    const source = watchedSource(["a b. c d.", "e f."]);
    const iterator = run(pipe(splitText({ size: 5 }), splitText({ size: 1 })), source)[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ text: "a" });
    expect(source.pulls).toBe(1);
    await iterator.return?.();
    expect(source.closed).toBe(1);
  });
});

describe("what holds for every text", () => {
  const word = fc.oneof(
    fc.constantFrom("a", "glue", "Wood.", "It is!", "so?", "# H", "## Deep", "```", "~~~", "| a | b |", "|---|---|", "- item", "===", "---", "1. one"),
    fc.constantFrom("😀", "e\u0301", "👩‍👩‍👧", "🇦🇹", "今日は。", "ภาษาไทย", "\ud83d", "x".repeat(40), "#", "."),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  const gap = fc.constantFrom(" ", " ", "\n", "\n\n", "\r\n", "", "   ", "\t", "\u3000");
  const content = fc.array(fc.tuple(word, gap), { maxLength: 30 }).map((pairs) => pairs.flat().join(""));
  const options = fc
    .record({
      size: fc.integer({ min: 4, max: 40 }),
      by: fc.constantFrom("characters" as const, "sentences" as const, "headings" as const),
      unit: fc.constantFrom("characters" as const, "bytes" as const),
      overlap: fc.integer({ min: 0, max: 39 }),
    })
    .map((it) => ({ ...it, overlap: Math.min(it.overlap, it.size - 1) }));

  test("chunks are slices of at most size, never blank, in order, and none cuts a pair", async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (input, it) => {
        const chunks = input.trim() === "" ? [] : await chunksOf(input, it);
        let before: Split | undefined;
        for (const [index, chunk] of chunks.entries()) {
          const at = splitOf(chunk);
          expect(at.index).toBe(index);
          expect(chunk.text).toBe(input.slice(at.start, at.end));
          expect(it.unit === "bytes" ? utf8(chunk.text) : codePoints(chunk.text)).toBeLessThanOrEqual(it.size);
          expect(chunk.text.trim()).not.toBe("");
          for (const edge of [at.start, at.end]) expect(/^[\ud800-\udbff][\udc00-\udfff]$/.test(input.slice(edge - 1, edge + 1))).toBe(false);
          if (before !== undefined) {
            expect(at.start).toBeGreaterThan(before.start);
            expect(at.end).toBeGreaterThan(before.end);
            const shared = input.slice(at.start, before.end);
            expect(it.unit === "bytes" ? utf8(shared) : codePoints(shared)).toBeLessThanOrEqual(it.overlap);
          }
          before = at;
        }
      }),
      { numRuns: runs },
    );
  });

  test("nothing but white space is lost: without overlap the chunks tile the text", async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (input, it) => {
        if (input.trim() === "") return;
        let at = 0;
        for (const chunk of await chunksOf(input, { ...it, overlap: 0 })) {
          const { start, end } = splitOf(chunk);
          expect(start).toBeGreaterThanOrEqual(at);
          expect(input.slice(at, start).trim()).toBe("");
          at = end;
        }
        expect(input.slice(at).trim()).toBe("");
      }),
      { numRuns: runs },
    );
  });

  test("with an overlap nothing is lost either", async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (input, it) => {
        if (input.trim() === "") return;
        let at = 0;
        for (const chunk of await chunksOf(input, it)) {
          const { start, end } = splitOf(chunk);
          if (start > at) expect(input.slice(at, start).trim()).toBe("");
          at = end;
        }
        expect(input.slice(at).trim()).toBe("");
      }),
      { numRuns: runs },
    );
  });

  test("no character that readers see as one is cut, if it fits", async () => {
    await fc.assert(
      fc.asyncProperty(content, options, async (input, it) => {
        if (input.trim() === "") return;
        const inside = new Set<number>();
        for (const { index, segment } of graphemes.segment(input)) {
          const small = (it.unit === "bytes" ? utf8(segment) : codePoints(segment)) <= it.size;
          // white space may be dropped from a character, so that is no cut
          for (let at = 1; small && segment.trim() === segment && at < segment.length; at += 1) inside.add(index + at);
        }
        for (const chunk of await chunksOf(input, it)) {
          const { start, end } = splitOf(chunk);
          expect([inside.has(start), inside.has(end)], JSON.stringify([input, it])).toEqual([false, false]);
        }
      }),
      { numRuns: runs },
    );
  });
});

describe("hostile texts take time in proportion", () => {
  const million = 1_000_000;
  const hostile: Readonly<Record<string, (length: number) => string>> = {
    "one letter": (length) => "a".repeat(length),
    hashes: (length) => "#".repeat(length),
    "line breaks before a letter": (length) => `${"\n".repeat(length)}a`,
    "spaces before a letter": (length) => `${" ".repeat(length)}a`,
    "words without a sentence": (length) => "word ".repeat(length / 5),
    "empty headings": (length) => "# \n".repeat(length / 3),
    "hashes and spaces": (length) => `# ${"# ".repeat(length / 2)}x`,
    "fences that never close": (length) => "```\n".repeat(length / 4),
    "delimiter rows": (length) => "|-\n".repeat(length / 3),
    underlines: (length) => "a\n-\n".repeat(length / 4),
    "full stops": (length) => ". ".repeat(length / 2),
    "combining marks": (length) => `a${"\u0301".repeat(length)}`,
    flags: (length) => "🇦".repeat(length / 4),
    "a script without spaces": (length) => "今日は晴れ".repeat(length / 5),
  };
  for (const [name, make] of Object.entries(hostile)) {
    for (const by of ["sentences", "headings", "characters"] as const) {
      test(`${name}, by ${by}`, async () => {
        const began = processorMs();
        await run(splitText({ size: 1_000, overlap: 50, by }), make(million)).forEach(() => {});
        expect(processorMs() - began).toBeLessThan(20_000); // one that looks twice at everything takes minutes
      });
    }
  }
});

describe("bad options are refused, by name and with what was given", () => {
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{}, /splitText: size must be a whole number from 1, got undefined/],
    [{ size: 0 }, /splitText: size .* got number 0/],
    [{ size: 1.5 }, /splitText: size/],
    [{ size: 3, unit: "bytes" }, /splitText: size must be a whole number from 4, got number 3/],
    [{ size: 10, overlap: 10 }, /splitText: overlap must be a whole number from 0 to 9, got number 10/],
    [{ size: 10, overlap: -1 }, /splitText: overlap/],
    [{ size: 10, by: "tokens" }, /splitText: by must be "characters", "sentences" or "headings", got "tokens"/],
    [{ size: 10, by: "toString" }, /splitText: by/],
    [{ size: 10, unit: "words" }, /splitText: unit must be "characters" or "bytes", got "words"/],
  ];
  for (const [options, says] of cases) {
    test(JSON.stringify(options), () => {
      expect(() => splitText(wrong(options))).toThrow(says);
      expect(() => splitText(wrong(options))).toThrow(expect.objectContaining({ code: "invalid_input" }));
    });
  }
});
