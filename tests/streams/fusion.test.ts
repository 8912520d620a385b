import { describe, expect, test } from "vitest";
import { derive, each, filter, isText, type Part, type PartResult, pipe, run, status, tap, text } from "../../src/index.ts";
import { watchedSource } from "../../src/testing/index.ts";
import { insert, opaque, texts, textsOf } from "./support.ts";

const x = text("x");
const result = (value: unknown, input: Part | string = "x"): Promise<Part[]> => run(each(() => value as PartResult), input).collect();

describe("S10: what a part function may return", () => {
  test("C20", async () => {
    expect(texts(await result("ab"))).toEqual(["ab"]);
    expect(texts(await result(["a", text("b"), undefined]))).toEqual(["a", "b"]);
    expect(await result(Promise.resolve(undefined))).toEqual([]);
    expect(texts(await run(each(function* () { yield "a"; yield "b"; }), x).collect())).toEqual(["a", "b"]);
    expect(texts(await run(each(async function* () { yield "a"; yield undefined; yield text("b"); }), x).collect())).toEqual(["a", "b"]);
    expect(texts(await result(Promise.resolve(["a", "b"])))).toEqual(["a", "b"]);
    expect(texts(await result(new Set(["a", "b"])))).toEqual(["a", "b"]);
    expect(await result([])).toEqual([]);
    expect(await result([undefined])).toEqual([]);
  });

  test.each([
    ["null", null],
    ["a number", 7],
    ["a plain object", { text: "a" }],
    ["a nested array", [["a"]]],
    ["null in an array", ["a", null]],
    ["a promise of null", Promise.resolve(null)],
    ["a promise of a promise-like number", Promise.resolve(5)],
    ["true", true],
    ["an object with a kind and nothing else", { kind: "text" }],
  ])("C21: %s is invalid_input", async (_, value) => {
    for (const concurrency of [1, 4]) {
      await expect(run(each(() => value as never, { concurrency }), "x").collect()).rejects.toMatchObject({ code: "invalid_input" });
    }
  });

  test("C21: a string takes role and substream of its part, however it is returned", async () => {
    const draft = text("a", { role: "assistant", substream: "draft", metadata: { n: 1 } });
    for (const value of ["b", ["b"], Promise.resolve("b"), (function* () { yield "b"; })(), (async function* () { yield "b"; })()]) {
      expect(await result(value, draft)).toEqual([text("b", { role: "assistant", substream: "draft" })]);
    }
    expect(await run(each(() => ["b", "c"], { concurrency: 2 }), draft).collect()).toMatchObject([{ substream: "draft" }, { substream: "draft" }]);
  });
});

describe("S11: match refuses, the part passes by", () => {
  test("C22: through a hundred stages that refuse, the same object, no call", async () => {
    let calls = 0;
    const refusing = each(() => {
      calls += 1;
      return undefined;
    }, { match: () => false });
    const [out] = await run(pipe(...Array.from({ length: 100 }, () => refusing)), x).collect();
    expect(out).toBe(x);
    expect(calls).toBe(0);
  });

  test("C23: match looks at the part that arrives at its stage", async () => {
    const stage = each((part) => [part, text("1")], { match: (part) => isText(part) && part.text === "0" });
    expect(await textsOf(pipe(stage, stage), ["0", "1"])).toEqual(["0", "1", "1", "1"]);
  });

  test("a match that throws fails the run", async () => {
    const match = (): boolean => {
      throw new Error("match");
    };
    await expect(run(each((part) => part, { match }), "x").collect()).rejects.toThrow("match");
    await expect(run(each((part) => part, { match, concurrency: 2 }), "x").collect()).rejects.toThrow("match");
  });
});

describe("S12: fused is unseen", () => {
  const twice = each((part) => [part, part]);
  const stages = [twice, insert("1"), insert("2")];

  test("C24: depth first; the same with an opaque stage anywhere", async () => {
    const expected = ["2", "1", "2", "0", "2", "1", "2", "0"];
    expect(await textsOf(pipe(...stages), "0")).toEqual(expected);
    for (let at = 0; at <= stages.length; at += 1) {
      expect(await textsOf(pipe(...stages.slice(0, at), opaque, ...stages.slice(at)), "0")).toEqual(expected);
    }
    expect(await textsOf(pipe(...stages.flatMap((stage) => [opaque, stage])), "0")).toEqual(expected);
  });

  test.each([
    ["sync", function* (closed: () => void) { try { for (let i = 0; ; i += 1) yield String(i); } finally { closed(); } }],
    ["async", async function* (closed: () => void) { try { for (let i = 0; ; i += 1) yield String(i); } finally { closed(); } }],
  ] as const)("C25: of an endless %s generator only what is asked for is made", async (_, make) => {
    let made = 0;
    let closed = 0;
    const counting = each((part) => {
      made += 1;
      return part;
    });
    let taken = 0;
    for await (const _part of run(pipe(each(() => make(() => { closed += 1; })), counting), "x")) {
      taken += 1;
      if (taken === 3) break;
    }
    expect(made).toBeLessThanOrEqual(4);
    expect(closed).toBe(1);
  });

  test("C26: 100,000 parts, one part that becomes 100,000, 1,000 dropped in a row: no stack overflows", async () => {
    const many = Array.from({ length: 100_000 }, () => x);
    const ten = pipe(...Array.from({ length: 10 }, () => each((part) => part)));
    expect((await run(ten, many).collect()).length).toBe(100_000);
    expect((await run(pipe(each(() => many), ten), "x").collect()).length).toBe(100_000);
    expect((await run(each(() => many, { concurrency: 2 }), "x").collect()).length).toBe(100_000);
    expect(await run(filter(() => false), many.slice(0, 1_000)).collect()).toEqual([]);
    expect(await run(filter(() => false), (async function* () { yield* many.slice(0, 1_000); })()).collect()).toEqual([]);
    expect((await run(each(function* () { for (let i = 0; i < 1_000; i += 1) yield* [undefined, undefined]; yield x; }), "x").collect()).length).toBe(1);
  });

  test("C26: synchronous stages over an array need no turn of the event loop", async () => {
    let turn = false;
    setTimeout(() => {
      turn = true;
    }, 0);
    const iterator = run(pipe(twice, filter(() => true)), ["a", "b"])[Symbol.asyncIterator]();
    for (let i = 0; i < 4; i += 1) await iterator.next();
    expect(turn).toBe(false);
    await iterator.return?.();
  });

  test("C33: an endless source through ten sequential stages is pulled as often as asked", async () => {
    const source = watchedSource(Infinity);
    const iterator = run(pipe(...Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? opaque : each(async (part) => part)))), source)[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i += 1) await iterator.next();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(source.pulls).toBeLessThanOrEqual(4);
    await iterator.return?.();
  });

  test("reserved parts among results go out, the others go on", async () => {
    const stage = each((part) => [status("s"), part, status("t")]);
    const seen: string[] = [];
    const parts = await run(pipe(stage, tap((part) => seen.push(part.kind === "text" ? part.text : "?"))), "a").collect();
    expect(seen).toEqual(["a"]);
    expect(texts(parts).sort()).toEqual(["a", "s", "t"]);
  });
});

describe("S46: small verbs", () => {
  test("tap waits, ignores the value and hands on the same object", async () => {
    let done = false;
    const [out] = await run(tap(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      done = true;
      return text("ignored");
    }), x).collect();
    expect(out).toBe(x);
    expect(done).toBe(true);
    await expect(run(tap(() => Promise.reject(new Error("tap"))), x).collect()).rejects.toThrow("tap");
  });

  test("filter may be async; two in a row are both asked", async () => {
    const parts = ["1", "2", "3", "4"];
    const even = filter(async (part) => isText(part) && Number(part.text) % 2 === 0);
    const large = filter((part) => isText(part) && Number(part.text) > 2);
    expect(await textsOf(pipe(even, large), parts)).toEqual(["4"]);
  });

  test("derive in a stage makes new parts and leaves the old ones", async () => {
    const input = [text("a", { metadata: { n: 1 } })];
    const [out] = await run(each((part) => derive(part, { metadata: { n: 2 } })), input).collect();
    expect([out?.metadata.n, input[0]?.metadata.n]).toEqual([2, 1]);
  });
});
