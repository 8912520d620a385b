import { describe, expect, test } from "vitest";
import { bytes, type Context, each, image, isText, json, type Part, pipe, run, status, text } from "../../src/index.ts";
import { content, prompt } from "../../src/streams/prompt.ts";
import { stalledSource, watchedSource } from "../../src/testing/index.ts";
import { opaque, soon, texts, textsOf, turns } from "./support.ts";

const wrong = (value: unknown): never => value as never;

describe("N2: prompt", () => {
  test("text and values around the stream; neighbours are one part", async () => {
    expect(await textsOf(prompt`Summarise ${"this"}: ${content} in ${3} lines`, ["a", "b"])).toEqual(["Summarise this: ", "a", "b", " in 3 lines"]);
    expect(await textsOf(prompt`${content}`, ["a", "b"])).toEqual(["a", "b"]);
    expect(await textsOf(prompt`${"a"}${""}${1.5}${-0}`, [])).toEqual(["a1.50"]);
    expect(await textsOf(prompt`x ${content}`, [])).toEqual(["x "]);
  });

  test("text is of role user, on the main substream", async () => {
    expect(await run(prompt`a${content}`, []).collect()).toEqual([text("a")]);
  });

  test("what flows through is multimodal and unchanged, JSON too", async () => {
    const parts = [text("a", { role: "assistant", metadata: { n: 1 } }), image(new Uint8Array(2)), json({ a: [1] })];
    const made = await run(prompt`<${content}>`, parts).collect();
    expect(texts(made)).toEqual(["<", "a", "bytes", "json", ">"]);
    expect(made.slice(1, -1).every((part, i) => part === parts[i])).toBe(true);
  });

  test("holes hold parts, arrays of parts, other content and functions of the context", async () => {
    const picture = image(new Uint8Array(1));
    const stage = prompt`Look: ${picture}${[json(1), "two"]} for ${(context: Context) => context.correlationId}: ${async function* () {
      yield "late ";
      yield bytes(new Uint8Array(1), "a/b");
    }}${content}`;
    for (let i = 0; i < 2; i += 1) {
      const parts = await run(stage, "end", { correlationId: "me" }).collect();
      expect(texts(parts)).toEqual(["Look: ", "bytes", "json", "two", " for ", "me", ": ", "late ", "bytes", "end"]);
      expect(parts[1]).toBe(picture);
    }
  });

  test("values are never read as a template", async () => {
    const sly = "${content} {{content}} \\u0041 %s $1 `";
    expect(await run(prompt`a ${sly} b ${content}`, sly).text()).toBe(`a ${sly} b ${sly}`);
    expect(await run(prompt`a\tb \${content} ${content}`, "x").text()).toBe("a\tb ${content} x");
  });

  test("the stream flows live, and its source is not opened before what stands before it is through", async () => {
    const source = stalledSource(["a"]);
    const iterator = run(prompt`x ${content} y`, source)[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ text: "x " });
    expect(source.opened).toBe(0);
    expect((await soon(iterator.next())).value).toMatchObject({ text: "a" });
    await iterator.return?.();
    expect(source.closed).toBe(1);
  });

  test("several holes: the first is live, the others get the same parts again", async () => {
    const part = json(1);
    const stage = prompt`1: ${content} 2: ${content}${content}.`;
    for (let i = 0; i < 2; i += 1) {
      const parts = await run(stage, ["a", part]).collect();
      expect(texts(parts)).toEqual(["1: ", "a", "json", " 2: ", "a", "json", "a", "json", "."]);
      expect(parts.filter((made) => made === part)).toHaveLength(3);
    }
    const iterator = run(stage, stalledSource(["a"]))[Symbol.asyncIterator]();
    await iterator.next();
    expect((await soon(iterator.next())).value).toMatchObject({ text: "a" });
    await iterator.return?.();
  });

  test("what several holes hold is bounded, in parts and in bytes; one hole holds nothing", async () => {
    const many = (count: number): Part[] => Array.from({ length: count }, () => text("x"));
    const twice = prompt`${content}${content}`;
    expect(await run(twice, many(10_000)).collect()).toHaveLength(20_000);
    await expect(run(twice, many(10_001)).collect()).rejects.toMatchObject({ code: "too_large" });
    const large = bytes(new Uint8Array(7_000_000), "a/b");
    const source = watchedSource([large, large, large, "never"]);
    await expect(run(twice, source).collect()).rejects.toMatchObject({ code: "too_large" });
    expect([source.pulls, source.closed]).toEqual([3, 1]);
    expect(await run(prompt`${content}`, many(20_000)).collect()).toHaveLength(20_000);
  });

  test("without a hole for it the stream is read to its end and left out", async () => {
    const source = watchedSource(["a", "b"]);
    expect(await textsOf(prompt`Tell a joke.`, source)).toEqual(["Tell a joke."]);
    expect([source.pulls, source.ended]).toEqual([3, true]);
    expect(await textsOf(prompt``, "a")).toEqual([]);
    await expect(run(prompt`Tell a joke.`, watchedSource(["a"], { failAt: 1, error: "E" })).collect()).rejects.toBe("E");
  });

  test("status parts go past it", async () => {
    const parts = await run(pipe(prompt`a${content}${content}`, opaque), [status("s"), "x"]).collect();
    expect(texts(parts.filter((part) => part.substream === ""))).toEqual(["a", "x", "x"]);
    expect(parts.filter((part) => part.substream === "status")).toHaveLength(1);
  });

  test("an error of the stream comes after what stood before it, and nothing after it", async () => {
    const seen: string[] = [];
    const reading = run(prompt`x${content}y`, watchedSource(["a"], { failAt: 1, error: "E" })).forEach((part) => seen.push(...texts([part])));
    await expect(reading).rejects.toBe("E");
    expect(seen).toEqual(["x", "a"]);
  });

  test("an abort while a hole is parked rejects with the reason and closes it", async () => {
    const controller = new AbortController();
    const hole = stalledSource();
    const all = run(prompt`x${() => hole}${content}`, "a", { signal: controller.signal }).collect();
    await turns();
    controller.abort("stop");
    await expect(soon(all)).rejects.toBe("stop");
    expect(hole.closed).toBe(1);
  });

  test("stands in a pipe like any stage, also in another prompt's way", async () => {
    const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
    expect(await run(pipe(shout, prompt`a ${content} b`, prompt`(${content})`), "x").text()).toBe("(a X b)");
  });

  test("a value that is no content is refused with the number of its hole", () => {
    for (const bad of [undefined, null, true, Number.NaN, {}, Symbol("x")]) {
      expect(() => prompt`${1} ${wrong(bad)}`).toThrow("prompt: hole 2 must be content");
    }
    expect(() => prompt`${wrong(new ReadableStream())}`).toThrow("prompt: hole 1 must be a function, for content that can be read only once");
    expect(() => prompt(wrong("a"))).toThrow("prompt: it must be called as a template");
    expect(() => prompt(wrong(["a"]))).toThrow("prompt: it must be called as a template");
    expect(() => prompt`\unicode`).toThrow("prompt: text 1 must be without invalid escapes");
  });
});
