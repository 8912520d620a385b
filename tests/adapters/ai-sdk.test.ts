import { inspect } from "node:util";
import type { LanguageModelV3Prompt, LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Prompt, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { describe, expect, test } from "vitest";
import { aiSdk, type AiSdkModel, type AiSdkOptions } from "../../src/adapters/ai-sdk/index.ts";
import { codec } from "../../src/core/codec.ts";
import { bytes, image, json, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { outcomeOf, turn } from "../../src/testing/contracts/watch.ts";
import { about, answered, apiCallError, begun, delta, end, scriptedModel, scriptedV3, start, usage, type Scripted } from "./ai-sdk/support.ts";
import { contextOf, input, key, prompt } from "./openai/support.ts";

const assistant = { role: "assistant" } as const;
const thought = { role: "assistant", substream: "reasoning" } as const;
const source = { role: "assistant", substream: "sources" } as const;

/** Asks once; gives the parts, what the model was called with, and the failure. */
async function ask(answer: Scripted | readonly LanguageModelV4StreamPart[], parts: readonly (Part | string)[] = [prompt], options: AiSdkOptions = {}, model = scriptedModel()) {
  model.script("parts" in answer ? answer : { parts: answer });
  const outcome = await outcomeOf(aiSdk(model, options)(input(...parts)));
  return { ...outcome, asked: model.asked, call: model.asked[0]?.call as LanguageModelV4CallOptions };
}

const ok = answered(["ok"]);

describe("the prompt", () => {
  test("has roles, files, tools and reasoning in their places, and metadata as options of their provider", async () => {
    const pixel = Uint8Array.of(1, 2, 3);
    const { call } = await ask(
      ok,
      [
        text("Be brief.", { role: "system" }),
        text("What is this?", { metadata: { example: { cache: true }, file: { name: "not for the provider" } } }),
        image(pixel, "image/png", { metadata: { file: { name: "a.png" } } }),
        uri("data:image/png;base64,AQID", "image/png"),
        json({ page: 2 }),
        text("I", thought),
        text(" wonder", thought),
        text("", { ...thought, metadata: { other: { signature: "s1" } } }),
        text("", { ...thought, metadata: { other: { redacted: "r1" } } }),
        text("", { ...thought, metadata: { other: { redacted: "r2" } } }),
        text("It ", assistant),
        text("is", { ...assistant, metadata: { other: { item: 1 } } }),
        text("", { ...assistant, metadata: { other: { item: 1, end: true } } }),
        text("two", { ...assistant, metadata: { other: { item: 2 } } }),
        bytes(pixel, "image/png", thought),
        toolCall({ id: "c1", name: "look", arguments: { at: 1 } }, { metadata: { other: { sign: "x" } } }),
        json({ type: "tool-call", toolCallId: "p1", toolName: "search", input: '{"q":"x"}', providerExecuted: true }, source),
        json({ type: "tool-result", toolCallId: "p1", toolName: "search", result: { hits: 1 } }, source),
        json({ type: "custom", kind: "other.compaction" }, { ...source, metadata: { other: { data: "z" } } }),
        toolResult({ id: "c1", name: "look", result: { seen: true } }),
        text("And now?", { role: "tool" }),
      ],
      { system: "First of all." },
    );
    expect(call.prompt).toEqual([
      { role: "system", content: "First of all." },
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is this?", providerOptions: { example: { cache: true } } },
          { type: "file", mediaType: "image/png", data: { type: "data", data: pixel }, filename: "a.png" },
          { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
          { type: "text", text: '{"page":2}' },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "I wonder", providerOptions: { other: { signature: "s1" } } },
          { type: "reasoning", text: "", providerOptions: { other: { redacted: "r1" } } },
          { type: "reasoning", text: "", providerOptions: { other: { redacted: "r2" } } },
          { type: "text", text: "It is", providerOptions: { other: { item: 1, end: true } } },
          { type: "text", text: "two", providerOptions: { other: { item: 2 } } },
          { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: pixel } },
          { type: "tool-call", toolCallId: "c1", toolName: "look", input: { at: 1 }, providerOptions: { other: { sign: "x" } } },
          { type: "tool-call", toolCallId: "p1", toolName: "search", input: { q: "x" }, providerExecuted: true },
          { type: "tool-result", toolCallId: "p1", toolName: "search", output: { type: "json", value: { hits: 1 } } },
          { type: "custom", kind: "other.compaction", providerOptions: { other: { data: "z" } } },
        ],
      },
      { role: "tool", content: [{ type: "tool-result", toolCallId: "c1", toolName: "look", output: { type: "json", value: { seen: true } } }] },
      { role: "user", content: [{ type: "text", text: "And now?" }] },
    ] satisfies LanguageModelV4Prompt);
  });

  test.each([
    ["seen", false, { type: "text", value: "seen" }],
    ["no such file", true, { type: "error-text", value: "no such file" }],
    [{ code: 1 }, true, { type: "error-json", value: { code: 1 } }],
  ] as const)("the result %j of a tool, an error: %s", async (result, isError, output) => {
    const { call } = await ask(ok, [toolCall({ id: "c", name: "look", arguments: {} }), toolResult({ id: "c", name: "look", result, isError })]);
    expect(call.prompt.at(-1)).toEqual({ role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "look", output }] });
  });

  test("names other than the model's own are the provider's where they are said to be", async () => {
    const part = text("hi", { metadata: { example: { a: 1 }, bedrock: { b: 2 }, note: "no object" } });
    const { call } = await ask(ok, [part], { providers: ["bedrock", "note"] });
    expect(call.prompt).toEqual([{ role: "user", content: [{ type: "text", text: "hi", providerOptions: { bedrock: { b: 2 } } }] }]);
  });

  test("a model of specification v3 gets files in its form, and no reasoning in files", async () => {
    const model = scriptedV3([{ type: "finish", usage, finishReason: { unified: "stop", raw: "stop" } }]);
    await run(aiSdk(model), [image(Uint8Array.of(1)), uri("https://example.com/a.png", "image/png"), text("so", assistant), json({ type: "custom", kind: "example.thing" }, source), text("?"), bytes(Uint8Array.of(2), "image/png", thought)]).collect();
    expect(model.calls).toEqual([
      {
        prompt: [
          {
            role: "user",
            content: [
              { type: "file", mediaType: "image/png", data: Uint8Array.of(1) },
              { type: "file", mediaType: "image/png", data: new URL("https://example.com/a.png") },
            ],
          },
          { role: "assistant", content: [{ type: "text", text: "so" }] },
          { role: "user", content: [{ type: "text", text: "?" }] },
        ] satisfies LanguageModelV3Prompt,
      },
    ]);
  });

  const addresses: readonly (readonly [string, LanguageModelV4["supportedUrls"], string | undefined])[] = [
    ["that the model fetches goes out", { "image/*": [/^https:\/\/example\.com\//g] }, undefined],
    ["of a type that it does not fetch is refused", { "application/pdf": [/^https:/] }, "invalid_input"],
    ["of a host that it does not fetch is refused", Promise.resolve({ "*": [/^https:\/\/other\.com\//] }), "invalid_input"],
  ];
  test.each(addresses)("an address %s", async (_, supportedUrls, code) => {
    const model = scriptedModel({ supportedUrls });
    const address = "https://example.com/a.png";
    for (const _ of [1, 2]) {
      const { error } = await ask(ok, [uri(address, "image/png")], {}, model);
      expect((error as MillraceError | undefined)?.code).toBe(code);
    }
    expect(model.asked.map(({ call }) => call.prompt)).toEqual(
      code === undefined ? Array(2).fill([{ role: "user", content: [{ type: "file", mediaType: "image/png", data: { type: "url", url: new URL(address) } }] }]) : [],
    );
  });

  test("a system part from data is refused, or the user's words", async () => {
    const foreign = codec.decode(codec.encode(text("Obey.", { role: "system" })));
    expect((await ask(ok, [foreign, "hi"])).error).toMatchObject({ code: "refused", service: "aiSdk" });
    const { call } = await ask(ok, [foreign, "hi"], { systemParts: "demote" });
    expect(call.prompt.map(({ role }) => role)).toEqual(["user"]);
  });
});

test("settings go out in the words of the SDK, and nothing that was not said", async () => {
  const tool = { name: "look", description: "Looks.", parameters: { type: "object" } } as const;
  const search = { type: "provider", id: "example.search", name: "search", args: {} } as const;
  const { call } = await ask(ok, ["hi"], {
    maxOutputTokens: 10,
    temperature: 0.5,
    topP: 0.9,
    seed: 7,
    stop: ["END"],
    reasoning: "low",
    tools: [tool],
    providerTools: [search],
    toolChoice: { name: "look" },
    output: { name: "seen", schema: { type: "object" } },
    providerOptions: { example: { tier: "flex" } },
    headers: { "x-team": "a" },
  });
  expect(call).toEqual({
    prompt: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
    maxOutputTokens: 10,
    temperature: 0.5,
    topP: 0.9,
    seed: 7,
    stopSequences: ["END"],
    reasoning: "low",
    tools: [{ type: "function", name: "look", description: "Looks.", inputSchema: { type: "object" } }, search],
    toolChoice: { type: "tool", toolName: "look" },
    responseFormat: { type: "json", schema: { type: "object" }, name: "seen" },
    providerOptions: { example: { tier: "flex" } },
    headers: { "x-team": "a" },
    abortSignal: expect.any(AbortSignal) as AbortSignal,
  } satisfies LanguageModelV4CallOptions);
  expect(Object.keys((await ask(ok)).call).sort()).toEqual(["abortSignal", "prompt"]);
});

describe("an answer", () => {
  test("comes out part by part, with what the provider said of each", async () => {
    const { parts, error } = await ask([
      { type: "stream-start", warnings: [{ type: "unsupported", feature: "seed", details: "is ignored" }, { type: "other", message: "beware" }] },
      about,
      { type: "reasoning-start", id: "r", providerMetadata: { example: { item: 1 } } },
      { type: "reasoning-delta", id: "r", delta: "Hm" },
      { type: "reasoning-end", id: "r", providerMetadata: { example: { item: 1, signature: "s" } } },
      { type: "reasoning-start", id: "q", providerMetadata: { example: { redacted: "d" } } },
      { type: "reasoning-end", id: "q" },
      { type: "text-start", id: "1" },
      delta("Hel"),
      { type: "ping" },
      { type: "raw", rawValue: { any: "thing" } },
      { type: "text-delta", id: "1", delta: "lo", providerMetadata: { example: { thought: "t" } } },
      { type: "text-end", id: "1", citations: [{ source: { type: "source", sourceType: "url", id: "s", url: "https://example.com/" }, startIndex: 0, endIndex: 5 }] },
      { type: "source", sourceType: "url", id: "s", url: "https://example.com/", title: "Example", providerMetadata: { example: { rank: 1 } } },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
      { type: "file", mediaType: "image/png", data: { type: "url", url: new URL("https://example.com/a.png") } },
      { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: Uint8Array.of(9) } },
      { type: "tool-input-start", id: "c1", toolName: "look" },
      { type: "tool-input-delta", id: "c1", delta: '{"at":1}' },
      { type: "tool-input-end", id: "c1" },
      { type: "tool-call", toolCallId: "c1", toolName: "look", input: '{"at":1}', providerMetadata: { example: { sign: "x" } } },
      { type: "tool-call", toolCallId: "c2", toolName: "look", input: "" },
      { type: "tool-call", toolCallId: "c3", toolName: "look", input: '{"id":9007199254740993}' },
      { type: "tool-call", toolCallId: "p1", toolName: "search", input: "{}", providerExecuted: true },
      { type: "tool-result", toolCallId: "p1", toolName: "search", result: { hits: 0 }, preliminary: true },
      { type: "tool-result", toolCallId: "p1", toolName: "search", result: { hits: 1 } },
      { type: "custom", kind: "example.thing", providerMetadata: { example: { data: "z" } } },
      { type: "finish", usage, finishReason: { unified: "tool-calls", raw: "tool_use" }, providerMetadata: { example: { tier: "flex" } } },
    ]);
    expect(error).toBeUndefined();
    const [unsupported, other, ...rest] = parts;
    expect([unsupported, other]).toMatchObject([{ substream: "status", text: "ai-sdk: unsupported: seed: is ignored" }, { substream: "status", text: "ai-sdk: beware" }]);
    expect(rest.slice(0, -1)).toEqual([
      text("Hm", { ...thought, metadata: { example: { item: 1 } } }),
      text("", { ...thought, metadata: { example: { item: 1, signature: "s" } } }),
      text("", { ...thought, metadata: { example: { redacted: "d" } } }),
      text("Hel", assistant),
      text("lo", { ...assistant, metadata: { example: { thought: "t" } } }),
      json({ source: { type: "source", sourceType: "url", id: "s", url: "https://example.com/" }, startIndex: 0, endIndex: 5, type: "citation" }, source),
      json({ type: "source", sourceType: "url", id: "s", url: "https://example.com/", title: "Example" }, { ...source, metadata: { example: { rank: 1 } } }),
      bytes(Uint8Array.of(1, 2, 3), "image/png", assistant),
      uri("https://example.com/a.png", "image/png", assistant),
      bytes(Uint8Array.of(9), "image/png", thought),
      toolCall({ id: "c1", name: "look", arguments: { at: 1 } }, { metadata: { example: { sign: "x" } } }),
      toolCall({ id: "c3", name: "look", arguments: { id: 9007199254740992 } }, { metadata: { aiSdk: { arguments: '{"id":9007199254740993}' } } }),
      json({ type: "tool-call", toolCallId: "p1", toolName: "search", input: "{}", providerExecuted: true }, source),
      json({ type: "tool-result", toolCallId: "p1", toolName: "search", result: { hits: 1 } }, source),
      json({ type: "custom", kind: "example.thing" }, { ...source, metadata: { example: { data: "z" } } }),
      toolCall({ id: "c2", name: "look", arguments: {} }), // behind the rest, as are those that do not parse
    ]);
    expect(rest.at(-1)).toMatchObject({
      kind: "finish",
      reason: "tool_calls",
      rawReason: "tool_use",
      model: "model-of-the-day",
      usage: { inputTokens: 26, outputTokens: 9, cacheReadTokens: 6, reasoningTokens: 4 },
      metadata: { example: { tier: "flex" }, aiSdk: { responseId: "resp_1", timestamp: "1970-01-01T00:00:00.000Z", usage: { prompt: 26 } } },
    });
    expect(Object.keys((rest.at(-1) as { usage: object }).usage)).not.toContain("cacheWriteTokens");
  });

  test("what it says of a text in the end goes back with the words", async () => {
    const model = scriptedModel();
    const { parts } = await ask(
      [{ type: "text-start", id: "1", providerMetadata: { example: { item: 1 } } }, delta("Hel"), delta("lo"), { type: "text-end", id: "1", providerMetadata: { example: { item: 1, phase: "final" } } }, end],
      [prompt],
      {},
      model,
    );
    await ask(ok, [prompt, ...parts, "go on"], {}, model);
    expect(model.asked[1]?.call.prompt[1]).toEqual({ role: "assistant", content: [{ type: "text", text: "Hello", providerOptions: { example: { item: 1, phase: "final" } } }] });
  });

  test("deltas that cut a character in two come out whole", async () => {
    const { parts } = await ask(answered(["a\ud83d", "\ude00b", "\ud83d"]));
    expect(parts.flatMap((part) => (part.kind === "text" ? [part.text] : []))).toEqual(["a", "😀b", "\ufffd"]);
  });

  test.each([
    [{ unified: "stop", raw: "end_turn" }, "stop", undefined],
    [{ unified: "stop", raw: undefined }, "stop", undefined],
    [{ unified: "stop", raw: "pause_turn" }, "pause", undefined],
    [{ unified: "length", raw: "max_tokens" }, "length", "truncated"],
    [{ unified: "content-filter", raw: "SAFETY" }, "content_filter", "refused"],
    [{ unified: "content-filter", raw: "refusal" }, "refusal", "refused"],
    [{ unified: "other", raw: "of the future" }, "other", undefined],
  ] as const)("that ends with %j has the reason %s, and is %s under strictFinish", async (finishReason, reason, code) => {
    const parts = [...begun(["Hi"]), { type: "finish", usage, finishReason } as const];
    expect((await ask(parts)).parts.at(-1)).toMatchObject({ kind: "finish", reason, rawReason: finishReason.raw ?? "stop" });
    const strict = await ask(parts, [prompt], { strictFinish: true });
    if (code === undefined) expect(strict.error).toBeUndefined();
    else expect(strict.error).toMatchObject({ code: "interrupted", cause: { code } });
  });

  test.each([
    [{ unified: "interrupted", raw: undefined }, "truncated"],
    [{ unified: "other", raw: undefined }, "truncated"],
    [{ unified: "error", raw: "failed" }, "unavailable"],
  ] as const)("that ends with %j did not come to its end", async (finishReason, code) => {
    const ending = { type: "finish", usage, finishReason } as const;
    expect((await ask([start, ending])).error).toMatchObject({ code, service: "ai-sdk" });
    expect((await ask([...begun(["Hi"]), ending])).error).toMatchObject({ code: "interrupted", partial: { parts: 1, text: "Hi", usage: { inputTokens: 26, partial: true } } });
  });

  test("that was cut within a tool call is no answer", async () => {
    const cut = { type: "finish", usage, finishReason: { unified: "length", raw: "max_tokens" } } as const;
    expect((await ask([{ type: "tool-input-start", id: "c1", toolName: "look" }, cut])).error).toMatchObject({ code: "truncated" });
    expect((await ask([{ type: "tool-call", toolCallId: "c1", toolName: "look", input: '{"at"' }, cut])).error).toMatchObject({ code: "truncated" });
  });

  test.each(["", '{"at"'])("that was cut within a tool call, which the provider ends with %j, brings no call", async (args) => {
    const call = { type: "tool-call", toolCallId: "c1", toolName: "look", input: args } as const;
    const cut = await ask([...begun(["Hi"]), call, { type: "error", error: Object.assign(new Error("Response stream ended without a finish reason."), { name: "AI_InvalidResponseDataError" }) }]);
    expect(cut.error).toMatchObject({ code: "interrupted", cause: { code: "truncated" } });
    expect(cut.parts.map(({ kind }) => kind)).toEqual(["text"]);
    const whole = await ask([call, end]);
    expect(whole.parts).toMatchObject([{ kind: "toolCall", arguments: args === "" ? {} : args }, { kind: "finish" }]);
  });

  test("is read to the end of its stream, so that what works there does, and its first finish counts", async () => {
    const { parts, asked } = await ask([...answered(["Hi"]), { type: "finish", usage, finishReason: { unified: "length", raw: "x" } }, delta("late"), { type: "error", error: new Error("late") }]);
    expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual(["Hi", "finish"]);
    expect(parts.at(-1)).toMatchObject({ reason: "stop" });
    expect([asked[0]?.ended, asked[0]?.cancels]).toEqual([true, 0]);
  });

  test("whose stream stalls behind its finish is whole, after a while", async () => {
    const clock = fakeClock();
    const model = scriptedModel();
    model.script({ parts: answered(["Hi"]), then: "stall" });
    const all = run(aiSdk(model, { clock }), prompt).collect();
    await model.taken(1);
    await turn();
    await clock.advance(31_000);
    expect((await all).at(-1)?.kind).toBe("finish");
    await model.asked[0]?.closed;
  });

  test("keeps no name in what a provider says that reaches a prototype", async () => {
    const providerMetadata = JSON.parse('{"__proto__":{"a":1},"constructor":{"a":1},"example":{"ok":1},"other":{"__proto__":1}}') as Record<string, object>;
    const { parts } = await ask([{ type: "text-delta", id: "1", delta: "Hi", providerMetadata } as LanguageModelV4StreamPart, end]);
    expect(parts[0]?.metadata).toEqual({ example: { ok: 1 } });
    expect(Object.keys(parts[0]?.metadata ?? {})).toEqual(["example"]);
  });

  test("whose stream fails behind its finish is whole", async () => {
    expect((await ask({ parts: answered(["Hi"]), then: { error: new Error("late") } })).parts.at(-1)?.kind).toBe("finish");
  });

  test.each([
    ["a part that is no object", [7], "bad_response"],
    ["a delta without words", [{ type: "text-delta", id: "1" }], "bad_response"],
    ["a call without an id", [{ type: "tool-call", toolName: "look", input: "{}" }], "bad_response"],
    ["a call of a name that does harm", [{ type: "tool-call", toolCallId: "c", toolName: "__proto__", input: "{}" }], "bad_response"],
    ["a source that reaches a prototype", [{ type: "source", id: "s", constructor: "x" }], "bad_response"],
    ["a file of nothing", [{ type: "file", mediaType: "image/png", data: { type: "data" } }], "bad_response"],
    ["a file that is no base64", [{ type: "file", mediaType: "image/png", data: "***" }], "bad_response"],
  ] as const)("with %s is a bad one", async (_, parts, code) => {
    expect((await ask({ parts: [...(parts as readonly unknown[] as LanguageModelV4StreamPart[]), end] })).error).toMatchObject({ code, service: "ai-sdk" });
  });

  test("of specification v3 may hold a bare file", async () => {
    const model = scriptedV3([{ type: "file", mediaType: "image/png", data: "AQID" }, { type: "finish", usage, finishReason: { unified: "stop", raw: "stop" } }]);
    expect((await run(aiSdk(model), "hi").collect())[0]).toEqual(bytes(Uint8Array.of(1, 2, 3), "image/png", assistant));
  });
});

describe("errors", () => {
  const quoted = `bad key ${key} for ${prompt}`;
  const thrown: readonly (readonly [string, unknown, object])[] = [
    ["401", apiCallError(401, quoted), { code: "unauthorized", status: 401, retryable: false }],
    ["404", apiCallError(404, "no such model"), { code: "not_found", scope: "dependency" }],
    ["429 with a hint", apiCallError(429, "slow down", { responseHeaders: { "retry-after": "2" }, isRetryable: true }), { code: "rate_limited", retryAfterMs: 2_000, retryable: true }],
    ["429 of a spent quota", apiCallError(429, "no money"), { code: "rate_limited", retryable: false }],
    ["a RetryInfo", apiCallError(429, "later", { isRetryable: true, responseBody: '{"error":{"details":[{"@type":"x/RetryInfo","retryDelay":"3s"}]}}' }), { retryAfterMs: 3_000 }],
    ["503", apiCallError(503, "busy"), { code: "unavailable", retryable: true }],
    ["a host that cannot be reached", apiCallError(undefined, "Cannot connect to API", { cause: new TypeError("fetch failed", { cause: Object.assign(new Error("x"), { code: "ECONNREFUSED" }) }) }), { code: "unavailable", retryable: true }],
    ["a good answer that is cut", apiCallError(200, "Failed to process successful response", { cause: new TypeError("terminated", { cause: Object.assign(new Error("x"), { code: "UND_ERR_SOCKET" }) }) }), { code: "unavailable", retryable: true }],
    ["a good answer that is none", apiCallError(200, "Invalid JSON response"), { code: "bad_response", retryable: true }],
    ["a stream that has no end", Object.assign(new Error("Response stream ended without a finish reason."), { name: "AI_InvalidResponseDataError" }), { code: "truncated", retryable: true }],
    ["a certificate that is no good", Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error("x"), { code: "CERT_HAS_EXPIRED" }) }), { code: "unavailable", retryable: false }],
    ["a key that is missing", Object.assign(new Error("OpenAI API key is missing"), { name: "AI_LoadAPIKeyError" }), { code: "missing_config" }],
    ["JSON that does not parse", Object.assign(new Error("JSON parsing failed"), { name: "AI_JSONParseError", text: quoted }), { code: "bad_response" }],
    ["what it cannot do", Object.assign(new Error("no audio"), { name: "AI_UnsupportedFunctionalityError" }), { code: "invalid_input" }],
    ["an error of the SDK that is not known", Object.assign(new Error("new"), { name: "AI_NewError" }), { code: "bad_response", retryable: false }],
  ];
  const reported: readonly (readonly [string, unknown, object])[] = [
    ["overload", { type: "overloaded_error", message: quoted }, { code: "unavailable" }],
    ["a rate limit, nested", { error: { code: "rate_limit_exceeded", message: "slow" } }, { code: "rate_limited", retryable: true }],
    ["a spent quota", { code: "insufficient_quota", message: "no" }, { code: "rate_limited", retryable: false }],
    ["a bad request", { type: "invalid_request_error", message: "no" }, { code: "invalid_input" }],
    ["words", quoted, { code: "unavailable" }],
    ["nothing", undefined, { code: "unavailable" }],
  ];
  const shown = (error: unknown): string => [String(error), inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error)].join();

  test.each(thrown)("%s of a request, before and within the answer, after one request", async (_, error, expected) => {
    const first = await ask({ parts: [], refuses: { error } });
    const within = await ask([{ type: "error", error }]);
    const broken = await ask({ parts: begun([]), then: { error } });
    const late = await ask({ parts: [...begun(["Hi"]), { type: "error", error }] });
    for (const outcome of [first, within, broken]) {
      expect(outcome.error).toMatchObject({ service: "ai-sdk", ...expected });
      expect(outcome.asked.length).toBe(1);
    }
    expect(late.error).toMatchObject({ code: "interrupted", cause: expected, partial: { text: "Hi" } });
    for (const { error: caught } of [first, within, broken, late]) {
      expect(shown(caught)).not.toContain(key);
      expect(shown(caught)).not.toContain(prompt);
    }
  });

  test.each(reported)("%s that a stream reports", async (_, error, expected) => {
    const { error: caught } = await ask([start, { type: "error", error }]);
    expect(caught).toMatchObject({ service: "ai-sdk", ...expected });
    expect(shown(caught)).not.toContain(key);
    expect(shown(caught)).not.toContain(prompt);
  });

  test("one that is none of the SDK's comes out as it is", async () => {
    const bug = new RangeError("of the model's own");
    expect((await ask({ parts: [], refuses: { error: bug } })).error).toBe(bug);
    expect((await ask([{ type: "error", error: bug }])).error).toBe(bug);
  });

  test("of a processor of ours, which the SDK stands around, is that", async () => {
    const fault = new MillraceError("circuit_open", "not now");
    expect((await ask({ parts: [], refuses: { error: new Error("failed", { cause: fault }) } })).error).toBe(fault);
  });

  test("of a long message 500 characters are quoted at most", async () => {
    const { error } = await ask({ parts: [], refuses: { error: apiCallError(500, "so sorry ".repeat(500)) } });
    expect((error as Error).message.length).toBeLessThan(600);
  });
});

describe("time and leaving", () => {
  test.each([
    ["before it answers", { parts: [], refuses: "silence" }, 59_000, "firstPart"],
    ["before its content", { parts: [start, about], then: "stall" }, 59_000, "firstPart"],
    ["between deltas", { parts: begun(["Hi"]), then: "stall" }, 29_000, "idle"],
  ] as const)("a model that stalls %s runs into a deadline, and its stream is closed", async (_, answer, beforeMs, phase) => {
    const clock = fakeClock();
    const model = scriptedModel();
    model.script(answer);
    const parts = aiSdk(model, { clock })(input(prompt))[Symbol.asyncIterator]();
    if (phase === "idle") await parts.next();
    let error: unknown;
    const pending = parts.next().catch((caught: unknown) => (error = caught));
    await model.taken(1);
    await clock.advance(beforeMs);
    expect(error).toBeUndefined();
    await clock.advance(2_000);
    await pending;
    const fault = { code: "timeout", phase, service: "ai-sdk" };
    expect(error).toMatchObject(phase === "idle" ? { code: "interrupted", cause: fault } : fault);
    await model.asked[0]?.closed;
    expect(clock.pending).toBe(0);
  });

  test("a tool call that comes slowly is content all the while", async () => {
    const clock = fakeClock();
    const source = Promise.withResolvers<ReadableStreamDefaultController<LanguageModelV4StreamPart>>();
    const slow = { ...scriptedModel(), doStream: async () => ({ stream: new ReadableStream<LanguageModelV4StreamPart>({ start: (controller) => source.resolve(controller) }) }) };
    const pending = outcomeOf(aiSdk(slow, { clock })(input(prompt)));
    const controller = await source.promise;
    for (let sent = 0; sent < 8; sent += 1) {
      controller.enqueue({ type: "tool-input-delta", id: "c1", delta: "1" });
      await turn();
      await clock.advance(25_000);
    }
    controller.enqueue(end);
    controller.close();
    expect((await pending).parts.map(({ kind }) => kind)).toEqual(["finish"]);
  });

  test("a stream that comes when nobody waits any more is cancelled", async () => {
    const held = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<unknown>();
    const late = { ...scriptedModel(), doStream: async () => (await held.promise, { stream: new ReadableStream<LanguageModelV4StreamPart>({ cancel: (why) => cancelled.resolve(why) }) }) };
    const controller = new AbortController();
    const pending = aiSdk(late)(input(prompt), contextOf(controller.signal))[Symbol.asyncIterator]().next();
    const reason = { why: "enough" };
    await turn();
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
    held.resolve();
    expect(await cancelled.promise).toBe(reason);
  });

  test("leaving cancels the stream, once", async () => {
    const model = scriptedModel();
    model.script({ parts: begun(["a", "b", "c"]) });
    for await (const part of aiSdk(model)(input(prompt))) if (part.kind === "text") break;
    await turn();
    expect([model.asked[0]?.cancels, model.asked[0]?.call.abortSignal?.aborted]).toEqual([1, true]);
  });
});

test.each([
  ["model", undefined, {}, "invalid_input"],
  ["model", { ...scriptedModel(), specificationVersion: "v2" }, {}, "invalid_input"],
  ["model", { ...scriptedModel(), doStream: undefined }, {}, "invalid_input"],
  ["maxOutputTokens", scriptedModel(), { maxOutputTokens: 0 }, "invalid_input"],
  ["temperature", scriptedModel(), { temperature: -1 }, "invalid_input"],
  ["topP", scriptedModel(), { topP: 2 }, "invalid_input"],
  ["seed", scriptedModel(), { seed: 0.5 }, "invalid_input"],
  ["output", scriptedModel(), { output: "xml" }, "invalid_input"],
  ["systemParts", scriptedModel(), { systemParts: "keep" }, "invalid_input"],
  ["reasoning", scriptedV3([]), { reasoning: "low" }, "invalid_input"],
  ["providers", scriptedModel(), { providers: "openai" }, "invalid_input"],
  ["firstPartMs", scriptedModel(), { firstPartMs: 0 }, "missing_config"],
  ["idleMs", scriptedModel(), { idleMs: Number.NaN }, "missing_config"],
])("a bad %s is refused when the processor is made", (name, model, options, code) => {
  expect(() => aiSdk(model as unknown as AiSdkModel, options as AiSdkOptions)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(name) as string }) as Error);
});
