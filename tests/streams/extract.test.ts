import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isJson, isText, isUri, json, type Part, pipe, run, status, text } from "../../src/index.ts";
import { extract, type ExtractOptions } from "../../src/streams/extract.ts";
import { extractUrls } from "../../src/streams/extract-urls.ts";
import { fakeClock, stalledSource, watchedSource } from "../../src/testing/index.ts";
import { processorMs } from "./processor-ms.ts";
import { opaque, soon, texts, turns } from "./support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);
const wrong = (value: unknown): never => value as never;

interface Match {
  readonly match: string;
  readonly index: number;
  readonly captures: readonly (string | null)[];
  readonly groups: Readonly<Record<string, string | null>>;
}
const matchOf = (part: Part): Match => (isJson(part) ? part.value : {}) as unknown as Match;

/** What comes out, neighbouring texts joined, matches in angle brackets. */
const shown = (parts: readonly Part[]): string =>
  parts.map((part) => (isText(part) ? part.text : isJson(part) ? `<${matchOf(part).match}@${matchOf(part).index}>` : part.kind)).join("");
const taken = async (pattern: RegExp, input: Parameters<typeof run>[1], options?: ExtractOptions): Promise<string> =>
  shown(await run(extract(pattern, options), input).collect());

/** A text, cut at some places. */
const cutAt = (whole: string, cuts: readonly number[]): string[] => {
  const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b), whole.length];
  return places.slice(1).map((place, i) => whole.slice(places[i], place));
};

describe("Y1: extract", () => {
  test("matches leave the text and stand in their place as JSON, the text before them first", async () => {
    const parts = await run(extract(/#(\d+)/), "Order #12 and #7.").collect();
    expect(parts.map((part) => (isText(part) ? part.text : matchOf(part)))).toEqual([
      "Order ",
      { match: "#12", index: 6, captures: ["12"], groups: {} },
      " and ",
      { match: "#7", index: 14, captures: ["7"], groups: {} },
      ".",
    ]);
    expect(parts[1]?.mimeType).toBe("application/json; type=match");
  });

  test("named groups, and null for those that took no part", async () => {
    const [part] = await run(extract(/(?<year>\d{4})(?:-(?<month>\d\d))?/), "2024").collect();
    expect(matchOf(part as Part)).toEqual({ match: "2024", index: 0, captures: ["2024", null], groups: { year: "2024", month: null } });
  });

  test("a match across parts is found, and what is around it keeps its parts", async () => {
    const parts = await run(extract(/#\d+/), ["a", "b #", "1", "2 c", "d"]).collect();
    expect(parts.map((part) => (isText(part) ? part.text : matchOf(part).match))).toEqual(["a", "b ", "#12", " c", "d"]);
  });

  test("keep leaves matches in the text, each before its part", async () => {
    expect(await taken(/#\d/, ["a #", "1 b"], { keep: true })).toBe("a #1<#1@2> b");
  });

  test("parts without a match pass as the same objects", async () => {
    const inputs = ["a", "", "b", "c".repeat(1_000)].map((content) => text(content));
    for (const options of [{}, { start: "#" }, { start: /#/, end: "c" }]) {
      const parts = await run(extract(/#\d/, options), inputs).collect();
      expect(parts.map((part) => inputs.indexOf(part as never))).toEqual([0, 1, 2, 3]);
    }
  });

  test("other parts keep their place and end a text; so do role, substream and source", async () => {
    expect(await taken(/ab/, ["a", json(1), "b ab"])).toBe("a<undefined@undefined>b <ab@2>");
    const parts = [text("a"), text("b", { role: "assistant" }), text("a", { role: "assistant" }), text("b", { role: "assistant", substream: "x" })];
    expect(await taken(/ab|ba/, parts)).toBe("a<ba@0>b");
    expect(await taken(/ab/, [text("a", { metadata: { source: "1" } }), text("b", { metadata: { source: "2" } })])).toBe("ab");
  });

  test("a match is like the part in which it begins, and gains no trust", async () => {
    const options = { role: "assistant", substream: "draft", metadata: { n: 1 } } as const;
    const [part] = await run(extract(/ab/), [text("a", options), text("b", { ...options, metadata: { n: 2 } })]).collect();
    expect(part).toMatchObject({ kind: "json", ...options });
  });

  test("reserved parts do not end a text", async () => {
    const parts = await run(pipe(extract(/ab/), opaque), ["a", status("s"), "b"]).collect();
    expect(shown(parts.filter((part) => part.substream === ""))).toBe("<ab@0>");
  });

  test("flags g and y change nothing, d neither, and the caller's expression is never touched", async () => {
    for (const flags of ["", "g", "y", "gy", "dg"]) {
      const pattern = new RegExp("b", flags);
      pattern.lastIndex = 1;
      expect(await taken(pattern, "abab")).toBe("a<b@1>a<b@3>");
      expect(pattern.lastIndex).toBe(1);
    }
    expect(await taken(/B/i, "ab")).toBe("a<b@1>");
    expect(await taken(/^b/m, "b\nb")).toBe("<b@0>\n<b@2>");
    expect(await taken(/^./, ["a", "b"])).toBe("<a@0>b");
    expect(await taken(/.$/, ["a", "b"])).toBe("a<b@1>");
    expect(await taken(/(?<=a)b\b/, ["a", "b", " bb"])).toBe("a<b@1> bb");
  });

  test("empty matches are none, wherever they are", async () => {
    expect(await taken(/x*/, "axxb")).toBe("a<xx@1>b");
    expect(await taken(/(?=a)/u, "😀a😀")).toBe("😀a😀");
  });
});

describe("how far a match may reach", () => {
  test("a longer match is what matches if the text ended after maxChars, which may be nothing", async () => {
    expect(await taken(/a+/, "a".repeat(10), { maxChars: 4 })).toBe("<aaaa@0><aaaa@4><aa@8>");
    expect(await taken(/a+b/, `${"a".repeat(6)}b`, { maxChars: 4 })).toBe("aaa<aaab@3>");
    expect(await taken(/\(.*?\)/, "(12) (1234)", { maxChars: 5 })).toBe("<(12)@0> (1234)");
    for (const start of ["a", /a/]) expect(await taken(/a+/, "a".repeat(10), { maxChars: 4, start })).toBe("<aaaa@0><aaaa@4><aa@8>");
  });

  test("it never ends within a surrogate pair, nor does the text that is let go", async () => {
    const parts = await run(extract(/[^x]+x?/, { maxChars: 3 }), "😀😀😀😀").collect();
    expect(parts.map((part) => matchOf(part).match)).toEqual(["😀", "😀", "😀", "😀"]);
    for (let maxChars = 1; maxChars < 20; maxChars += 1) {
      const passed = await run(extract(/x/, { maxChars }), Array.from({ length: 40 }, () => "a😀")).collect();
      expect(texts(passed).filter((piece) => !piece.isWellFormed()), String(maxChars)).toEqual([]);
    }
  });

  test("no more than maxChars and an eighth is held back, whatever comes", async () => {
    let given = 0;
    let most = 0;
    let passed = 0;
    const source = async function* (): AsyncGenerator<string> {
      for (let i = 0; i < 2_000; i += 1) {
        most = Math.max(most, given - passed);
        given += 3;
        yield "abc";
      }
    };
    await run(extract(/x/, { maxChars: 64 }), source()).forEach((part) => (passed += isText(part) ? part.text.length : 0));
    expect(passed).toBe(6_000);
    expect(most).toBeGreaterThanOrEqual(64);
    expect(most).toBeLessThanOrEqual(64 + 8 + 3);
  });
});

describe("start and end", () => {
  test("text without a start goes out at once, before more is read", async () => {
    for (const start of ["#", /[#@]/]) {
      const iterator = run(extract(/[#@]\w+/, { start }), stalledSource(["abc ", "d #x"]))[Symbol.asyncIterator]();
      expect((await soon(iterator.next())).value).toMatchObject({ text: "abc " });
      expect((await soon(iterator.next())).value).toMatchObject({ text: "d " });
      await iterator.return?.();
    }
  });

  test("a start may be cut anywhere; what only looked like one goes out as soon as that is known", async () => {
    const options = { start: "<think>", end: "</think>" };
    const pattern = /<think>([^]*?)<\/think>/;
    expect(await taken(pattern, [..."a <think>b</think> <thin"], options)).toBe("a <<think>b</think>@2> <thin");
    const iterator = run(extract(pattern, options), stalledSource(["a <thi", "s"]))[Symbol.asyncIterator]();
    expect((await soon(iterator.next())).value).toMatchObject({ text: "a " });
    expect((await soon(iterator.next())).value).toMatchObject({ text: "<thi" });
    expect((await soon(iterator.next())).value).toMatchObject({ text: "s" });
    await iterator.return?.();
  });

  test("with an end a match is given as soon as the end is there", async () => {
    const iterator = run(extract(/#\w+/, { start: "#", end: /\W/ }), stalledSource(["a #b", "c d"]))[Symbol.asyncIterator]();
    expect((await soon(iterator.next())).value).toMatchObject({ text: "a " });
    expect((await soon(iterator.next())).value).toMatchObject({ kind: "json", value: { match: "#bc", index: 2 } });
    expect((await soon(iterator.next())).value).toMatchObject({ text: " d" });
    await iterator.return?.();
  });

  test("the end is looked for behind the start, so both may be the same", async () => {
    expect(await taken(/\*\*.+?\*\*/, [..."a **b** **c"], { start: "**", end: "**" })).toBe("a <**b**@2> **c");
  });

  test("a match that begins elsewhere is none, and the pattern sees nothing behind the end", async () => {
    expect(await taken(/\w+/, "abc #d", { start: "#" })).toBe("abc #d");
    expect(await taken(/#.+/, "#a b", { start: "#", end: " " })).toBe("<#a @0>b");
    expect(await taken(/a/, "abca", { start: /[ac]/ })).toBe("<a@0>bc<a@3>");
  });

  test("a class of characters outside the first plane", async () => {
    expect(await taken(/😀+/u, ["a\ud83d", "\ude00", "😀b"], { start: /\p{Emoji_Presentation}/u, end: /\w/ })).toBe("a<😀😀@1>b");
  });
});

describe("the result is the same however the text is cut", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c", "#", " ", "\n", "😀", "<", ">"), maxLength: 60 });
  const cuts = fc.array(fc.nat(), { maxLength: 12 });
  // also patterns that look as far as they can: what they see must not depend on the parts
  const patterns = ["a+", "a+b", "#\\w*", "<[^>]*>", "a$", "^b", "\\bc\\b", "(?<=#)a", "a(?=[^]*c)", "a(?![^]*c)", "[^]+?#", "(?:a|b)*", "😀", ".", "(?<x>a)|(b)"];
  const flags = fc.constantFrom("", "u", "m", "s", "g", "y");
  const marks: readonly ExtractOptions[] = [{}, { start: "a" }, { start: "<", end: ">" }, { start: /[ab#]/ }, { start: /\w/, end: /\W/ }, { start: "aa", end: "bb" }, { start: /[^a]/u, end: "😀" }];
  const options = fc
    .record({ marks: fc.constantFrom(...marks), maxChars: fc.integer({ min: 1, max: 20 }), keep: fc.boolean() })
    .map(({ marks: its, ...rest }) => ({ ...its, ...rest }));

  test("any pattern, any limit, any marks", async () => {
    await fc.assert(
      fc.asyncProperty(letters, cuts, fc.constantFrom(...patterns), flags, options, async (whole, places, source, flag, it) => {
        const pattern = new RegExp(source, flag);
        const at = { ...it, start: it.start, end: it.end } as ExtractOptions;
        const expected = await taken(pattern, whole, at);
        expect(await taken(pattern, cutAt(whole, places), at)).toBe(expected);
        expect(await taken(pattern, whole.split(""), at)).toBe(expected);
      }),
      { numRuns: runs * 5 },
    );
  });

  test("what is passed and what is matched make up the text", async () => {
    await fc.assert(
      fc.asyncProperty(letters, cuts, fc.constantFrom(...patterns), options, async (whole, places, source, it) => {
        const parts = await run(extract(new RegExp(source), it as ExtractOptions), cutAt(whole, places)).collect();
        const joined = parts.map((part) => (isText(part) ? part.text : it.keep ? "" : matchOf(part).match)).join("");
        expect(joined).toBe(whole);
        for (const part of parts) if (isJson(part)) expect(whole.startsWith(matchOf(part).match, matchOf(part).index)).toBe(true);
      }),
      { numRuns: runs },
    );
  });

  test("matches no longer than maxChars are those of matchAll over the whole text", async () => {
    const short = ["#\\w{0,3}", "a{1,4}", "<[^>]{0,4}>", "\\bc\\b", "(?<=#)a", "(a)|(b)", "^b"];
    await fc.assert(
      fc.asyncProperty(letters, cuts, fc.constantFrom(...short), fc.integer({ min: 6, max: 12 }), async (whole, places, source, maxChars) => {
        const parts = await run(extract(new RegExp(source), { maxChars }), cutAt(whole, places)).collect();
        const expected = [...whole.matchAll(new RegExp(source, "g"))].map((match) => [match.index, match[0], match.slice(1).map((it) => it ?? null)]);
        expect(parts.filter(isJson).map((part) => [matchOf(part).index, matchOf(part).match, matchOf(part).captures])).toEqual(expected);
      }),
      { numRuns: runs },
    );
  });
});

describe("leaving, failing and running at once", () => {
  test("text that is held back when the input fails is not given; what was decided is", async () => {
    const seen: Part[] = [];
    const reading = run(extract(/#\d+/, { start: "#" }), watchedSource(["a #1"], { failAt: 1, error: "E" })).forEach((part) => seen.push(part));
    await expect(reading).rejects.toBe("E");
    expect(shown(seen)).toBe("a ");
  });

  test("leaving closes the source, an abort rejects with its reason", async () => {
    const source = watchedSource(Infinity);
    for await (const _part of run(extract(/x/, { start: "x" }), source)) break;
    expect(source.closed).toBe(1);
    const controller = new AbortController();
    const stalled = stalledSource(["a #"]);
    const all = run(extract(/#/), stalled, { signal: controller.signal }).collect();
    await turns();
    controller.abort("stop");
    await expect(soon(all)).rejects.toBe("stop");
    expect(stalled.closed).toBe(1);
  });

  test("runs at once do not see each other's text", async () => {
    const stage = extract(/ab/, { start: "a" });
    const clock = fakeClock();
    const slowly = async function* (first: string, second: string): AsyncGenerator<string> {
      yield first;
      await clock.sleep(10);
      yield second;
    };
    const all = Promise.all([run(stage, slowly("a", "b")).collect(), run(stage, slowly("a", "c")).collect()]);
    await turns();
    await clock.advance(10);
    expect((await soon(all)).map(shown)).toEqual(["<ab@0>", "ac"]);
  });
});

describe("a million characters take time in proportion, however they come", () => {
  const million = 1_000_000;
  const few = 100_000;
  const cases: Readonly<Record<string, () => readonly [RegExp, ExtractOptions, string]>> = {
    "nothing to find": () => [/#\d+/, {}, "a".repeat(million)],
    "empty matches everywhere": () => [/x*/, {}, "a".repeat(million)],
    "starts everywhere": () => [/ab/, { start: "a" }, "a".repeat(million)],
    "starts everywhere and no end": () => [/ab/, { start: /a/, end: /z/ }, "a".repeat(million)],
    "matches everywhere": () => [/a/, { start: "a", keep: true }, "a".repeat(few)],
  };
  for (const [name, make] of Object.entries(cases)) {
    test(name, async () => {
      const [pattern, options, input] = make();
      const began = processorMs();
      for (const content of [[input], input.match(/.{1,50}/g) ?? []]) await run(extract(pattern, options), content).forEach(() => {});
      expect(processorMs() - began).toBeLessThan(20_000);
    });
  }

  const collect = (globalThis as { gc?: () => void }).gc;
  // Node's memory can be asked for exactly where the collector can be called; the suite is started with it.
  test.skipIf(collect === undefined).each([{}, { start: "#", end: " " }])("C36: memory does not grow with the text, %o", async (options) => {
    const megabytes = (): number => {
      collect?.();
      return process.memoryUsage().heapUsed / 2 ** 20;
    };
    const deltas = async function* (): AsyncGenerator<string> {
      for (let i = 0; i < 100_000; i += 1) yield `${i} #${i} and more of it `;
    };
    const before = megabytes();
    let seen = 0;
    let half = 0;
    await run(extract(/#\d+/, options), deltas()).forEach((part) => {
      if (isJson(part)) seen += 1;
      if (seen === 50_000 && half === 0) half = megabytes();
    });
    expect(seen).toBe(100_000);
    expect(half - before).toBeLessThan(6);
  });
});

describe("bad options are refused by name", () => {
  const cases: readonly (readonly [() => unknown, RegExp])[] = [
    [() => extract(wrong("a")), /extract: pattern must be a regular expression, got "a"/],
    [() => extract(/a/, { maxChars: 0 }), /extract: maxChars must be a whole number from 1, got number 0/],
    [() => extract(/a/, { keep: wrong("yes") }), /extract: keep must be a boolean, got "yes"/],
    [() => extract(/a/, { start: "" }), /extract: start must be a string that is not empty/],
    [() => extract(/a/, { start: wrong(5) }), /extract: start must be .* got number 5/],
    [() => extract(/a/, { start: /https?:/ }), /extract: start must be a regular expression that matches a single character, got "https\?:"/],
    [() => extract(/a/, { end: "b" }), /extract: end must be given together with start, got "b"/],
    [() => extract(/a/, { start: "a", end: "" }), /extract: end must be/],
    [() => extractUrls({ as: wrong("text") }), /extractUrls: as must be "json" or "uri", got "text"/],
    [() => extractUrls({ keep: wrong(1) }), /extractUrls: keep/],
    [() => extractUrls({ maxChars: -1 }), /extractUrls: maxChars/],
  ];
  for (const [index, [build, says]] of cases.entries()) test(`${index + 1}: ${says.source}`, () => expect(build).toThrow(says));

  test("a class of rare characters is a good start all the same", () => {
    expect(() => extract(/😀/u, { start: /😀/u })).not.toThrow();
  });
});

describe("Y2: extractUrls", () => {
  const urlsIn = async (input: Parameters<typeof run>[1]): Promise<string[]> =>
    (await run(extractUrls(), input).collect()).filter(isJson).map((part) => (part.value as { url: string }).url);

  test("URLs become JSON parts in their place", async () => {
    const parts = await run(extractUrls(), "See https://example.com/a, or not.").collect();
    expect(parts.map((part) => (isText(part) ? part.text : part.kind === "json" ? part.value : part.kind))).toEqual([
      "See ",
      { url: "https://example.com/a", index: 4 },
      ", or not.",
    ]);
    expect(parts[1]?.mimeType).toBe("application/json; type=url");
  });

  test("or uri parts, and keep leaves them in the text", async () => {
    const [part] = await run(extractUrls({ as: "uri" }), text("http://a.b", { role: "assistant", metadata: { n: 1 } })).collect();
    expect(part).toMatchObject({ kind: "uri", uri: "http://a.b", role: "assistant", metadata: { n: 1 } });
    expect(await run(extractUrls({ keep: true }), "a http://a.b c").text()).toBe("a http://a.b c");
  });

  const found: Readonly<Record<string, readonly string[]>> = {
    "punctuation at the end: https://a.b/c. https://a.b/c, https://a.b/c?! https://a.b/c: **https://a.b/c** 'https://a.b/c'": Array.from({ length: 6 }, () => "https://a.b/c"),
    "inside it stays: https://a.b/c.d,e;f?g=1.5&h=i!j#k.": ["https://a.b/c.d,e;f?g=1.5&h=i!j#k"],
    "brackets: (https://a.b/c) [https://a.b/c] https://a.b/c_(d) (https://a.b/c_(d)) https://a.b/(c": [
      "https://a.b/c", "https://a.b/c", "https://a.b/c_(d)", "https://a.b/c_(d)", "https://a.b/(c",
    ],
    "Markdown: [x](https://a.b/c)[y](https://d.e) <https://f.g> `https://h.i`": ["https://a.b/c", "https://d.e", "https://f.g", "https://h.i"],
    "HTML: <a href=\"https://a.b/?c=1&amp;d=2\">https://e.f</a> https://g.h/?i&gt;": ["https://a.b/?c=1&amp;d=2", "https://e.f", "https://g.h/?i"],
    "user, port and address: https://me:secret@a.b:8080/ http://[::1]:80/x http://127.0.0.1": ["https://me:secret@a.b:8080/", "http://[::1]:80/x", "http://127.0.0.1"],
    "case and scripts: HTTP://A.B/C https://de.wikipedia.org/wiki/Köln 请看https://a.b/路径。谢谢": ["HTTP://A.B/C", "https://de.wikipedia.org/wiki/Köln", "https://a.b/路径"],
    "no URL: http:// https://. http://:80 xhttp://a.b git+https://a.b ftp://a.b www.a.b hhttps:/a.b": [],
    "two schemes: http://a.b/?to=http://c.d": ["http://a.b/?to=http://c.d"],
  };
  for (const [input, urls] of Object.entries(found)) {
    test(input.slice(0, input.indexOf(":")), async () => {
      expect(await urlsIn(input)).toEqual(urls);
      expect(await urlsIn(input.split(""))).toEqual(urls);
      const parts = await run(extractUrls({ keep: true }), input.match(/.{1,7}/gsu) ?? []).collect();
      expect(texts(parts.filter(isText)).join("")).toBe(input);
    });
  }

  test("a URL of maxChars or more is left as text, not given by half", async () => {
    const long = `https://a.b/${"c".repeat(100)}`;
    expect(await urlsIn(`${long} x`)).toEqual([long]);
    const parts = await run(extractUrls({ maxChars: 50 }), `${long} x http://d.e`).collect();
    expect(parts.filter(isJson).map((part) => part.value)).toEqual([{ url: "http://d.e", index: long.length + 3 }]);
    const closed = await run(extractUrls({ maxChars: 50 }), `(http://d.e)${"c".repeat(100)}`).collect();
    expect(closed.filter(isJson).map((part) => part.value)).toEqual([{ url: "http://d.e", index: 1 }]);
    for (const length of [37, 38]) expect(await run(extractUrls({ maxChars: 50 }), `https://a.b/${"c".repeat(length)}`).text()).toHaveLength(length === 37 ? 0 : 50);
  });

  test("a URL is given as soon as it is over, and text without an h at once", async () => {
    const iterator = run(extractUrls({ as: "uri" }), stalledSource(["so: ", "http://a.b", "/c ", "d"]))[Symbol.asyncIterator]();
    expect((await soon(iterator.next())).value).toMatchObject({ text: "so: " });
    const url = (await soon(iterator.next())).value as Part;
    expect(isUri(url) && url.uri).toBe("http://a.b/c");
    expect((await soon(iterator.next())).value).toMatchObject({ text: " " });
    expect((await soon(iterator.next())).value).toMatchObject({ text: "d" });
    await iterator.return?.();
  });

  test("a million hostile characters take time in proportion", async () => {
    const million = 1_000_000;
    const began = processorMs();
    for (const unit of ["h", "http://", "https://a.b/(", "http://a.b)", "http://a.b/&amp;", "(", " h"]) {
      const input = unit.repeat(million / unit.length);
      for (const content of [[input], input.match(/.{1,100}/g) ?? []]) await run(extractUrls(), content).forEach(() => {});
    }
    expect(processorMs() - began).toBeLessThan(25_000);
  });
});
