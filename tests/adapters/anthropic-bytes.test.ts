import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { seeded, type Split, splitBytes } from "../../src/testing/split-bytes.ts";
import { type EventStyle, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { bytes } from "./anthropic/faults.ts";
import { ending, opening, ping, rich, richTexts, textEvents } from "./anthropic/messages-fixture.ts";
import { before, collect, frames, framesOf, input, modelAt, outcomeOf, prompt } from "./anthropic/support.ts";
import { bodyOf, modelBytes } from "./model-bytes.ts";

modelBytes(bytes);

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

/** Where to cut: at everything that means something to whoever reads it, and anywhere; at every byte when there are runs enough. */
function placesIn(bytes: Uint8Array): number[] {
  const random = seeded(20_261_126);
  const telling = (byte: number | undefined): boolean => byte !== undefined && (byte < 32 || byte > 127);
  const chance = Math.min(1, runs / bytes.length);
  return [...bytes.keys()].filter((at) => telling(bytes[at - 1]) || telling(bytes[at]) || random() < chance);
}

const bytesOf = (wire: readonly string[]): Uint8Array => new TextEncoder().encode(wire.join(""));
const wire = (style: EventStyle = {}): Uint8Array => bytesOf(framesOf(rich, style));
const answerTo = (pieces: Iterable<Uint8Array>): AsyncIterable<Part> => modelAt("http://127.0.0.1:1", { fetch: bodyOf(pieces) })(input(prompt));
const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(answerTo(pieces));
const summary = (parts: readonly Part[]): string[] => parts.map((part) => (part.kind === "text" ? `${part.substream}:${part.text}` : part.kind));

describe("anthropic: an answer with everything in it gives the same parts", () => {
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
          ...richTexts.map((delta) => `:${delta}`),
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
});

describe("anthropic: what is cut is never taken for whole", () => {
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
    for (const [at, { type }] of rich.entries()) {
      if (isDelta(type)) continue;
      const { error } = await outcomeOf(answerTo([bytesOf(framesOf(rich.filter((_, index) => index !== at)))]));
      const fault = isMillraceError(error, "interrupted") ? error.cause : error;
      expect(isMillraceError(fault, "truncated") || isMillraceError(fault, "bad_response"), `${type} at ${at}: ${String(error)}`).toBe(true);
    }
  });
});

test("anthropic: events are told on as they come, also through a server that gives them in halves", async () => {
  await using server = await wireServer();
  server.script(sseAnswer(frames(["a", "b"]), { fault: { kind: "stall", after: before + 1, inside: true } }));
  const parts = modelAt(server.url)(input(prompt))[Symbol.asyncIterator]();
  expect(await parts.next()).toMatchObject({ value: { text: "a" } });
  await parts.return?.();
});
