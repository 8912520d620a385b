import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitBytes } from "../../src/testing/split-bytes.ts";
import { type SseEvent, sseDecoder } from "../../src/wire/sse-decoder.ts";

interface Decoded {
  readonly events: readonly SseEvent[];
  readonly rest: SseEvent | undefined;
  /** Of each event, and of what stands at the end. */
  readonly lengths: readonly number[];
}

/** What is decoded of a stream that comes in pieces of `size`. */
function decoded(stream: string | Uint8Array, size = Infinity): Decoded {
  const decoder = sseDecoder();
  const bytes = typeof stream === "string" ? new TextEncoder().encode(stream) : stream;
  const events: SseEvent[] = [];
  const lengths: number[] = [];
  for (const piece of size === Infinity ? [bytes] : splitBytes(bytes, size)) {
    decoder.push(piece);
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      events.push(event);
      lengths.push(decoder.length);
    }
  }
  lengths.push(decoder.length);
  return { events, lengths, rest: decoder.rest() };
}

/** Cut anywhere that matters, and whole. */
function everyCut(stream: string | Uint8Array): Decoded {
  const whole = decoded(stream);
  for (const size of [1, 2, 7]) expect(decoded(stream, size), `cut at ${size}`).toEqual(whole);
  return whole;
}

describe("events", () => {
  test("have the last name and all data lines, whatever ends their lines", () => {
    for (const lineEnd of ["\n", "\r\n", "\r"]) {
      const stream = ["event: a", "event: b", "data: 1", "id: 7", "data:  2", "data", "", "data:3", "", ""].join(lineEnd);
      expect(everyCut(stream).events).toEqual([
        { name: "b", data: "1\n 2\n" },
        { name: "", data: "3" },
      ]);
    }
  });

  test("are none without data, but are with empty data", () => {
    expect(everyCut(": ping\n\nevent: a\n\nretry: 5\ndatabase: 1\n\ndata:\n\ndata\n\n").events).toEqual([
      { name: "", data: "" },
      { name: "", data: "" },
    ]);
  });

  test("do not have the name of one before", () => {
    expect(everyCut("event: a\n\ndata: 1\n\nevent: b\ndata: 2\n\ndata: 3\n\n").events.map(({ name }) => name)).toEqual(["", "b", ""]);
  });

  test("begin behind a byte order mark, which is one at the start alone", () => {
    expect(everyCut("\ufeffdata: 1\n\n\ufeffdata: 2\n\ndata: \ufeff3\n\n").events.map(({ data }) => data)).toEqual(["1", "\ufeff3"]);
  });

  test("hold U+FFFD for what is no UTF-8, and characters that were cut", () => {
    const bytes = Uint8Array.of(...new TextEncoder().encode("data: é👩‍🍳"), 0xff, 0xe6, ...new TextEncoder().encode("\n\n"));
    expect(everyCut(bytes).events).toEqual([{ name: "", data: "é👩‍🍳\ufffd\ufffd" }]);
  });
});

describe("what stands at the end", () => {
  test.each([
    ["data: 1\n\n", undefined],
    ["data: 1\n\n: ping", undefined],
    ["data: 1\n\n: ping\n", undefined],
    ["data: 1\n\ndata: 2", { name: "", data: "2" }],
    ["data: 1\n\ndata: 2\n", { name: "", data: "2" }],
    ["event: a\n", { name: "a", data: "" }],
    ["da", { name: "", data: "" }],
    ["\r", undefined],
  ])("of %j is %j", (stream, rest) => {
    expect(everyCut(stream).rest).toEqual(rest);
  });

  test("is a character that was cut, too", () => {
    expect(everyCut(Uint8Array.of(0xe6, 0x9d)).rest).toEqual({ name: "", data: "" });
  });
});

test("the length of an event is that of its lines, comments among them; of one that is not whole, what there is of it", () => {
  expect(everyCut(": 345\r\ndata: 78\r\n\r\n: 3\n\nda\nta").lengths).toEqual([13, 4]);
});

test("a byte order mark is left out at the beginning alone", () => {
  const { events } = everyCut("\ufeffdata: 1\ufeff\n\n\ufeffdata: 2\n\ndata: 3\n\n");
  expect(events.map(({ data }) => data)).toEqual(["1\ufeff", "3"]);
});

test("any bytes decode to the same however they are cut", () => {
  const piece = fc.constantFrom("data: 1", "data:", "data", "event: x", "event", ": c", ":", "a:b", "é", "\ufeff", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n");
  const stream = fc.oneof(fc.array(piece, { maxLength: 30 }).map((all) => new TextEncoder().encode(all.join(""))), fc.uint8Array({ maxLength: 40 }));
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 9 }), (bytes, size) => {
      expect(decoded(bytes, size)).toEqual(decoded(bytes));
    }),
    { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 500) },
  );
});
