import { describe, expect, test } from "vitest";
import { debug, each, from, isMillraceError, json, type Part, pipe, run, status, text } from "../../src/index.ts";
import { watchedSource } from "../../src/testing/index.ts";
import { append, insert, opaque, texts, textsOf, turns } from "./support.ts";

const wrong = (value: unknown): never => value as never;
const collect = async (stream: AsyncIterable<Part>): Promise<Part[]> => {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
};

describe("S5: from takes anything content-like", () => {
  const forms: Readonly<Record<string, () => Parameters<typeof from>[0]>> = {
    "a string": () => "ab",
    "a part": () => text("ab"),
    "an array": () => ["ab"],
    "a set": () => new Set(["ab"]),
    "a generator": () =>
      (function* () {
        yield "ab";
      })(),
    "an async generator": () =>
      (async function* () {
        yield "ab";
      })(),
    "a ReadableStream": () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue("ab");
          controller.close();
        },
      }),
    "another from": () => from("ab"),
    "a run": () => run(pipe(), "ab"),
  };
  for (const [name, make] of Object.entries(forms)) {
    test(`C10: ${name} of "ab" is one part`, async () => {
      expect(await collect(from(make()))).toEqual([text("ab")]);
      expect(await run(opaque, make()).collect()).toEqual([text("ab")]);
      expect(await run(each((part) => part, { concurrency: 2 }), make()).collect()).toEqual([text("ab")]);
    });
  }

  test("C10: nothing of nothing; an empty string is a part", async () => {
    expect(await collect(from([]))).toEqual([]);
    expect(await collect(from(""))).toEqual([text("")]);
  });

  test("bytes are a part of no known type, a Blob has its own", async () => {
    expect(await collect(from([new Uint8Array([1])]))).toMatchObject([{ kind: "bytes", mimeType: "application/octet-stream" }]);
    expect(await collect(from(new Blob(["ab"], { type: "image/png" })))).toMatchObject([{ kind: "bytes", mimeType: "image/png" }]);
  });

  test("C11: anything else is invalid_input, and says what was met", async () => {
    for (const value of [5, undefined, null, true, {}, () => "a", Symbol("s")]) {
      expect(() => from(wrong(value))).toThrow(/from: needs a string, a part/);
    }
  });

  test("C11: as an item, after the items before it", async () => {
    for (const bad of [null, undefined, 5, {}, ["nested"], { kind: "text" }]) {
      const seen: Part[] = [];
      let caught: unknown;
      try {
        for await (const part of run(pipe(), ["a", wrong(bad), "b"])) seen.push(part);
      } catch (error) {
        caught = error;
      }
      expect(texts(seen)).toEqual(["a"]);
      expect(isMillraceError(caught, "invalid_input"), String(caught)).toBe(true);
    }
  });
});

describe("S7: a stream is read once, a processor any number of times", () => {
  test("C14: a second reading is an error with code closed", async () => {
    const stream = run(pipe(), "a");
    await stream.collect();
    await expect(stream.collect()).rejects.toMatchObject({ code: "closed" });
    await expect(stream.text()).rejects.toMatchObject({ code: "closed" });
    await expect(collect(stream)).rejects.toMatchObject({ code: "closed" });
  });

  test("C15: fifty runs of one pipeline at once see only their own parts", async () => {
    const counted = pipe(
      append("-"),
      opaque,
      each(async (part) => part, { concurrency: 3 }),
    );
    const runs = Array.from({ length: 50 }, (_, i) => run(counted, [`${i}a`, `${i}b`]).text());
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}a-${i}b-`));
  });
});

describe("S8: terminals", () => {
  const mixed = ["a", status("s"), debug("d"), "b"];

  test("C16: text() is the main substream, collect() is everything", async () => {
    expect(await run(pipe(), mixed).text()).toBe("ab");
    expect(await run(opaque, mixed).text({ substream: "status" })).toBe("s");
    expect((await run(pipe(), mixed).collect()).length).toBe(4);
  });

  test("C17: forEach whose function throws closes the source; the third part is never pulled", async () => {
    for (const fail of [() => Promise.reject(new Error("no")), () => { throw new Error("no"); }]) {
      const source = watchedSource(Infinity);
      let calls = 0;
      const reading = run(opaque, source).forEach(() => {
        calls += 1;
        return calls === 2 ? fail() : undefined;
      });
      await expect(reading).rejects.toThrow("no");
      expect([calls, source.pulls, source.closed]).toEqual([2, 2, 1]);
    }
  });

  test("forEach waits for its function before it pulls again", async () => {
    const source = watchedSource(Infinity);
    let go!: () => void;
    const reading = run(each((part) => part), source, {}).forEach(() => new Promise<void>((resolve) => (go = resolve)));
    reading.catch(() => {});
    await turns();
    expect(source.pulls).toBe(1);
    go();
    await turns();
    expect(source.pulls).toBe(2);
  });

  test("C18: an empty text of nothing", async () => {
    expect(await run(pipe(), "").text()).toBe("");
    expect(await run(pipe(), []).text()).toBe("");
  });

  test("json(): the value of the one JSON part, else the text, parsed", async () => {
    expect(await run(pipe(), json({ a: 1 })).json()).toEqual({ a: 1 });
    expect(await run(pipe(), ['{"a"', ":1}"]).json()).toEqual({ a: 1 });
    expect(await run(pipe(), ["ignored", json(null)]).json()).toBe(null);
    await expect(run(pipe(), "{").json()).rejects.toMatchObject({ code: "bad_response", partial: { parts: 1, text: "{" } });
    await expect(run(pipe(), [json(1), json(2)]).json()).rejects.toMatchObject({ code: "bad_response" });
  });

  test("toReadableStream() gives the parts and closes", async () => {
    const seen: Part[] = [];
    const reader = run(insert("x"), ["a", "b"]).toReadableStream().getReader();
    for (let result = await reader.read(); !result.done; result = await reader.read()) seen.push(result.value);
    expect(texts(seen)).toEqual(["x", "a", "x", "b"]);
  });
});

test("S13, C27: pipelines are values: nesting does not matter, arguments stay as they were", async () => {
  const a = append("a");
  const p = pipe(a);
  const q = pipe(p, append("b"));
  expect(await textsOf(p, "x")).toEqual(["xa"]);
  expect(await textsOf(q, "x")).toEqual(["xab"]);
  expect(await textsOf(pipe(pipe(a, opaque), pipe(), pipe(pipe(a))), "x")).toEqual(["xaa"]);
  expect(pipe(a)).toBe(a);
});

test("a processor called without a run is a run of its own", async () => {
  expect(texts(await collect(append("!")(from(["a", "b"]))))).toEqual(["a!", "b!"]);
});
