import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { type EventStyle, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { geminiFrames, rich } from "./gemini/fixture.ts";
import { collect, failing, frames, input, key, model, prompt } from "./gemini/support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** One, two, three and four bytes a character, and one character of several code points. */
const deltas = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

/** A body in exactly these pieces, as a client might receive it. */
const bodyOf = (pieces: Iterable<Uint8Array>): typeof fetch => async () => {
  const iterator = pieces[Symbol.iterator]();
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream" } });
};

const bytesOf = (text: readonly string[]): Uint8Array => new TextEncoder().encode(text.join(""));
const wire = (lineEnd: "\n" | "\r\n" | "\r"): Uint8Array => bytesOf(frames(deltas, { lineEnd, comment: "ping" }));
const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(model("http://127.0.0.1:1", { fetch: bodyOf(pieces) })(input(prompt)));
const shown = (parts: readonly Part[]): string[] => parts.map((part) => (part.kind === "text" ? part.text : part.kind));

describe("gemini: the same bytes give the same parts", () => {
  const splits: readonly Split[] = ["whole", 1, 2, 7];
  for (const lineEnd of ["\n", "\r\n", "\r"] as const) {
    for (const split of splits) {
      test(`cut at ${split}, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
        expect(shown(await reply(splitBytes(wire(lineEnd), split)))).toEqual([...deltas, "finish"]);
      });
    }
  }

  test("cut by chance, written in any style, an answer with everything in it", async () => {
    const whole = await reply([bytesOf(geminiFrames(rich))]);
    expect(new Set(whole.map((part) => part.kind))).toEqual(new Set(["text", "json", "bytes", "toolCall", "finish"]));
    const style = fc.record({ lineEnd: fc.constantFrom("\n", "\r\n", "\r"), comment: fc.constantFrom("ping", "data: {}", ""), byteOrderMark: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(style, fc.integer(), async (how, seed) => {
        const bytes = bytesOf(geminiFrames(rich, how as EventStyle));
        expect(await reply(splitBytes(bytes, { seed }))).toEqual(whole);
      }),
      { numRuns: runs },
    );
  });

  for (const lineEnd of ["\n", "\r\n", "\r"] as const) {
    test(`an event over several lines, with a name, an id and no space behind the colon, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
      const odd = geminiFrames(rich).map((frame) => `event: message\nid:7\nretry: 5\n${frame.replace("data: ", "data:").replace(',"index"', ',\ndata\ndata:\ndata: "index"')}`);
      expect(odd.join("")).toContain('\ndata\ndata:\ndata: "index"');
      const bytes = bytesOf(odd.map((frame) => frame.replaceAll("\n", lineEnd)));
      const plain = await reply([bytesOf(geminiFrames(rich))]);
      for (const split of ["whole", 1] as const) expect(await reply(splitBytes(bytes, split))).toEqual(plain);
    });
  }

  for (const split of [1, 2, 7, { seed: 7 }] as const) {
    test(`through a socket, written in pieces of ${JSON.stringify(split)}`, async () => {
      await using server = await wireServer({ answer: sseAnswer(frames(deltas), { split }) });
      expect(shown(await collect(model(server.url)(input(prompt))))).toEqual([...deltas, "finish"]);
    });
  }

  test("20,000 events in one chunk", async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `${index} `);
    const parts = await reply([bytesOf(frames(many))]);
    expect(parts.length).toBe(20_001);
    expect(parts[19_999]).toMatchObject({ text: "19999 " });
  });

  test("an image of 12 MB, one event, in pieces of 16 kB", async () => {
    const data = Buffer.alloc(12_000_000, 7).toString("base64");
    const chunks = [{ candidates: [{ content: { role: "model", parts: [{ inlineData: { mimeType: "image/png", data } }] } }] }, ...rich.slice(-1)];
    const [picture] = await reply(splitBytes(bytesOf(geminiFrames(chunks)), 16_384));
    expect(picture).toMatchObject({ kind: "bytes", mimeType: "image/png" });
    expect(picture?.kind === "bytes" && picture.bytes.byteLength).toBe(12_000_000);
  });
});

describe("gemini: no cut answer looks whole", () => {
  const sound = bytesOf(geminiFrames(rich));
  // the event before the last empty line is the terminal one
  const end = sound.length - 1;

  test("cut anywhere, in pieces of any size", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: end - 1 }), fc.integer(), async (at, seed) => {
        const { error } = await failing(model("http://127.0.0.1:1", { fetch: bodyOf(splitBytes(sound.subarray(0, at), { seed })) })(input(prompt)));
        const inner = isMillraceError(error, "interrupted") ? error.cause : error;
        expect(isMillraceError(inner, "truncated"), String(inner)).toBe(true);
      }),
      { numRuns: runs },
    );
  });

  test("without one of its events, the last", async () => {
    const { error } = await failing(model("http://127.0.0.1:1", { fetch: bodyOf([bytesOf(geminiFrames(rich.slice(0, -1)))]) })(input(prompt)));
    expect(error).toMatchObject({ code: "interrupted", cause: { code: "truncated" } });
  });

  test("mutated, it ends as complete or as an error with a code, and shows neither key nor prompt", async () => {
    const random = seeded(20_261_126);
    const clock = fakeClock(); // nothing may wait for a clock to be let go
    const outcomes = new Map<string, number>();
    for (let round = 0; round < Math.max(400, runs); round += 1) {
      const bytes = mutated(wire("\n"), random);
      let outcome = "complete";
      try {
        const parts = await collect(model("http://127.0.0.1:1", { clock, fetch: bodyOf(splitBytes(bytes, { seed: round })) })(input(prompt)));
        expect(parts.at(-1)?.kind).toBe("finish");
      } catch (error) {
        if (!isMillraceError(error)) throw error;
        const inner = error.code === "interrupted" ? error.cause : error;
        if (!isMillraceError(inner)) throw inner;
        outcome = inner.code;
        for (const message of [error.message, inner.message]) {
          expect(message).not.toContain(key);
          expect(message).not.toContain(prompt.slice(0, 24));
        }
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(clock.pending).toBe(0);
    // The mutations do bite, and not all in one way.
    for (const kind of ["complete", "truncated", "bad_response"]) expect(outcomes.get(kind) ?? 0, kind).toBeGreaterThan(10);
  });
});

test("gemini: a connection serves turn after turn", async () => {
  await using server = await wireServer({ answer: sseAnswer(frames(["a"])) });
  const asked = model(server.url);
  for (let turn = 0; turn < 8; turn += 1) await collect(asked(input(prompt)));
  expect(server.requests.length).toBe(8);
  expect(server.connections).toBeLessThan(4); // undici opens a second one before the first is seen to be free
});

test("gemini: a server that goes on after the end is left", async () => {
  const clock = fakeClock();
  await using server = await wireServer();
  server.script(sseAnswer([...frames(["a"]), ": more\n\n"], { fault: { kind: "stall", after: 99 } }));
  const parts = model(server.url, { clock })(input(prompt))[Symbol.asyncIterator]();
  await parts.next();
  expect(await parts.next()).toMatchObject({ value: { kind: "finish" } });
  const last = parts.next();
  await clock.advance(300);
  expect(await last).toMatchObject({ done: true });
  await server.requests[0]?.closed;
});

/** Cut, repeated, swapped or overwritten somewhere. */
function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const at = (): number => Math.floor(random() * copy.length);
  switch (Math.floor(random() * 5)) {
    case 0:
      return copy.subarray(0, at());
    case 1: {
      const from = at();
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(Math.max(0, from - 80)));
    }
    case 2:
      for (let count = 0; count < 4; count += 1) copy[at()] = Math.floor(random() * 256);
      return copy;
    case 3: {
      const from = at();
      return Uint8Array.of(...copy.subarray(0, from), ...copy.subarray(from + Math.floor(random() * 60)));
    }
    default:
      copy[at()] = 10;
      return copy;
  }
}
