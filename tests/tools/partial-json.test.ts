import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonValue } from "../../src/index.ts";
import { PartialJson } from "../../src/tools/partial-json.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** What there is after these pieces. */
const after = (...pieces: readonly string[]): JsonValue | undefined => {
  const reader = new PartialJson();
  for (const piece of pieces) reader.push(piece);
  return reader.value();
};

/** Does the whole begin with it? Of an object or array, all but one value are there as a whole. */
const begins = (part: JsonValue | undefined, whole: JsonValue | undefined): boolean => {
  if (typeof part === "string" && typeof whole === "string") return whole.startsWith(part) && part.isWellFormed();
  if (typeof part !== "object" || part === null || typeof whole !== "object" || whole === null) return part === whole;
  if (Array.isArray(part) !== Array.isArray(whole)) return false;
  const wholes = new Map(Object.entries(whole));
  const open = Object.entries(part).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(wholes.get(key)));
  return Object.keys(part).every((key) => wholes.has(key)) && open.length <= 1 && open.every(([key, value]) => begins(value, wholes.get(key)));
};

/** Any value, but for the one key that is refused. */
const value = fc.jsonValue({ stringUnit: "binary", depthSize: "medium" }).filter((each) => !JSON.stringify(each).includes("__proto__")) as fc.Arbitrary<JsonValue>;
const written = fc.record({ value, indent: fc.constantFrom(0, 2, "\t"), escaped: fc.boolean() }).map(({ value: it, indent, escaped }) => {
  const plain = JSON.stringify(it, undefined, indent);
  const text = escaped ? plain.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`) : plain;
  return { value: JSON.parse(text) as JsonValue, text: `${text} ` }; // the end of a number is known by what comes behind it
});

describe("a value that is not whole yet", () => {
  test.each<[string, JsonValue | undefined]>([
    ["", undefined],
    [" \n", undefined],
    ["{", {}],
    ['{"a', {}],
    ['{"a"', {}],
    ['{"a":', {}],
    ['{"a": t', {}],
    ['{"a": true', {}],
    ['{"a": true ', { a: true }],
    ['{"a": 12', {}],
    ['{"a": 12,', { a: 12 }],
    ['{"a": -1.5e3}', { a: -1500 }],
    ['{"a": "', { a: "" }],
    ['{"a": "x\\', { a: "x" }],
    ['{"a": "x\\u00e', { a: "x" }],
    ['{"a": "x\\u00e9', { a: "xé" }],
    ['{"a": "\\ud83d', { a: "" }],
    ['{"a": "\\ud83d\\ude', { a: "" }],
    ['{"a": "\\ud83d\\ude00', { a: "😀" }],
    ['{"a": "😀'.slice(0, -1), { a: "" }],
    ['{"a": "\\ud83d x', { a: "\ufffd x" }],
    ['{"a": "\\ud83d"', { a: "\ufffd" }],
    ['{"a": "\\"\\\\\\/\\b\\f\\n\\r\\t', { a: '"\\/\b\f\n\r\t' }],
    ['{"a": [1, [2', { a: [1, []] }],
    ['{"a": [{}, {"b": null}', { a: [{}, { b: null }] }],
    ["[1, 2, 3", [1, 2]],
    ['"a" ', "a"],
    ["nul", undefined],
    ["null ", null],
    ["[] ", []],
  ])("of %s there is %j", (text, expected) => {
    expect(after(text)).toEqual(expected);
    expect(after(...text.split(""))).toEqual(expected);
  });

  test.each(["{a", "{1", "{,", '{"a" 1', '{"a":}', "[1,]", '[{"a":1,}', "[1 2", "[1}", '{"a":1]', "[01,", "[1e999,", "[trux,", "[+1,", '["\\x', '["\\u00g', '["\n', '{"a":1,"a":2', '{"__proto__":1', "[".repeat(65), "]", ","])(
    "is not read beyond what is wrong in %s",
    (text) => {
      for (const more of [",", ",1,", "1]}", '"', '", "b', ":1,", ":[1,2", "}", "]", '":1 ', "0,"]) {
        const reader = new PartialJson();
        for (const char of text) reader.push(char);
        expect([more, reader.push(more)]).toEqual([more, false]);
        expect([more, new PartialJson().push(text + more)]).toEqual([more, false]);
      }
    },
  );

  test("may be 64 levels deep", () => {
    expect("[".repeat(64).split("").map((char, index, all) => after(...all.slice(0, index), char)).at(-1)).toEqual(JSON.parse("[".repeat(64) + "]".repeat(64)));
    expect(new PartialJson().push("[".repeat(64))).toBe(true);
  });

  test("is whole where the value ends, whatever stands behind it", () => {
    const reader = new PartialJson();
    expect(reader.push('{"a":1}\n```')).toBe(true);
    expect(reader.value()).toEqual({ a: 1 });
    expect(reader.push('{"b":2}')).toBe(false);
    expect(reader.value()).toEqual({ a: 1 });
  });

  test("never changes once it was given, and shares what is closed", () => {
    const reader = new PartialJson();
    const states = ['{"a":[{"b":1},', '{"c":"x', 'y"', ", ", '"d": 1 ', "}, ", "5,", '6], "e": 1', "}"].map((piece) => {
      reader.push(piece);
      return { state: reader.value(), then: JSON.stringify(reader.value()) };
    });
    expect(states.map(({ state }) => JSON.stringify(state))).toEqual(states.map(({ then }) => then));
    const [first, last] = [states[0]?.state, states.at(-1)?.state] as [{ a: unknown[] }, { a: unknown[] }];
    expect(last).toEqual({ a: [{ b: 1 }, { c: "xy", d: 1 }, 5, 6], e: 1 });
    expect(last.a[0]).toBe(first.a[0]);
  });

  test("grows only: each new state is what the whole begins with and has not been before, and the last is the whole", () => {
    fc.assert(
      fc.property(written, ({ value: whole, text }) => {
        const reader = new PartialJson();
        const seen = new Set<string | undefined>([undefined]);
        for (const char of text.split("")) {
          const grown = reader.push(char);
          const state = reader.value();
          const shown = state === undefined ? undefined : JSON.stringify(state);
          expect(grown).toBe(!seen.has(shown));
          if (grown) expect(begins(state, whole)).toBe(true);
          seen.add(shown);
        }
        expect(reader.value()).toEqual(whole);
      }),
      { numRuns: runs },
    );
  });

  test("is the same however the text is cut, whatever the text is", () => {
    const text = fc.oneof(
      written.map(({ text: it }) => it),
      fc.tuple(written, fc.nat(), fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0e-tn x'), maxLength: 3 })).map(([{ text: it }, at, wrong]) => it.slice(0, at % it.length) + wrong + it.slice(at % it.length)),
      fc.string({ unit: fc.constantFrom(...'{}[]":,\\u01e-+.truefalsn \n\ud83d\ude00') }),
    );
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 6 }), (it, cuts) => {
        const places = [0, ...cuts.map((cut) => cut % (it.length + 1)).toSorted((a, b) => a - b), it.length];
        expect(after(...places.slice(1).map((place, index) => it.slice(places[index], place)))).toEqual(after(it));
      }),
      { numRuns: runs },
    );
  });
});
