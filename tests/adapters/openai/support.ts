/** What the tests of both APIs share. */
import { text } from "../../../src/core/constructors.ts";
import type { Part } from "../../../src/core/part.ts";
import type { Context } from "../../../src/core/processor.ts";
import { openai, openaiChat, type OpenAIChatOptions, type OpenAIOptions } from "../../../src/adapters/openai/index.ts";
import type { Model } from "../../../src/kinds/model.ts";
import { openaiChatVoice } from "../../../src/testing/voices/openai-chat.ts";
import { openaiVoice } from "../../../src/testing/voices/openai.ts";
import type { WireVoice } from "../../../src/testing/voices/voice.ts";
import { chatFrames, responsesFrames, type EventStyle } from "../../../src/testing/wire-answers.ts";
import * as chat from "./chat-fixture.ts";
import * as responses from "./responses-fixture.ts";

/** A key that must turn up nowhere. */
export const key = "sk-canary-0123456789abcdef";
/** A prompt that must turn up in no message. */
export const prompt = "What is the secret ingredient of grandmother's soup?";

export type Common = Partial<Omit<OpenAIOptions & OpenAIChatOptions, "client" | "reasoning">>;

/** One of the two APIs. */
export interface Api {
  readonly name: string;
  readonly path: string;
  readonly voice: WireVoice;
  model(baseUrl: string, options?: Common): Model;
  /** A whole answer as frames. */
  frames(deltas: readonly string[], style?: EventStyle): string[];
  /** How many frames come before the first content. */
  readonly before: number;
  /** An error within the stream. */
  inBand(error: { readonly code: string; readonly message: string; readonly type?: string }): string;
  /** Something that is no content. */
  readonly quiet: string;
}

export const apis: readonly Api[] = [
  {
    name: "openai",
    path: "/v1/responses",
    voice: openaiVoice,
    model: (baseUrl, options) => openai({ model: "gpt-test", baseUrl: `${baseUrl}/v1`, apiKey: key, ...options }),
    frames: (deltas, style) => responsesFrames(responses.answered(deltas), style),
    before: 4,
    inBand: ({ code, message }) => responsesFrames([{ type: "error", code, message, param: null, sequence_number: 9 } as { type: string }])[0] ?? "",
    quiet: responsesFrames(responses.numbered(responses.opening))[1] ?? "",
  },
  {
    name: "openaiChat",
    path: "/v1/chat/completions",
    voice: openaiChatVoice,
    model: (baseUrl, options) => openaiChat({ model: "gpt-test", baseUrl: `${baseUrl}/v1`, apiKey: key, ...options }),
    frames: (deltas, style) => chatFrames(chat.answered(deltas), style),
    before: 1,
    inBand: (error) => chatFrames([{ error: { param: null, type: null, ...error } }], { done: false })[0] ?? "",
    quiet: chatFrames([chat.chunk({ content: "" })], { done: false })[0] ?? "",
  },
];

export async function* input(...parts: readonly (Part | string)[]): AsyncGenerator<Part> {
  for (const part of parts) yield typeof part === "string" ? text(part) : part;
}

/** A context as a run gives it. */
export const contextOf = (signal: AbortSignal): Context => ({ signal, correlationId: "c", runId: "r", state: new Map(), waitUntil: () => {} });

export const collect = async (parts: AsyncIterable<Part>): Promise<Part[]> => {
  const all: Part[] = [];
  for await (const part of parts) all.push(part);
  return all;
};

/** What a turn gave before it failed, and the failure. */
export async function failing(parts: AsyncIterable<Part>): Promise<{ readonly parts: Part[]; readonly error: unknown }> {
  const all: Part[] = [];
  try {
    for await (const part of parts) all.push(part);
  } catch (error) {
    return { parts: all, error };
  }
  throw new Error(`nothing failed: ${all.map((part) => part.kind).join(", ")}`);
}
