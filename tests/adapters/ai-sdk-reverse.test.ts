/** A processor as a model of the AI SDK. */
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Prompt, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { describe, expect, test } from "vitest";
import { toAiSdk, type ToAiSdkOptions } from "../../src/adapters/ai-sdk/index.ts";
import { bytes, debug, errorPart, finish, json, status, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import type { Processor } from "../../src/core/processor.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import { turn } from "../../src/testing/contracts/watch.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { prompt } from "./openai/support.ts";

const hello: LanguageModelV4Prompt = [{ role: "user", content: [{ type: "text", text: prompt }] }];
const assistant = { role: "assistant" } as const;

/** A model that gives these parts, whatever it is asked, and then breaks if there is an error. */
const giving =
  (parts: readonly Part[], error?: unknown): Processor =>
  async function* (input) {
    for await (const _ of input);
    yield* parts;
    if (error !== undefined) throw error;
  };

/** As the SDK sees it: the type fits, or this does not compile. */
const modelOf = (processor: Processor, options?: ToAiSdkOptions): LanguageModelV4 => toAiSdk(processor, options);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function streamed(processor: Processor, call: Partial<LanguageModelV4CallOptions> = {}): Promise<LanguageModelV4StreamPart[]> {
  const { stream } = await modelOf(processor).doStream({ prompt: hello, ...call });
  return all(stream as AsyncIterable<LanguageModelV4StreamPart>);
}

const unknown = { inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined }, outputTokens: { total: undefined, text: undefined, reasoning: undefined } };

const whole: readonly Part[] = [
  status("looking"),
  text("Hm", { ...assistant, substream: "reasoning" }),
  text("", { ...assistant, substream: "reasoning", metadata: { example: { signature: "s" } } }),
  debug("hidden"),
  text("Hel", assistant),
  text("lo", { ...assistant, metadata: { example: { item: 1 }, note: "no object" } }),
  text("elsewhere", { substream: "notes" }),
  json({ n: 1 }, assistant),
  bytes(Uint8Array.of(1), "image/png", assistant),
  uri("https://example.com", "text/html", assistant),
  json({ url: "https://example.com/", title: "Example" }, { ...assistant, substream: "sources" }),
  json({ unknown: "to the SDK" }, { ...assistant, substream: "sources" }),
  errorPart({ code: "timeout", message: "hidden", ordinal: 0 }),
  toolCall({ id: "c1", name: "look", arguments: { at: 1 } }, { metadata: { example: { sign: "x" } } }),
  finish({ reason: "tool_calls", rawReason: "tool_use", model: "m-1", usage: { inputTokens: 10, cacheReadTokens: 4, outputTokens: 5 } }, { metadata: { example: { tier: "flex" }, aiSdk: { responseId: "r1" } } }),
];

describe("a stream", () => {
  test("has the parts of the processor in its order, and one finish", async () => {
    expect(await streamed(giving(whole))).toEqual([
      { type: "stream-start", warnings: [] },
      { type: "reasoning-start", id: "0" },
      { type: "reasoning-delta", id: "0", delta: "Hm" },
      { type: "reasoning-delta", id: "0", delta: "", providerMetadata: { example: { signature: "s" } } },
      { type: "reasoning-end", id: "0" },
      { type: "text-start", id: "1" },
      { type: "text-delta", id: "1", delta: "Hel" },
      { type: "text-delta", id: "1", delta: "lo", providerMetadata: { example: { item: 1 } } },
      { type: "text-delta", id: "1", delta: '{"n":1}' },
      { type: "text-end", id: "1" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: Uint8Array.of(1) } },
      { type: "file", mediaType: "text/html", data: { type: "url", url: new URL("https://example.com/"), originalUrl: "https://example.com" } },
      { type: "source", sourceType: "url", id: "source-0", url: "https://example.com/", title: "Example" },
      { type: "tool-call", toolCallId: "c1", toolName: "look", input: '{"at":1}', providerMetadata: { example: { sign: "x" } } },
      { type: "response-metadata", id: "r1", modelId: "m-1" },
      {
        type: "finish",
        finishReason: { unified: "tool-calls", raw: "tool_use" },
        usage: { inputTokens: { total: 10, noCache: 6, cacheRead: 4, cacheWrite: undefined }, outputTokens: { total: 5, text: undefined, reasoning: undefined } },
        providerMetadata: { example: { tier: "flex" } },
      },
    ] satisfies LanguageModelV4StreamPart[]);
  });

  test("of a processor without finish parts ends with stop", async () => {
    expect((await streamed(giving([text("hi")]))).at(-1)).toEqual({ type: "finish", finishReason: { unified: "stop", raw: undefined }, usage: unknown });
  });

  test("a call whose result comes by was run by the processor, in each of its turns; others are for the SDK; tokens are those of all turns", async () => {
    const parts = await streamed(
      giving([
        toolCall({ id: "c1", name: "look", arguments: {} }),
        toolCall({ id: "c2", name: "look", arguments: {} }),
        text("behind", assistant),
        finish({ reason: "tool_calls", usage: { inputTokens: 1, outputTokens: 2 } }),
        toolResult({ id: "c2", name: "look", result: "no", isError: true }),
        toolResult({ id: "c1", name: "look", result: null }),
        toolResult({ id: "never called", name: "look", result: 1 }),
        text("done", assistant),
        toolCall({ id: "c3", name: "theirs", arguments: "not JSON" }),
        finish({ reason: "stop", usage: { inputTokens: 3 } }),
      ]),
    );
    const run = { providerExecuted: true, dynamic: true } as const;
    expect(parts.filter(({ type }) => type.startsWith("tool"))).toEqual([
      { type: "tool-call", toolCallId: "c1", toolName: "look", input: "{}", ...run },
      { type: "tool-call", toolCallId: "c2", toolName: "look", input: "{}", ...run },
      { type: "tool-result", toolCallId: "c2", toolName: "look", result: "no", isError: true, dynamic: true },
      { type: "tool-result", toolCallId: "c1", toolName: "look", result: "", dynamic: true },
      { type: "tool-call", toolCallId: "c3", toolName: "theirs", input: "not JSON" },
    ]);
    expect(parts.map(({ type }) => type).indexOf("text-delta")).toBeGreaterThan(parts.map(({ type }) => type).indexOf("tool-call"));
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: "stop" }, usage: { inputTokens: { total: 4 }, outputTokens: { total: 2 } } });
  });

  test("runs nothing before it is read, and no more than is read", async () => {
    const seen: string[] = [];
    const model = modelOf(async function* () {
      for (const word of ["a", "b", "c"]) {
        seen.push(word);
        yield text(word, assistant);
      }
    });
    const { stream } = await model.doStream({ prompt: hello });
    await turn();
    expect(seen).toEqual([]);
    const reader = stream.getReader();
    while ((await reader.read()).value?.type !== "text-delta");
    await turn();
    expect(seen).toEqual(["a"]);
  });

  test("finishes when the processor has: what it does at its end is done before", async () => {
    const done: string[] = [];
    const { stream } = await modelOf(async function* () {
      yield finish({ reason: "stop" });
      await turn();
      done.push("saved");
    }).doStream({ prompt: hello });
    for await (const part of stream as AsyncIterable<LanguageModelV4StreamPart>) if (part.type === "finish") expect(done).toEqual(["saved"]);
    expect(done).toEqual(["saved"]);
  });

  test("cancelling it leaves the processor, once, also while it is at work", async () => {
    for (const reads of [0, 1, 4]) {
      let [opened, closed] = [0, 0];
      const { stream } = await modelOf(async function* (_, context) {
        opened += 1;
        try {
          yield text("a", assistant);
          await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason)));
        } finally {
          closed += 1;
        }
      }).doStream({ prompt: hello });
      const reader = stream.getReader();
      for (let read = 0; read < reads; read += 1) void reader.read();
      await turn();
      await reader.cancel();
      expect([opened, closed]).toEqual(reads < 2 ? [0, 0] : [1, 1]);
    }
  });

  test("an error of the processor is a part, then the end, which is none; what came before it came", async () => {
    const error = new MillraceError("rate_limited", "slow down", { retryAfterMs: 40, status: 429 });
    const parts = await streamed(giving([text("Hi", assistant)], error));
    expect(parts.map(({ type }) => type)).toEqual(["stream-start", "text-start", "text-delta", "error", "finish"]);
    expect((parts[3] as { error: unknown }).error).toBe(error);
    expect(parts[4]).toEqual({ type: "finish", finishReason: { unified: "error", raw: undefined }, usage: unknown });
  });

  test.each([1, 2, 4])("an abort after %i reads is its reason", async (reads) => {
    const controller = new AbortController();
    const reason = { why: "enough" };
    const { stream } = await modelOf(mockModel([["a", { stall: true }]])).doStream({ prompt: hello, abortSignal: controller.signal });
    const reader = stream.getReader();
    let pending: Promise<unknown> = Promise.resolve();
    for (let read = 0; read < reads; read += 1) pending = reader.read();
    await turn();
    controller.abort(reason);
    await expect(reads === 4 ? pending : reader.read()).rejects.toBe(reason);
  });
});

describe("a whole answer", () => {
  test("has texts whole, and the rest in its order", async () => {
    const { content, ...rest } = await modelOf(giving(whole)).doGenerate({ prompt: hello });
    expect(content).toEqual([
      { type: "reasoning", text: "Hm", providerMetadata: { example: { signature: "s" } } },
      { type: "text", text: 'Hello{"n":1}', providerMetadata: { example: { item: 1 } } },
      { type: "file", mediaType: "image/png", data: { type: "data", data: Uint8Array.of(1) } },
      { type: "file", mediaType: "text/html", data: { type: "url", url: new URL("https://example.com/"), originalUrl: "https://example.com" } },
      { type: "source", sourceType: "url", id: "source-0", url: "https://example.com/", title: "Example" },
      { type: "tool-call", toolCallId: "c1", toolName: "look", input: '{"at":1}', providerMetadata: { example: { sign: "x" } } },
    ]);
    expect(rest).toMatchObject({
      finishReason: { unified: "tool-calls", raw: "tool_use" },
      usage: { inputTokens: { total: 10 } },
      providerMetadata: { example: { tier: "flex" } },
      response: { id: "r1", modelId: "m-1" },
      warnings: [],
    });
  });

  test("of a processor that says nothing of itself is of the model, and has what was said of any delta", async () => {
    const deltas = [text("a", { ...assistant, metadata: { example: { n: 1 }, other: { n: 1 } } }), text("b", { ...assistant, metadata: { example: { n: 2 } } })];
    expect(await modelOf(giving(deltas), { modelId: "m" }).doGenerate({ prompt: hello })).toEqual({
      content: [{ type: "text", text: "ab", providerMetadata: { example: { n: 2 }, other: { n: 1 } } }],
      finishReason: { unified: "stop", raw: undefined },
      usage: unknown,
      response: { modelId: "m" },
      warnings: [],
    });
  });

  test.each([
    [new MillraceError("rate_limited", "slow down", { retryAfterMs: 40, status: 429 }), { statusCode: 429, isRetryable: true, responseHeaders: { "retry-after-ms": "40" } }],
    [new MillraceError("invalid_input", "no"), { isRetryable: false }],
  ])("an error of the processor is one that the SDK knows, around it: %s", async (error, expected) => {
    const failed = await Promise.resolve(modelOf(giving([text("Hi")], error)).doGenerate({ prompt: hello })).catch((caught: unknown) => caught as Error);
    const { APICallError } = await import("@ai-sdk/provider");
    expect(APICallError.isInstance(failed)).toBe(true);
    expect(failed).toMatchObject({ name: "AI_APICallError", message: error.message, ...expected });
    expect((failed as Error).cause).toBe(error);
  });

  test("an error that is none of ours comes out as it is, and an abort as its reason", async () => {
    const bug = new RangeError("a bug");
    await expect(modelOf(giving([], bug)).doGenerate({ prompt: hello })).rejects.toBe(bug);
    const reason = { why: "enough" };
    const model = mockModel([]);
    await expect(modelOf(model).doGenerate({ prompt: hello, abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(model.calls.length).toBe(0);
  });
});

describe("what the processor gets", () => {
  const inputOf = async (messages: LanguageModelV4Prompt): Promise<readonly Part[]> => {
    let seen: readonly Part[] = [];
    await streamed(
      async function* (input) {
        seen = await all(input);
      },
      { prompt: messages },
    );
    return seen;
  };
  const about = { example: { cache: true } };
  const sources = { ...assistant, substream: "sources" } as const;

  test("is the prompt, part by part, with the options of its providers", async () => {
    const parts = await inputOf([
      { role: "system", content: "Be brief.", providerOptions: about },
      {
        role: "user",
        content: [
          { type: "text", text: "Look", providerOptions: { example: { own: 1 } } },
          { type: "file", mediaType: "image/png", data: { type: "data", data: Uint8Array.of(1) }, filename: "a.png" },
          { type: "file", mediaType: "image", data: { type: "data", data: "AQI=" } },
          { type: "file", mediaType: "text/markdown", data: { type: "text", text: "# Hi" } },
          { type: "file", mediaType: "application/pdf", data: { type: "url", url: new URL("https://example.com/a.pdf") } },
        ],
        providerOptions: about,
      },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm", providerOptions: { example: { signature: "s" } } },
          { type: "text", text: "Well" },
          { type: "tool-call", toolCallId: "c1", toolName: "look", input: { at: 1 } },
          { type: "tool-call", toolCallId: "p1", toolName: "search", input: {}, providerExecuted: true },
          { type: "tool-result", toolCallId: "p1", toolName: "search", output: { type: "json", value: 1 } },
          { type: "custom", kind: "example.thing" },
        ],
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "text", value: "seen" } },
          { type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "error-json", value: { code: 1 } } },
          { type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "execution-denied" } },
          { type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "content", value: [{ type: "file", mediaType: "image/png", data: { type: "data", data: Uint8Array.of(1, 2) } }] } },
          { type: "tool-approval-response", approvalId: "a1", approved: true },
        ],
      },
    ]);
    expect(parts).toEqual([
      text("Be brief.", { role: "system", metadata: about }),
      text("Look", { metadata: { example: { own: 1 } } }),
      bytes(Uint8Array.of(1), "image/png", { metadata: { file: { name: "a.png" } } }),
      bytes(Uint8Array.of(1, 2), "image/*"),
      text("# Hi", { mimeType: "text/markdown" }),
      uri("https://example.com/a.pdf", "application/pdf", { metadata: about }),
      text("Hm", { ...assistant, substream: "reasoning" }),
      text("", { ...assistant, substream: "reasoning", metadata: { example: { signature: "s" } } }),
      text("Well", assistant),
      toolCall({ id: "c1", name: "look", arguments: { at: 1 } }),
      json({ type: "tool-call", toolCallId: "p1", toolName: "search", input: {}, providerExecuted: true }, sources),
      json({ type: "tool-result", toolCallId: "p1", toolName: "search", output: { type: "json", value: 1 } }, sources),
      json({ type: "custom", kind: "example.thing" }, sources),
      toolResult({ id: "c1", name: "look", result: "seen" }),
      toolResult({ id: "c1", name: "look", result: { code: 1 }, isError: true }),
      toolResult({ id: "c1", name: "look", result: "the call was not allowed", isError: true }),
      toolResult({ id: "c1", name: "look", result: [{ type: "file", mediaType: "image/png", data: { type: "data", data: "AQI=" } }] }),
    ]);
    expect(parts[0] !== undefined && isTrustedSystem(parts[0])).toBe(true);
  });

  test("a file that only its provider knows is refused", async () => {
    const parts = await streamed(giving([]), { prompt: [{ role: "user", content: [{ type: "file", mediaType: "image/png", data: { type: "reference", reference: { example: "f1" } } }] }] });
    expect(parts[0]).toMatchObject({ type: "error", error: { code: "invalid_input" } });
  });

  test.each([
    [{ type: "auto" }, {}],
    [{ type: "none" }, { toolChoice: "none" }],
  ] as const)("the choice %j without tools", async (toolChoice, asked) => {
    const model = mockModel(["ok"]);
    await streamed(model, { toolChoice });
    expect(model.calls[0]?.asked).toEqual(asked);
  });

  test("models within are asked for tools, choice and schema; what they are not asked is a warning", async () => {
    const model = mockModel(["ok"]);
    const parts = await streamed(model, {
      tools: [
        { type: "function", name: "look", description: "Looks.", inputSchema: { type: "object" } },
        { type: "provider", id: "example.search", name: "search", args: {} },
      ],
      toolChoice: { type: "tool", toolName: "look" },
      responseFormat: { type: "json", schema: { type: "object" } },
      temperature: 0.5,
      reasoning: "high",
      providerOptions: { example: { tier: "flex" } },
      headers: { "user-agent": "ai/6" },
    });
    expect(model.calls.map(({ asked }) => asked)).toEqual([
      { tools: [{ name: "look", description: "Looks.", parameters: { type: "object" } }], toolChoice: { name: "look" }, output: { name: "answer", schema: { type: "object" } } },
    ]);
    expect(parts[0]).toEqual({
      type: "stream-start",
      warnings: [
        { type: "unsupported", feature: "temperature" },
        { type: "unsupported", feature: "reasoning" },
        { type: "unsupported", feature: "providerOptions" },
        { type: "unsupported", feature: "tool search", details: "a tool of a provider" },
      ],
    });
  });
});

test("names itself, and says which addresses it takes", () => {
  const supportedUrls = { "image/*": [/^https:/] };
  expect(modelOf(mockModel([], { name: "mock" }))).toMatchObject({ specificationVersion: "v4", provider: "millrace", modelId: "mock", supportedUrls: {} });
  expect(modelOf(giving([]), { modelId: "m", provider: "p", supportedUrls })).toMatchObject({ provider: "p", modelId: "m", supportedUrls });
});

test.each([
  ["processor", "no function", {}],
  ["modelId", giving([]), { modelId: "" }],
  ["provider", giving([]), { provider: "" }],
])("a bad %s is refused when the model is made", (name, processor, options) => {
  expect(() => toAiSdk(processor as Processor, options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(name) as string }) as Error);
});
