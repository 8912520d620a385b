import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { each, isolate, isText, MillraceError, type Part, run, text } from "../../src/index.ts";
import type { IsolateOptions } from "../../src/streams/isolate.ts";
import { watchedSource } from "../../src/testing/index.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 300);

/** Fails for the parts named `x`. */
const parse = each((part) => {
  if (isText(part) && part.text === "x") throw new MillraceError("invalid_input", "bad x");
  return part;
});
const outcome = async (input: readonly string[], options: IsolateOptions, processor = parse): Promise<{ readonly out: number; readonly error: unknown; readonly pulls: number }> => {
  const source = watchedSource(input);
  let out = 0;
  let error: unknown;
  try {
    for await (const _ of run(isolate(processor, options), source)) out += 1;
  } catch (thrown) {
    error = thrown;
  }
  return { out, error, pulls: source.pulls };
};
const bad = (count: number): string[] => Array.from({ length: count }, () => "x");
const good = (count: number): string[] => Array.from({ length: count }, () => "a");

describe("E9: the error budget", () => {
  test("20 in a row are too many: the last error is thrown, of scope `dependency`, and no more is read", async () => {
    for (const onError of ["skip", () => undefined] as const) {
      const { error, pulls } = await outcome([...bad(20), ...good(10)], { onError });
      expect(error).toMatchObject({ code: "invalid_input", scope: "dependency", message: "isolate: 20 parts in a row failed, the last: bad x" });
      expect((error as Error).cause).toMatchObject({ code: "invalid_input", scope: "part" });
      expect(pulls).toBe(20);
    }
  });

  test("19 in a row, again and again, are not, in a stream shorter than the window", async () => {
    const { out, error } = await outcome([...bad(19), "a", ...bad(19), "a", ...bad(19)], { onError: "skip" });
    expect([out, error]).toEqual([2, undefined]);
  });

  test("10 of 200 may fail, the 11th of the last 200 may not", async () => {
    const spread = (failures: number): string[] => Array.from({ length: 200 }, (_, i) => (i % 18 === 0 && i / 18 < failures ? "x" : "a"));
    expect(await outcome(spread(10), { onError: "skip" })).toMatchObject({ out: 190, error: undefined });
    expect((await outcome([...spread(11), "x"], { onError: "skip" })).error).toMatchObject({ message: expect.stringContaining("11 of the last 200 parts failed") });
    expect(await outcome([...spread(10), ...good(199), ...spread(10)], { onError: "skip" })).toMatchObject({ out: 579, error: undefined });
  });

  test("one bad part in five is no outage", async () => {
    expect(await outcome(["x", "a", "a", "a", "a"], { onError: "skip" })).toMatchObject({ out: 4, error: undefined });
  });

  test("error parts stay in the stream, so they have no budget unless one is asked for", async () => {
    expect(await outcome(bad(300), {})).toMatchObject({ out: 300, error: undefined });
    expect((await outcome(bad(300), { errorBudget: {} })).error).toMatchObject({ scope: "dependency" });
  });

  test("`false` is no budget", async () => {
    expect(await outcome(bad(1_000), { onError: "skip", errorBudget: false })).toMatchObject({ out: 0, error: undefined });
  });

  test("a bug at that rate is told by its kind alone", async () => {
    const bug = each(() => {
      throw new TypeError("secret");
    });
    const { error } = await outcome(bad(3), { onError: "skip", errorBudget: { inARow: 3 } }, bug);
    expect(error).toMatchObject({ code: "bad_response", scope: "dependency", message: "isolate: 3 parts in a row failed, the last: TypeError" });
  });

  test("parts that fail half way, and those of an opaque processor, count once each", async () => {
    const halfway = each(function* (part: Part) {
      yield text("some");
      if (isText(part) && part.text === "x") throw new MillraceError("invalid_input", "bad");
      yield text("rest");
    });
    expect((await outcome([...bad(2), "a", ...bad(3), "a"], { onError: "skip", errorBudget: { inARow: 3 } }, halfway)).out).toBe(7);
    const opaque = async function* (input: AsyncIterable<Part>): AsyncGenerator<Part> {
      for await (const part of input) {
        if (isText(part) && part.text === "x") throw new MillraceError("invalid_input", "bad");
        yield part;
      }
    };
    expect((await outcome([...bad(2), "a", ...bad(3), "a"], { onError: "skip", errorBudget: { inARow: 3 } }, opaque)).pulls).toBe(6);
  });

  test("outputs, skipped and failed parts make up the inputs, and the limits are those of a plain count", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 60 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 8 }), fc.constantFrom(0, 0.2, 0.5, 1), async (fails, window, inARow, rate) => {
        let stop = -1;
        for (let i = 0; i < fails.length && stop === -1; i += 1) {
          const row = fails.slice(0, i + 1).reverse().findIndex((failed) => !failed);
          const last = fails.slice(Math.max(0, i + 1 - window), i + 1);
          if (fails[i] === true && ((row === -1 ? i + 1 : row) >= inARow || (last.length === window && last.filter(Boolean).length > rate * window))) stop = i;
        }
        const read = stop === -1 ? fails : fails.slice(0, stop + 1);
        const { out, error, pulls } = await outcome(fails.map((failed) => (failed ? "x" : "a")), { onError: "skip", errorBudget: { window, inARow, rate } });
        expect([out, error !== undefined, pulls]).toEqual([read.filter((failed) => !failed).length, stop !== -1, stop === -1 ? fails.length + 1 : stop + 1]);
      }),
      { numRuns: runs },
    );
  });

  test.each([
    [5, "errorBudget must be an object or false"],
    [{ rate: 2 }, "errorBudget.rate must be a number from 0 to 1"],
    [{ window: 0 }, "errorBudget.window must be a whole number"],
    [{ inARow: 0.5 }, "errorBudget.inARow must be a whole number"],
  ])("%o is refused", (errorBudget, message) => {
    expect(() => isolate(parse, { errorBudget: errorBudget as never })).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(message) }));
  });
});
