import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { splitBytes } from "../../src/testing/split-bytes.ts";
import type { EventStyle } from "../../src/testing/wire-answers.ts";
import { bytes } from "./gemini/faults.ts";
import { geminiFrames, rich } from "./gemini/fixture.ts";
import { collect, failing, input, model, prompt } from "./gemini/support.ts";
import { bodyOf, modelBytes } from "./model-bytes.ts";

modelBytes(bytes);

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

const bytesOf = (text: readonly string[]): Uint8Array => new TextEncoder().encode(text.join(""));
const reply = (pieces: Iterable<Uint8Array>): Promise<Part[]> => collect(model("http://127.0.0.1:1", { fetch: bodyOf(pieces) })(input(prompt)));

describe("gemini: an answer with everything in it gives the same parts", () => {
  test("cut by chance, written in any style, an answer with everything in it", async () => {
    const whole = await reply([bytesOf(geminiFrames(rich))]);
    expect(new Set(whole.map((part) => part.kind))).toEqual(new Set(["text", "json", "bytes", "toolCall", "finish"]));
    const style = fc.record({ lineEnd: fc.constantFrom("\n", "\r\n", "\r"), comment: fc.constantFrom("ping", "data: {}", ""), byteOrderMark: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(style, fc.integer(), async (how, seed) => {
        const written = bytesOf(geminiFrames(rich, how as EventStyle));
        expect(await reply(splitBytes(written, { seed }))).toEqual(whole);
      }),
      { numRuns: runs },
    );
  });

  for (const lineEnd of ["\n", "\r\n", "\r"] as const) {
    test(`an event over several lines, with a name, an id and no space behind the colon, lines ended by ${JSON.stringify(lineEnd)}`, async () => {
      const odd = geminiFrames(rich).map((frame) => `event: message\nid:7\nretry: 5\n${frame.replace("data: ", "data:").replace(',"index"', ',\ndata\ndata:\ndata: "index"')}`);
      expect(odd.join("")).toContain('\ndata\ndata:\ndata: "index"');
      const written = bytesOf(odd.map((frame) => frame.replaceAll("\n", lineEnd)));
      const plain = await reply([bytesOf(geminiFrames(rich))]);
      for (const split of ["whole", 1] as const) expect(await reply(splitBytes(written, split))).toEqual(plain);
    });
  }

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
});
