import fc from "fast-check";
import { expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import { splitBytes } from "../../src/testing/split-bytes.ts";
import { jsonLines } from "../../src/wire/json-lines.ts";

const numRuns = Number(process.env.PROPERTY_RUNS ?? 200);

/** A body in these pieces, which says whether it was let go. */
function bodyOf(pieces: Iterable<Uint8Array>): { readonly body: ReadableStream<Uint8Array>; readonly left: () => number } {
  const iterator = pieces[Symbol.iterator]();
  let left = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const { done, value } = iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel() {
        left += 1;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, left: () => left };
}

const linesOf = (values: readonly unknown[], end = "\n"): Uint8Array => new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}${end}`).join(""));

async function read(bytes: Iterable<Uint8Array>): Promise<{ readonly values: unknown[]; readonly error: unknown }> {
  const values: unknown[] = [];
  try {
    for await (const value of jsonLines("test", bodyOf(bytes).body)) values.push(value);
  } catch (error) {
    return { values, error };
  }
  return { values, error: undefined };
}

const objects = fc.array(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { maxKeys: 3, noNullPrototype: true }), { maxLength: 8 });
const jsonOf = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("any values, cut anywhere, with any line end, come out as they went in", async () => {
  await fc.assert(
    fc.asyncProperty(objects, fc.constantFrom("\n", "\r\n", "\n\n", " \r\n\r\n"), fc.constantFrom("whole" as const, 1, 2, 7), async (values, end, split) => {
      expect(await read(splitBytes(linesOf(values, end), split))).toEqual({ values: jsonOf(values), error: undefined });
    }),
    { numRuns },
  );
});

test("any beginning gives the whole values in it, and is truncated where it ends within one", async () => {
  await fc.assert(
    fc.asyncProperty(objects, fc.nat(), async (values, cut) => {
      const bytes = linesOf(values).subarray(0, cut % (linesOf(values).length + 1));
      const { values: got, error } = await read([bytes]);
      expect(got).toEqual((jsonOf(values) as unknown[]).slice(0, got.length));
      const rest = bytes.length - linesOf(values.slice(0, got.length)).length;
      if (rest > 0) expect(isMillraceError(error, "truncated")).toBe(true); // -1: a last line without its end
      else expect(error).toBeUndefined();
    }),
    { numRuns },
  );
});

test.each([
  ["a line that is no JSON", '{"a":1}\nsecret words\n{"b":2}\n', "bad_response", 1],
  ["two values in a line", '{"a":1}{"b":2}\n', "bad_response", 0],
  ["the half of a value at the end", '{"a":1}\n{"secret words', "truncated", 1],
])("%s is an error that quotes nothing of it", async (_, text, code, before) => {
  const { values, error } = await read([new TextEncoder().encode(text)]);
  expect(values.length).toBe(before);
  expect(error).toMatchObject({ code, service: "test" });
  expect(`${String(error)} ${String((error as Error).cause)}`).not.toContain("secret");
});

test.each([
  ["within a line", [0xff, 0x0a]],
  ["a character that ends with its line", [0xe2, 0x82, 0x0a]],
])("bytes that are no UTF-8 (%s) take nothing of the lines that came in the same piece before them", async (_, bytes) => {
  const { values, error } = await read([Uint8Array.of(...linesOf([{ a: "é" }, { b: 2 }]), ...bytes, ...linesOf([{ c: 3 }]))]);
  expect(values).toEqual([{ a: "é" }, { b: 2 }]);
  expect(error).toMatchObject({ code: "bad_response", service: "test" });
});

test("what the body throws comes out, after the values before it", async () => {
  const broken = new Error("the wire broke");
  function* pieces(): Generator<Uint8Array> {
    yield linesOf([{ a: 1 }]);
    throw broken;
  }
  expect(await read(pieces())).toEqual({ values: [{ a: 1 }], error: broken });
});

test("leaving lets go of the body, of which no more is read than was needed", async () => {
  let pulled = 0;
  function* endless(): Generator<Uint8Array> {
    for (;;) {
      pulled += 1;
      yield linesOf([pulled]);
    }
  }
  const { body, left } = bodyOf(endless());
  for await (const value of jsonLines("test", body)) if (value === 3) break;
  expect([pulled, left()]).toEqual([3, 1]);
});

test("no body holds no values", async () => {
  for await (const _ of jsonLines("test", null)) expect.unreachable();
});
