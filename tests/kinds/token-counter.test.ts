import { describe, expect, test } from "vitest";
import { bytes, debug, finish, image, json, type Part, status, text, toolCall, toolResult, uri } from "../../src/index.ts";
import { errorPart } from "../../src/core/constructors.ts";
import { approximateTokens, tokenCounter } from "../../src/kinds/token-counter.ts";
import { inputTokensOf, outputTokensOf } from "../../src/kinds/token-estimate.ts";

describe("tokens of parts, roughly", () => {
  test("of text by its bytes and some for the part, of media a lump", () => {
    expect([text(""), text("x".repeat(400)), text("ä".repeat(200)), json({ a: "b" }), image(new Uint8Array(2_000_000)), uri("https://x/y.png", "image/png")].map(inputTokensOf)).toEqual([4, 104, 104, 4 + 9 / 4, 1_000, 1_000]);
  });

  test("of what came out by the letters, a token each for CJK", () => {
    expect([text(""), text("x".repeat(8)), text("東京都"), toolCall({ id: "1", name: "f", arguments: {} }), json({ a: "b" }), image(new Uint8Array(9))].map(outputTokensOf)).toEqual([0, 2, 3, 0.5, 9 / 4, 0]);
  });

  test("what a tool gave was not made by the model, however long it is", () => {
    expect(outputTokensOf(toolResult({ id: "1", name: "f", result: "x".repeat(4_000) }))).toBe(0);
  });
});

/** A token a letter. */
const letters = { encode: (words: string): { readonly length: number } => [...words] };

const unsaid: readonly Part[] = [
  status("thinking"),
  debug("took 3 s"),
  finish({ reason: "stop" }),
  errorPart({ code: "timeout", message: "late", ordinal: 0 }),
  json({ url: "https://example.com" }, { role: "assistant", substream: "sources" }),
];

describe("tokens of a history", () => {
  test("are those of its words and four for each message, however many parts a message came in", () => {
    const question = text("x".repeat(40));
    const deltas = ["y".repeat(20), "y".repeat(20)].map((delta) => text(delta, { role: "assistant" }));
    expect(approximateTokens([])).toBe(0);
    expect(approximateTokens([question])).toBe(14);
    expect(approximateTokens([question, ...deltas])).toBe(28);
    expect(tokenCounter(letters)([question, ...deltas])).toBe(88);
  });

  test("are whole, and never less than what was counted", () => {
    expect(approximateTokens([text("x")])).toBe(5);
  });

  test("leave out what no model is shown", () => {
    const said = [text("one"), text("two", { role: "assistant" })];
    for (const count of [approximateTokens, tokenCounter(letters)]) {
      expect(count(unsaid)).toBe(0);
      expect(count([said[0] ?? text(""), ...unsaid, said[1] ?? text("")])).toBe(count(said));
    }
  });

  test("hold sources that a service wants back", () => {
    const search = json({ type: "server_tool_use" }, { role: "assistant", substream: "sources", metadata: { anthropic: { block: true } } });
    expect(tokenCounter(letters)([search])).toBe(4 + 26);
  });

  test("are a thousand for each image and file, with a tokenizer too", () => {
    const media = [image(new Uint8Array(9)), bytes(new Uint8Array(9), "application/pdf"), uri("https://x/y.png", "image/png")];
    expect([approximateTokens(media), tokenCounter(letters)(media)]).toEqual([3_004, 3_004]);
  });

  test("with a tokenizer count names and arguments of calls, and results as the model reads them", () => {
    const count = tokenCounter(letters);
    expect(count([toolCall({ id: "1", name: "time", arguments: { zone: "UTC" } })])).toBe(4 + "time ".length + '{"zone":"UTC"}'.length);
    expect(count([toolResult({ id: "1", name: "time", result: "noon" })])).toBe(4 + "time noon".length);
    expect(count([toolResult({ id: "1", name: "time", result: { hour: 12 } })])).toBe(4 + 'time {"hour":12}'.length);
    expect(count([json(["a"])])).toBe(4 + '["a"]'.length);
  });

  test("the tokenizer's errors are its own, and it is not asked about nothing", () => {
    const refusal = new Error("disallowed special token");
    const strict = tokenCounter({
      encode() {
        throw refusal;
      },
    });
    expect(strict([text("")])).toBe(4);
    expect(() => strict([text("<|endoftext|>")])).toThrow(refusal);
  });

  test("what is no tokenizer is refused", () => {
    for (const bad of [undefined, null, {}, { encode: 5 }]) expect(() => tokenCounter(bad as never)).toThrow(/^tokenCounter: tokenizer must be one with encode, got /);
  });
});
