import { describe, expect, test } from "vitest";
import { anthropic } from "../../src/adapters/anthropic/index.ts";
import { azureOpenai } from "../../src/adapters/azure-openai/index.ts";
import { gemini } from "../../src/adapters/gemini/index.ts";
import { ollama } from "../../src/adapters/ollama/index.ts";
import { openai, openaiChat } from "../../src/adapters/openai/index.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import type { Model } from "../../src/kinds/model.ts";
import { anthropicVoice } from "../../src/testing/voices/anthropic.ts";
import { geminiVoice } from "../../src/testing/voices/gemini.ts";
import { ollamaVoice } from "../../src/testing/voices/ollama.ts";
import { azureOpenaiVoice, openaiChatVoice } from "../../src/testing/voices/openai-chat.ts";
import { openaiVoice } from "../../src/testing/voices/openai.ts";
import type { WireCall, WireTrouble, WireVoice } from "../../src/testing/voices/voice.ts";
import { chatFrames, jsonLineFrames, responsesFrames } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { answered as anthropicAnswered } from "../adapters/anthropic/messages-fixture.ts";
import { framesOf as anthropicFrames } from "../adapters/anthropic/support.ts";
import { answered as geminiAnswered, geminiFrames } from "../adapters/gemini/fixture.ts";
import { answered as ollamaAnswered } from "../adapters/ollama/support.ts";
import { answered as chatAnswered } from "../adapters/openai/chat-fixture.ts";
import { answered as responsesAnswered } from "../adapters/openai/responses-fixture.ts";

const texts = ["Mince ", "the ", "garlic 👩‍🍳."];
const calls: readonly WireCall[] = [
  { id: "call_1", name: "weather", arguments: { city: "Ōsaka", days: [1, { a: null }] } },
  { id: "call_2", name: "now", arguments: {} },
];

interface Speaker {
  readonly voice: WireVoice;
  /** The same answer of texts, held against the types of the service's own client. */
  readonly typed?: readonly string[];
  model(url: string): Model;
}

const apiKey = "key";
const speakers: readonly Speaker[] = [
  { voice: openaiVoice, typed: responsesFrames(responsesAnswered(texts)), model: (url) => openai({ model: "m", baseUrl: url, apiKey }) },
  { voice: openaiChatVoice, typed: chatFrames(chatAnswered(texts)), model: (url) => openaiChat({ model: "m", baseUrl: url, apiKey }) },
  { voice: azureOpenaiVoice, model: (url) => azureOpenai({ endpoint: url, deployment: "d", apiKey, apiVersion: "2025-04-01-preview", api: "chat" }) },
  { voice: anthropicVoice, typed: anthropicFrames(anthropicAnswered(texts)), model: (url) => anthropic({ model: "m", baseUrl: url, apiKey }) },
  { voice: geminiVoice, typed: geminiFrames(geminiAnswered(texts)), model: (url) => gemini({ model: "m", baseUrl: url, apiKey }) },
  { voice: ollamaVoice, typed: jsonLineFrames(ollamaAnswered(texts)), model: (url) => ollama({ model: "m", baseUrl: url, apiKey }) },
];

const shown = (part: Part): unknown => (part.kind === "text" ? part.text : part.kind === "toolCall" ? { name: part.name, arguments: part.arguments } : part.kind === "finish" ? part.reason : part.kind);
const { id: _, ...first } = calls[0] as WireCall;
const { id: __, ...second } = calls[1] as WireCall;

for (const { voice, typed, model } of speakers) {
  describe(voice.name, () => {
    const said = async (frames: readonly string[]): Promise<readonly Part[]> => {
      await using server = await wireServer({ answer: voice.answer(frames) });
      return await run(model(server.url), "Hi").collect();
    };

    test.skipIf(typed === undefined)(`says what the service says, byte for byte${typed === undefined ? " (skipped: no fixture of its own to hold it against; it is that of Chat Completions behind one chunk)" : ""}`, () => expect(voice.frames(texts)).toEqual(typed));

    test("texts are heard as they were said", async () => expect((await said(voice.frames(texts))).map(shown)).toEqual([...texts, "stop"]));

    test("text and calls are heard in their order", async () => {
      const parts = await said(voice.frames([...texts, ...calls]));
      expect(parts.map(shown)).toEqual([...texts, first, second, "tool_calls"]);
      expect(parts.flatMap((part) => (part.kind === "toolCall" ? [part.id] : []))).toEqual(["call_1", "call_2"]);
    });

    test("an answer without a word is whole", async () => expect((await said(voice.frames([]))).map(shown)).toEqual(["stop"]));

    test("what is said first comes right after the frames before it, in any line end", () => {
      for (const lineEnd of ["\n", "\r\n"] as const) {
        const frames = voice.frames(texts, { lineEnd });
        expect(frames.findIndex((frame) => frame.includes("Mince"))).toBe(voice.framesBefore);
        expect(frames[voice.framesBefore + 1]).toContain("the ");
        expect(frames.every((frame) => frame.endsWith(lineEnd))).toBe(true);
      }
    });

    test.each<readonly [WireTrouble, object]>([
      ["overloaded", { code: "unavailable", retryable: true }],
      ["rate_limited", { code: "rate_limited", retryable: true }],
      ["out_of_quota", { code: "rate_limited", retryable: false }],
    ])("%s is told by its own code", async (trouble, fault) => {
      await expect(said([voice.errorFrame(trouble, "so it is")])).rejects.toMatchObject({ ...fault, message: expect.stringContaining("so it is") as string });
    });

    test.each([
      [401, "unauthorized"],
      [404, "not_found"],
      [429, "rate_limited"],
      [503, "unavailable"],
    ])("a refusal with %i is %s", async (status, code) => {
      await using server = await wireServer({ answer: voice.refusal(status, "so it is", { "x-should-retry": "false" }) });
      await expect(run(model(server.url), "Hi").collect()).rejects.toMatchObject({ code, status, message: expect.stringContaining("so it is") as string });
      expect((await fetch(server.url)).headers.get("x-should-retry")).toBe("false");
    });
  });
}
