import type { ChatCompletionChunk, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import { describe, expect, test } from "vitest";
import { openaiChat, type OpenAIChatOptions } from "../../src/adapters/openai/index.ts";
import { audio, bytes, image, json, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import type { Part, PartOptions } from "../../src/core/part.ts";
import { chatFrames, sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { answered, callChunk, chunk, usage, usageChunk } from "./openai/chat-fixture.ts";
import { input, key, prompt } from "./openai/support.ts";

type Sent = ChatCompletionCreateParamsStreaming;

/** Asks once; gives the parts, what was sent, and the failure. */
async function ask(options: Partial<OpenAIChatOptions>, parts: readonly (Part | string)[], chunks: readonly ChatCompletionChunk[] = answered(["ok"]), done = true) {
  await using server = await wireServer({ answer: sseAnswer(chatFrames(chunks, { done }), { headers: { "x-request-id": "req_7" } }) });
  const model = openaiChat({ model: "gpt-test", baseUrl: `${server.url}/v1`, apiKey: key, ...options } as OpenAIChatOptions);
  const all: Part[] = [];
  let error: unknown;
  try {
    for await (const part of model(input(...parts))) all.push(part);
  } catch (caught) {
    error = caught;
  }
  return { parts: all, error, requests: server.requests, sent: server.requests[0]?.json() as Sent };
}

const bytesOf = Uint8Array.of(1, 2);

describe("what is sent", () => {
  test("text, images, audio and files, by content, by address and by id", async () => {
    const { sent } = await ask({}, [
      "look and listen",
      image(bytesOf),
      uri("https://example.com/a.webp", "image/webp", { metadata: { openai: { detail: "low" } } }),
      audio(bytesOf),
      audio(bytesOf, "audio/mpeg"),
      audio(bytesOf, "audio/x-wav; rate=16000"),
      bytes(bytesOf, "application/pdf", { metadata: { file: { name: "report.pdf" } } }),
      uri("data:text/csv;base64,AQI=", "text/csv"),
      uri("openai-file:file-abc", "application/pdf"),
      json({ a: [1] }),
    ]);
    expect(sent.messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "look and listen" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AQI=" } },
          { type: "image_url", image_url: { url: "https://example.com/a.webp", detail: "low" } },
          { type: "input_audio", input_audio: { data: "AQI=", format: "wav" } },
          { type: "input_audio", input_audio: { data: "AQI=", format: "mp3" } },
          { type: "input_audio", input_audio: { data: "AQI=", format: "wav" } },
          { type: "file", file: { filename: "report.pdf", file_data: "data:application/pdf;base64,AQI=" } },
          { type: "file", file: { filename: "file.csv", file_data: "data:text/csv;base64,AQI=" } },
          { type: "file", file: { file_id: "file-abc" } },
          { type: "text", text: '{"a":[1]}' },
        ],
      },
    ] satisfies Sent["messages"]);
  });

  test.each<readonly [string, Part, string]>([
    ["audio in another format", audio(bytesOf, "audio/ogg"), "wav or mp3"],
    ["audio elsewhere", uri("https://example.com/a.wav", "audio/wav"), "load its content"],
    ["a file elsewhere", uri("https://example.com/a.pdf", "application/pdf"), "load its content"],
    ["an image that was uploaded", uri("openai-file:file-abc", "image/png"), "openai-file:"],
    ["video", bytes(bytesOf, "video/mp4"), "video/mp4"],
    ["audio by the assistant", audio(bytesOf, "audio/wav", { role: "assistant" }), "assistant"],
  ])("%s is invalid_input, before any request", async (_, part, named) => {
    const { error, requests } = await ask({}, ["listen", part]);
    expect(error).toMatchObject({ code: "invalid_input", message: expect.stringContaining(named) as string });
    expect(requests.length).toBe(0);
  });

  test("media of tools follow behind the results of the turn, as the user's, and what users say after them joins them", async () => {
    const seen = (id: string): Part[] => {
      const of: PartOptions = { role: "tool", metadata: { toolResult: { id } } };
      return [toolResult({ id, name: "look", result: { id } }), image(bytesOf, "image/png", of), audio(bytesOf, "audio/wav", of)];
    };
    const media = [{ type: "image_url", image_url: { url: "data:image/png;base64,AQI=" } }, { type: "input_audio", input_audio: { data: "AQI=", format: "wav" } }] as const;
    const calls = ["a", "b"].map((id) => toolCall({ id, name: "look", arguments: { id } }));
    const { sent } = await ask({}, ["look", ...calls, ...seen("a"), ...seen("b"), "well?"]);
    expect(sent.messages).toEqual([
      { role: "user", content: "look" },
      {
        role: "assistant",
        content: null,
        tool_calls: ["a", "b"].map((id) => ({ id, type: "function" as const, function: { name: "look", arguments: `{"id":"${id}"}` } })),
      },
      { role: "tool", tool_call_id: "a", content: '{"id":"a"}' },
      { role: "tool", tool_call_id: "b", content: '{"id":"b"}' },
      { role: "user", content: [...media, ...media, { type: "text", text: "well?" }] },
    ] satisfies Sent["messages"]);
  });

  test("the options, and no key that has no value", async () => {
    const tool = { name: "weather", description: "Tells the weather", parameters: { type: "object", properties: {} } };
    const { sent } = await ask(
      { system: "Be brief.", maxOutputTokens: 100, temperature: 0.5, topP: 0.9, stop: ["END"], tools: [tool], toolChoice: "required", output: { name: "answer", schema: { type: "object" } }, extra: { seed: 7, stream: false } },
      [prompt],
    );
    expect(sent).toEqual({
      model: "gpt-test",
      messages: [{ role: "system", content: "Be brief." }, { role: "user", content: prompt }],
      stream: true,
      stream_options: { include_usage: true },
      max_completion_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["END"],
      tools: [{ type: "function", function: tool }],
      tool_choice: "required",
      response_format: { type: "json_schema", json_schema: { strict: true, name: "answer", schema: { type: "object" } } },
      seed: 7,
    } satisfies Sent & { seed: number });
    expect(Object.keys((await ask({ usage: false }, [prompt])).sent).sort()).toEqual(["messages", "model", "stream"]);
  });
});

describe("what comes back", () => {
  test("text, reasoning of compatible servers, and one finish part with what the last chunk counts", async () => {
    const thought = chunk({ reasoning_content: "Hm." } as ChatCompletionChunk.Choice.Delta);
    const { parts } = await ask({}, [prompt], [thought, ...answered(["Hel", "lo"])]);
    expect(parts).toMatchObject([
      { kind: "text", text: "Hm.", substream: "reasoning", role: "assistant" },
      { kind: "text", text: "Hel", substream: "" },
      { kind: "text", text: "lo", substream: "" },
      {
        kind: "finish",
        reason: "stop",
        model: "gpt-test-2026",
        usage: { inputTokens: 12, outputTokens: 7, cacheReadTokens: 4, reasoningTokens: 3 },
        metadata: { openai: { usage, responseId: "chatcmpl_1", requestId: "req_7" } },
      },
    ]);
  });

  test("calls whose pieces come in turns go out whole, in the order that they began", async () => {
    const { parts } = await ask({}, [prompt], [
      callChunk({ index: 0, id: "c0", type: "function", function: { name: "weather", arguments: '{"ci' } }),
      callChunk({ index: 1, id: "c1", type: "function", function: { name: "now", arguments: "" } }),
      callChunk({ index: 0, function: { arguments: 'ty":"Oslo"}' } }),
      chunk({}, "tool_calls"),
      usageChunk,
    ]);
    expect(parts).toMatchObject([
      { kind: "toolCall", id: "c0", name: "weather", arguments: { city: "Oslo" } },
      { kind: "toolCall", id: "c1", name: "now", arguments: {} },
      { kind: "finish", reason: "tool_calls" },
    ]);
  });

  test("a call that was begun and has no finish reason is truncated, `[DONE]` or not", async () => {
    for (const done of [true, false]) {
      const { parts, error } = await ask({}, [prompt], [callChunk({ index: 0, id: "c0", function: { name: "pay", arguments: '{"amount":1}' } })], done);
      expect(parts).toEqual([]);
      expect(error).toMatchObject({ code: "truncated" });
    }
  });

  test("an end with `[DONE]` alone, or with a finish reason alone, is an end", async () => {
    const bare = [chunk({ content: "ok" })];
    expect((await ask({}, [text("hi")], bare)).parts.at(-1)).toMatchObject({ kind: "finish", reason: "stop" });
    expect((await ask({}, [text("hi")], [...bare, chunk({}, "length")], false)).parts.at(-1)).toMatchObject({ kind: "finish", reason: "length" });
    expect((await ask({}, [text("hi")], bare, false)).error).toMatchObject({ code: "interrupted", cause: { code: "truncated" } });
  });
});
