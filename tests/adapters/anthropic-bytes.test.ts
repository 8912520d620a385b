import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { type EventStyle, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { block, callEvents, ending, opening, ping, searchEvents, textEvents, thinkingEvents } from "./anthropic/messages-fixture.ts";
import { before, collect, frames, framesOf, input, key, modelAt, outcomeOf, prompt } from "./anthropic/support.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** One, two, three and four bytes a character, and one character of several code points. */
const deltas = ["Grüße ", "aus 東京 ", "👩‍👩‍👧‍👦", "\r\n\u2028", "\u0000end"];

/** Everything that an answer may hold. */
const events: readonly { readonly type: string }[] = [
  ...opening,
  ...thinkingEvents(),
  ping,
  ...block(1, { type: "redacted_thinking", data: "EmwKAhgB+/redacted=" }),
  ...textEvents(deltas, 2, [{ type: "web_search_result_location", cited_text: "東京", encrypted_index: "Eo8B+/=", title: null, url: "https://example.com" }]),
  ...searchEvents(3),
  ...callEvents({ id: "toolu_1", name: "weather", input: ['{"city":"Ōsa', 'ka"}'] }, 5),
  ...callEvents({ id: "toolu_2", name: "now", input: [] }, 6),
  ...ending("tool_use"),
];

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

/** Where to cut: at everything that means something to whoever reads it, and anywhere; at every byte when there are runs enough. */
function placesIn(bytes: Uint8Array): number[] {
  const random = seeded(20_261_126);
  const telling = (byte: number | undefined): boolean => byte !== undefined && (byte < 32 || byte > 127);
  const chance = Math.min(1, runs / bytes.length);
  return [...bytes.keys()].filter((at) => telling(bytes[at - 1]) || telling(bytes[at]) || random() < chance);
}

const bytesOf = (wire: readonly string[]): Uint8Array => new TextEncoder().encode(wire.join(""));
const wire = (style: EventStyle = {}): Uint8Array => bytesOf(framesOf(events, style));
const answerTo = (pieces: Iterable<Uint8Array>): AsyncIterable<Part> => modelAt("http://127.0.0.1:1", { fetch: bodyOf(pieces) })(input(prompt));
const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(answerTo(pieces));
const summary = (parts: readonly Part[]): string[] => parts.map((part) => (part.kind === "text" ? `${part.substream}:${part.text}` : part.kind));

describe("the same bytes give the same parts", () => {
  const splits: readonly Split[] = ["whole", 1, 2, 7];
  for (const lineEnd of ["\n", "\r\n", "\r"] as const) {
    for (const split of splits) {
      test(`cut at ${split}, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
        const parts = await reply(splitBytes(wire({ lineEnd, comment: "ping", byteOrderMark: true }), split));
        expect(summary(parts)).toEqual([
          "reasoning:Think",
          "reasoning:\u{1f914}ing",
          "reasoning:",
          "reasoning:",
          "json",
          ...deltas.map((delta) => `:${delta}`),
          "json",
          "json",
          "toolCall",
          "toolCall",
          "finish",
        ]);
      });
    }
  }

  test("cut in two anywhere", async () => {
    const bytes = wire({ lineEnd: "\r\n" });
    const whole = await reply([bytes]);
    for (const at of placesIn(bytes)) expect(await reply([bytes.subarray(0, at), bytes.subarray(at)]), `at ${at}`).toEqual(whole);
  });

  test("any texts, in any pieces, in any style, with names or without", async () => {
    const style = fc.record({ lineEnd: fc.constantFrom("\n" as const, "\r\n" as const, "\r" as const), comment: fc.constantFrom("ping", "data: x") });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: "binary", minLength: 1, maxLength: 12 }), { maxLength: 8 }), fc.integer({ min: 1 }), style, fc.boolean(), async (texts, seed, chosen, named) => {
        const sent = framesOf([...opening, ping, ...textEvents(texts), ...ending("end_turn")], chosen).map((frame) => (named ? frame : frame.replace(/event: \w+[\r\n]+/, "")));
        const parts = await reply(splitBytes(bytesOf(sent), { seed }));
        expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual([...texts, "finish"]);
      }),
      { numRuns: runs },
    );
  });

  for (const split of [1, 2, 7, { seed: 7 }] as const) {
    test(`through a socket, written in pieces of ${JSON.stringify(split)}`, async () => {
      await using server = await wireServer({ answer: sseAnswer(frames(deltas), { split }) });
      expect(summary(await collect(modelAt(server.url)(input(prompt))))).toEqual([...deltas.map((delta) => `:${delta}`), "finish"]);
    });
  }

  test("20,000 events in one chunk", async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `${index} `);
    const parts = await reply([bytesOf(frames(many))]);
    expect(parts.length).toBe(20_001);
    expect(parts[19_999]).toMatchObject({ text: "19999 " });
  });
});

describe("what is cut is never taken for whole", () => {
  test("cut off anywhere, an answer is truncated after a part of what it would have been", async () => {
    for (const lineEnd of ["\n", "\r\n"] as const) {
      const bytes = wire({ lineEnd });
      const whole = (await reply([bytes])).map((part) => JSON.stringify(part));
      // without the line end that ends the last event there is no last event
      for (const at of [...placesIn(bytes).filter((place) => place < bytes.length - lineEnd.length), bytes.length - lineEnd.length]) {
        const { parts, error } = await outcomeOf(answerTo([bytes.subarray(0, at)]));
        const fault = isMillraceError(error, "interrupted") ? error.cause : error;
        expect(isMillraceError(fault, "truncated"), `at ${at}: ${String(error)}`).toBe(true);
        expect(parts.map((part) => JSON.stringify(part))).toEqual(whole.slice(0, parts.length));
        expect(parts.length).toBeLessThan(whole.length);
      }
    }
  });

  test("an event that is lost is missed, but for one delta among others", async () => {
    const isDelta = (type: string): boolean => type === "content_block_delta" || type === "ping";
    for (const [at, { type }] of events.entries()) {
      if (isDelta(type)) continue;
      const { error } = await outcomeOf(answerTo([bytesOf(framesOf(events.filter((_, index) => index !== at)))]));
      const fault = isMillraceError(error, "interrupted") ? error.cause : error;
      expect(isMillraceError(fault, "truncated") || isMillraceError(fault, "bad_response"), `${type} at ${at}: ${String(error)}`).toBe(true);
    }
  });

  test("mutated streams end as complete or as an error with a code, and show neither key nor prompt", async () => {
    const sound = wire();
    const seed = 20_261_126;
    const random = seeded(seed);
    const clock = fakeClock(); // nothing may wait for a clock to be let go
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 5 * runs; round += 1) {
      const pieces = splitBytes(mutated(sound, random), { seed: round + 1 });
      const { parts, error } = await outcomeOf(modelAt("http://127.0.0.1:1", { clock, fetch: bodyOf(pieces) })(input(prompt)));
      let outcome = "complete";
      if (error === undefined) {
        expect(parts.at(-1)?.kind).toBe("finish");
      } else {
        const fault = isMillraceError(error, "interrupted") ? error.cause : error;
        if (!isMillraceError(error) || !isMillraceError(fault)) throw error;
        outcome = fault.code;
        for (const message of [error.message, fault.message]) {
          expect(message).not.toContain(key);
          expect(message).not.toContain(prompt.slice(0, 24));
        }
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(clock.pending).toBe(0);
    // The mutations do bite, and not all in one way.
    for (const kind of ["complete", "truncated", "bad_response"]) expect(outcomes.get(kind) ?? 0, kind).toBeGreaterThan(runs / 20);
  });
});

describe("connections", () => {
  test("one serves turn after turn", async () => {
    await using server = await wireServer({ answer: sseAnswer(frames(["a"])) });
    const model = modelAt(server.url);
    for (let turn = 0; turn < 8; turn += 1) await collect(model(input(prompt)));
    expect(server.requests.length).toBe(8);
    expect(server.connections).toBeLessThan(4); // undici opens a second one before the first is seen to be free
  });

  test("one whose server goes on after the end is left", async () => {
    const clock = fakeClock();
    await using server = await wireServer();
    server.script(sseAnswer([...frames(["a"]), ": more\n\n"], { fault: { kind: "stall", after: 99 } }));
    const parts = modelAt(server.url, { clock })(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    expect(await parts.next()).toMatchObject({ value: { kind: "finish" } });
    const last = parts.next();
    await clock.advance(300);
    expect(await last).toMatchObject({ done: true });
    await server.requests[0]?.closed;
  });

  test("events are told on as they come, also through a server that gives them in halves", async () => {
    await using server = await wireServer();
    server.script(sseAnswer(frames(["a", "b"]), { fault: { kind: "stall", after: before + 1, inside: true } }));
    const parts = modelAt(server.url)(input(prompt))[Symbol.asyncIterator]();
    expect(await parts.next()).toMatchObject({ value: { text: "a" } });
    await parts.return?.();
  });
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
