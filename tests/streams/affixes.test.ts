import { describe, expect, test } from "vitest";
import { type Context, from, json, type Part, pipe, run, split, status, take, text } from "../../src/index.ts";
import { append } from "../../src/streams/append.ts";
import { prepend } from "../../src/streams/prepend.ts";
import { stalledSource, watchedSource } from "../../src/testing/index.ts";
import { gate, opaque, soon, texts, textsOf, turns } from "./support.ts";

const wrong = (value: unknown): never => value as never;
const both = [
  { name: "prepend", affix: prepend, expected: ["x", "a"] },
  { name: "append", affix: append, expected: ["a", "x"] },
] as const;

for (const { name, affix, expected } of both) {
  describe(name, () => {
    test("content of any kind, in every run", async () => {
      const part = text("x", { role: "system" });
      for (const content of ["x", part, ["x"], [part], new Set(["x"]), () => "x", () => [part], () => from("x"), () => watchedSource(["x"])]) {
        const stage = affix(content);
        expect(await textsOf(stage, "a")).toEqual(expected);
        expect(await textsOf(stage, "a")).toEqual(expected);
      }
      for (const content of [json(1), new Uint8Array(1), new Blob(["b"]), [json(1), new Uint8Array(1)]]) {
        const stage = affix(content);
        expect(texts(await run(stage, []).collect())).toEqual(texts(await run(stage, []).collect()));
        expect(await run(stage, []).collect()).not.toEqual([]);
      }
    });

    test("parts are handed on as they are, so a trusted system part stays one", async () => {
      const part = text("x", { role: "system", metadata: { a: 1 } });
      expect(await run(affix(part), "a").collect()).toContain(part);
    });

    test("an empty stream gets it too, and nothing is added for empty content", async () => {
      expect(await textsOf(affix("x"), [])).toEqual(["x"]);
      expect(await textsOf(affix([]), "a")).toEqual(["a"]);
    });

    test("a function gives it anew for each run, from the context", async () => {
      let runs = 0;
      const stage = affix((context: Context) => {
        runs += 1;
        return [`${context.correlationId}${runs}`];
      });
      expect(runs).toBe(0);
      const made = await run(stage, [], { correlationId: "c" }).text();
      expect([made, await run(stage, [], { correlationId: "d" }).text()]).toEqual(["c1", "d2"]);
      const waiting = affix(async function* () {
        await turns(1);
        yield "x";
      });
      expect(await textsOf(waiting, "a")).toEqual(expected);
      expect(await textsOf(waiting, "a")).toEqual(expected);
    });

    test("fifty runs at once each see all of it", async () => {
      const stage = pipe(affix(["x", "y"]), opaque);
      const all = await Promise.all(Array.from({ length: 50 }, (_, i) => run(stage, String(i)).text()));
      expect(all.every((it, i) => it.includes("xy") && it.length === String(i).length + 2)).toBe(true);
    });

    test("an array that the caller changes afterwards changes nothing", async () => {
      const content = ["x"];
      const stage = affix(content);
      content.push("y");
      expect(await textsOf(stage, "a")).toEqual(expected);
    });

    test("reserved parts in it come out once", async () => {
      const parts = await run(pipe(affix([status("s"), "x"]), opaque), "a").collect();
      expect(texts(parts).toSorted()).toEqual(["a", "s", "x"]);
    });

    test("nothing is opened before the first pull", async () => {
      const source = watchedSource(["a"]);
      const content = watchedSource(["x"]);
      run(affix(() => content), source);
      await turns();
      expect([source.opened, content.opened]).toEqual([0, 0]);
    });

    test("leaving while its content is parked closes it, and the input is not left open", async () => {
      const source = watchedSource([]);
      const content = stalledSource();
      const iterator = run(pipe(affix(() => content), opaque), source)[Symbol.asyncIterator]();
      const next = iterator.next();
      await turns();
      await soon(Promise.resolve(iterator.return?.()));
      expect(await soon(next)).toEqual({ value: undefined, done: true });
      expect([content.opened, content.closed]).toEqual([1, 1]);
      expect(source.opened).toBe(name === "prepend" ? 0 : 1);
    });

    test("an abort while its content is parked rejects with the reason and closes it", async () => {
      const controller = new AbortController();
      const content = stalledSource();
      const all = run(affix(() => content), [], { signal: controller.signal }).collect();
      await turns();
      controller.abort("stop");
      await expect(soon(all)).rejects.toBe("stop");
      expect(content.closed).toBe(1);
    });

    test("what the content throws fails the run, the very object, after the parts before it", async () => {
      const seen: string[] = [];
      const content = watchedSource(["x"], { failAt: 1, error: "E" });
      const reading = run(affix(() => content), "a").forEach((part) => seen.push(...texts([part])));
      await expect(reading).rejects.toBe("E");
      expect(seen).toEqual(name === "prepend" ? ["x"] : ["a", "x"]);
      const thrown = new Error("function");
      await expect(run(affix(() => { throw thrown; }), "a").collect()).rejects.toBe(thrown);
    });

    test("what is no content, or can be read only once, is refused when the stage is built", () => {
      for (const bad of [undefined, null, 5, true, {}]) expect(() => affix(wrong(bad))).toThrow(new RegExp(`^${name}: content must be content`));
      expect(() => affix(wrong([null]))).toThrow("from: an item must be a part");
      const generator = (function* () { yield "x"; })();
      const asyncGenerator = (async function* () { yield "x"; })();
      for (const once of [generator, asyncGenerator, new ReadableStream(), run(pipe(), "x"), from("x"), watchedSource(["x"]), ["x"].values()]) {
        expect(() => affix(wrong(once))).toThrow(new RegExp(`^${name}: content must be a function, for content that can be read only once`));
      }
    });

    test("a promise is no content: it is said what to give instead", async () => {
      await expect(run(affix(wrong(async () => "x")), "a").collect()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("async function*") });
    });
  });
}

describe("prepend", () => {
  test("the input is not opened before the content is through", async () => {
    const wait = gate();
    const source = watchedSource(["a"]);
    const content = async function* (): AsyncGenerator<string> {
      yield "x";
      await wait.promise;
    };
    const iterator = run(prepend(content), source)[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ text: "x" });
    const next = iterator.next();
    await turns();
    expect(source.opened).toBe(0);
    wait.open();
    expect((await soon(next)).value).toMatchObject({ text: "a" });
    await iterator.return?.();
    expect(source.closed).toBe(1);
  });

  test("content that fails closes the input, which nobody has read", async () => {
    const [first, second] = split(watchedSource(40), 2, { lag: 4 });
    const fails = prepend(() => {
      throw new Error("no");
    });
    await expect(run(fails, first as AsyncIterable<Part>).collect()).rejects.toThrow("no");
    expect(await soon(run(pipe(), second as AsyncIterable<Part>).collect())).toHaveLength(40); // not held up by its sibling
  });

  test("taking only the content never opens the input", async () => {
    const source = watchedSource(["a"]);
    expect(await textsOf(pipe(prepend(["x", "y"]), take(1)), source)).toEqual(["x"]);
    expect(source.opened).toBe(0);
  });
});

describe("append", () => {
  test("the content is opened when the input has ended, not before", async () => {
    const content = watchedSource(["x"]);
    const iterator = run(append(() => content), watchedSource(["a"]))[Symbol.asyncIterator]();
    await iterator.next();
    expect(content.opened).toBe(0);
    await iterator.next();
    expect(content.opened).toBe(1);
    await iterator.return?.();
    expect(content.closed).toBe(1);
  });

  test("never behind an input that failed or was left", async () => {
    const content = watchedSource(["x"]);
    const seen: string[] = [];
    await expect(run(append(() => content), watchedSource(["a"], { failAt: 1, error: "E" })).forEach((part) => seen.push(...texts([part])))).rejects.toBe("E");
    for await (const _part of run(append(() => content), watchedSource(Infinity))) break;
    expect([seen, content.opened]).toEqual([["a"], 0]);
  });
});

test("nested affixes stand around the stream in the order in which they are said", async () => {
  const stage = pipe(prepend("1"), prepend("0"), append("8"), append("9"));
  expect(await textsOf(stage, "-")).toEqual(["0", "1", "-", "8", "9"]);
  const parts: readonly Part[] = await run(stage, []).collect();
  expect(texts(parts)).toEqual(["0", "1", "8", "9"]);
});

test("a long content and a long input need no stack", async () => {
  const many = Array.from({ length: 100_000 }, () => "x");
  let count = 0;
  await run(pipe(prepend(many), append(many)), many).forEach(() => (count += 1));
  expect(count).toBe(300_000);
});
