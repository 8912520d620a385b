/** A processor, as a model of the AI SDK, as a processor. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { aiSdk, toAiSdk } from "../../src/adapters/ai-sdk/index.ts";
import { asks } from "../../src/core/asks.ts";
import { bytes, finish, json, text, toolCall, uri } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { FinishReason, JsonValue, Metadata, Part, PartOptions } from "../../src/core/part.ts";
import type { Processor } from "../../src/core/processor.ts";
import { run } from "../../src/core/run.ts";
import { outcomeOf, turn } from "../../src/testing/contracts/watch.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { contextOf, input, prompt } from "./openai/support.ts";

const there = (processor: Processor): Processor => aiSdk(toAiSdk(processor, { modelId: "model" }));

// --- answers ---

const key = fc.constantFrom("example", "other", "a-b");
const value: fc.Arbitrary<JsonValue> = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: "grapheme" }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("x", "y", "ü", "type"), tie("json"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).json as fc.Arbitrary<JsonValue>;
const object = fc.dictionary(fc.constantFrom("x", "y", "z"), value, { maxKeys: 3, noNullPrototype: true });
const metadata: fc.Arbitrary<Metadata> = fc.dictionary(key, object, { maxKeys: 2, noNullPrototype: true });
const words = fc.string({ unit: "grapheme", minLength: 1 });
const mediaType = fc.constantFrom("image/png", "application/pdf", "audio/wav; rate=8000");
const about = (substream: string): fc.Arbitrary<PartOptions> => metadata.map((given) => ({ role: "assistant", substream, metadata: given }));
const content: fc.Arbitrary<Part> = fc.oneof(
  fc.tuple(words, about("")).map(([said, options]) => text(said, options)),
  fc.tuple(words, about("reasoning")).map(([said, options]) => text(said, options)),
  fc.record({ example: object }).map((given) => text("", { role: "assistant", substream: "reasoning", metadata: given })),
  fc.tuple(fc.uint8Array(), mediaType, fc.constantFrom("", "reasoning").chain(about)).map(([held, type, options]) => bytes(held, type, options)),
  fc.tuple(fc.webUrl(), mediaType, about("")).map(([address, type, options]) => uri(address, type, options)),
  fc.tuple(fc.uuid(), words, object, metadata).map(([id, name, args, given]) => toolCall({ id, name: `tool ${name}`, arguments: args }, { metadata: given })),
  fc.tuple(fc.webUrl(), words, about("sources")).map(([url, title, options]) => json({ type: "source", sourceType: "url", id: title, url, title }, options)),
  fc.tuple(words, about("sources")).map(([title, options]) => json({ type: "source", sourceType: "document", id: "d", mediaType: "application/pdf", title, filename: "a.pdf" }, options)),
  fc.tuple(object, about("sources")).map(([args, options]) => json({ type: "tool-call", toolCallId: "p", toolName: "search", input: JSON.stringify(args), providerExecuted: true, dynamic: true }, options)),
  fc.tuple(fc.oneof(object, words), about("sources")).map(([result, options]) => json({ type: "tool-result", toolCallId: "p", toolName: "search", result, isError: true }, options)),
  about("sources").map((options) => json({ type: "custom", kind: "example.thing" }, options)),
);
const tokens = fc.record(
  { inputTokens: fc.nat(), outputTokens: fc.nat(), cacheReadTokens: fc.nat(), cacheWriteTokens: fc.nat(), reasoningTokens: fc.nat() },
  { requiredKeys: [] },
);
const ending: fc.Arbitrary<Part> = fc
  .record({ reason: fc.constantFrom<FinishReason>("stop", "length", "tool_calls", "content_filter", "refusal", "pause", "other"), rawReason: words, usage: tokens, model: words, given: metadata, responseId: fc.option(fc.uuid()) })
  .map(({ given, responseId, ...end }) => finish(end, { metadata: { ...given, ...(responseId === null ? {} : { aiSdk: { responseId, usage: { n: 1 } } }) } }));

describe("there and back", () => {
  test("every part of an answer is what it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(content, { maxLength: 12 }), ending, async (parts, end) => {
        const model = mockModel([[...parts, end]]);
        const back = await run(there(model), prompt).collect();
        expect(JSON.parse(JSON.stringify(back))).toEqual(JSON.parse(JSON.stringify([...parts, end]))); // without regard to prototypes
        for (const [index, part] of back.entries()) if (part.kind === "bytes") expect(part.bytes).toEqual((parts[index] as { bytes: unknown }).bytes);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });

  test("a conversation is what it was", async () => {
    const model = mockModel(["ok"]);
    const said: readonly Part[] = [
      text("Be brief.", { role: "system" }),
      text("Look", { metadata: { millrace: { a: 1 } } }),
      bytes(Uint8Array.of(1, 2), "image/png", { metadata: { file: { name: "a.png" } } }),
      text("Hm", { role: "assistant", substream: "reasoning" }),
      text("", { role: "assistant", substream: "reasoning", metadata: { example: { signature: "s" } } }),
      text("Well", { role: "assistant", metadata: { example: { item: 1 } } }),
      toolCall({ id: "c1", name: "look", arguments: { at: 1 } }),
    ];
    const aiModel = aiSdk(toAiSdk(model, { provider: "example" }));
    await run(aiModel, said).collect();
    expect(model.calls[0]?.input).toEqual(said.map((part) => (part.metadata.millrace === undefined ? part : text("Look"))));
  });

  test("what is asked further out reaches the models within", async () => {
    const model = mockModel(["{}"]);
    const asked = { tools: [{ name: "look", parameters: { type: "object" } }], toolChoice: "required", output: { name: "seen", schema: { type: "object" } } } as const;
    await run(asks(there(model), asked), prompt).collect();
    expect(model.calls[0]?.asked).toEqual(asked);
  });

  test("an error is the very error, and interrupted behind content", async () => {
    const fault = new MillraceError("rate_limited", "slow", { retryAfterMs: 40, cause: new MillraceError("circuit_open", "behind it") });
    const bug = new RangeError("a bug");
    for (const error of [fault, bug]) {
      const first = await outcomeOf(run(there(mockModel([[{ error }]])), prompt));
      expect(first.error).toBe(error);
      const late = await outcomeOf(run(there(mockModel([["Hi", { error }]])), prompt));
      expect(late.error).toMatchObject({ code: "interrupted", service: "ai-sdk", partial: { parts: 1, text: "Hi" } });
    }
  });

  test("a cut answer is a cut answer", async () => {
    expect((await outcomeOf(run(there(mockModel([[{ truncate: true }]])), prompt))).error).toMatchObject({ code: "truncated" });
  });

  test.each([0, 1])("an abort after %i deltas ends the model within, and is its reason", async (deltas) => {
    const model = mockModel([[...(deltas === 0 ? [] : ["Hi"]), { stall: true }]]);
    const controller = new AbortController();
    const reason = { why: "enough" };
    const parts = there(model)(input(prompt), contextOf(controller.signal))[Symbol.asyncIterator]();
    for (let taken = 0; taken < deltas; taken += 1) await parts.next();
    const pending = parts.next();
    const rejected = expect(pending).rejects.toBe(reason);
    await turn();
    controller.abort(reason);
    await rejected;
    await turn();
    expect(model.calls.map(({ outcome }) => outcome)).toEqual(["left"]);
  });

  test("leaving leaves the model within; a whole answer leaves it whole", async () => {
    const model = mockModel([["a", "b", { stall: true }], "whole answer"]);
    for await (const part of run(there(model), prompt)) if (part.kind === "text") break;
    await turn();
    await run(there(model), prompt).collect();
    expect(model.calls.map(({ outcome }) => outcome)).toEqual(["left", "complete"]);
  });
});
