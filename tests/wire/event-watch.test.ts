import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitBytes } from "../../src/testing/split-bytes.ts";
import { type EventWatch, watchEvents } from "../../src/wire/event-watch.ts";

const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What is handed on of a stream, cut at `size`, and the watch afterwards. */
function passed(stream: string, size = Infinity): { readonly text: string; readonly watch: EventWatch } {
  const watch = watchEvents();
  const bytes = encoded(stream);
  const pieces = size === Infinity ? [bytes] : [...splitBytes(bytes, size)];
  const out = pieces.flatMap((piece) => watch.push(piece));
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return { text: out.map((piece) => decoder.decode(piece, { stream: true })).join(""), watch };
}

describe("what is handed on of a stream of events", () => {
  test("is everything, when every event has data", () => {
    const stream = 'event: a\ndata: {"x":1}\n\ndata:2\r\n\r\n: ping\ndata\r\rid: 4\ndata: é👩‍🍳\n\n';
    for (const size of [1, 2, 7, Infinity]) expect(passed(stream, size).text).toBe(stream);
  });

  test("is nothing of events without data, comments among them", () => {
    for (const lineEnd of ["\n", "\r\n", "\r"]) {
      const stream = [": ping", "", "event: a", "", "id: 4", "retry: 5", "database: 1", "", "event: b", "data: 1", "", ""].join(lineEnd);
      for (const size of [1, 2, 7, Infinity]) expect(passed(stream, size).text.trim()).toBe(["event: b", "data: 1"].join(lineEnd));
    }
  });

  test("is everything after a byte order mark, the first event too, and a marker that stands alone", () => {
    for (const size of [1, 2, 7, Infinity]) {
      expect(passed("\ufeffdata: 1\n\n\ufeffdata: 2\n\ndata: 3\n\n", size).text).toBe("\ufeffdata: 1\n\ndata: 3\n\n");
      expect(passed("\ufeffdata: [DONE]\n\n", size).watch.done).toBe(true);
    }
  });

  test("is the same however the bytes are cut", () => {
    const line = fc.constantFrom("data: 1", "data", "data:", "dat", "event: x", ": c", "id: 1", "data: [DONE]", "data: [DONE] or not", "database: 1 and more", ": a comment: long", "");
    const end = fc.constantFrom("\n", "\r\n", "\r");
    const stream = fc.array(fc.tuple(line, end).map(([text, eol]) => text + eol), { maxLength: 30 }).map((lines) => lines.join(""));
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 9 }), (text, size) => {
        const whole = passed(text);
        const cut = passed(text, size);
        expect(cut.text).toBe(whole.text);
        expect([cut.watch.inside, cut.watch.done, cut.watch.longestBytes]).toEqual([whole.watch.inside, whole.watch.done, whole.watch.longestBytes]);
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 500) },
    );
  });

  test("is an event from the time its data begins, not from its end", () => {
    const watch = watchEvents();
    expect(watch.push(encoded("event: a\nda"))).toEqual([]);
    expect(watch.push(encoded("ta: 1")).map((piece) => new TextDecoder().decode(piece))).toEqual(["event: a\nda", "ta: 1"]);
    expect(watch.inside).toBe(true);
  });
});

test("a stream that ends within an event is seen, with data or without, and one after a marker is not", () => {
  expect(passed("data: 1\n\nevent: a\n").watch.inside).toBe(true);
  expect(passed("data: 1\n\n: ping").watch.inside).toBe(false);
  expect(passed("data: 1\n\ndata: [DONE]").watch).toMatchObject({ inside: false, done: true });
  expect(passed("data: [DONE]x\n\n").watch.done).toBe(false);
});
