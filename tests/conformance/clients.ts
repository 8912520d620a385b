/**
 * The clients that meet the faults: every adapter of a model, and beside each the official client of its service as its documents use it.
 *
 * @module
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { anthropic } from "../../src/adapters/anthropic/index.ts";
import { azureOpenai } from "../../src/adapters/azure-openai/index.ts";
import { gemini } from "../../src/adapters/gemini/index.ts";
import { ollama } from "../../src/adapters/ollama/index.ts";
import { openai, openaiChat } from "../../src/adapters/openai/index.ts";
import { text } from "../../src/core/constructors.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import type { Model } from "../../src/kinds/model.ts";
import type { CodeOf } from "../../src/testing/fault-findings.ts";
import type { WireAsk, WireClient } from "../../src/testing/fault-meeting.ts";
import { anthropicVoice } from "../../src/testing/voices/anthropic.ts";
import { geminiVoice } from "../../src/testing/voices/gemini.ts";
import { ollamaVoice } from "../../src/testing/voices/ollama.ts";
import { azureOpenaiVoice, openaiChatVoice } from "../../src/testing/voices/openai-chat.ts";
import { openaiVoice } from "../../src/testing/voices/openai.ts";
import type { WireVoice } from "../../src/testing/voices/voice.ts";
import { codeOfStatus } from "../../src/wire/http-status.ts";

/** A service, our adapter of it, and its official client. */
export interface Provider {
  readonly voice: WireVoice;
  readonly adapter: string;
  readonly ours: WireClient;
  /** The package of the official client. */
  readonly client: string;
  /** Asks with it. */
  readonly raw: WireClient;
}

const apiVersion = "2025-04-01-preview";

/** The adapter itself, not a run of it, which would do by itself some of what it must do. */
function client(modelOf: (ask: WireAsk) => Model): WireClient {
  return (ask) => modelOf(ask)(once(ask.prompt), { signal: ask.signal, correlationId: "c", runId: "r", state: new Map(), waitUntil: () => {} });
}

async function* once(words: string): AsyncGenerator<Part> {
  yield text(words);
}

export const providers: readonly Provider[] = [
  {
    voice: openaiVoice,
    adapter: "openai",
    ours: client(({ url, apiKey, clock }) => openai({ model: "m", baseUrl: `${url}/v1`, apiKey, clock })),
    client: "openai",
    async *raw({ url, apiKey, prompt, signal }) {
      const { default: OpenAI } = await import("openai");
      const stream = await new OpenAI({ apiKey, baseURL: `${url}/v1` }).responses.create({ model: "m", input: prompt, stream: true }, { signal });
      for await (const event of stream) if (event.type === "response.output_text.delta") yield event.delta;
    },
  },
  {
    voice: openaiChatVoice,
    adapter: "openaiChat",
    ours: client(({ url, apiKey, clock }) => openaiChat({ model: "m", baseUrl: `${url}/v1`, apiKey, clock })),
    client: "openai",
    async *raw({ url, apiKey, prompt, signal }) {
      const { default: OpenAI } = await import("openai");
      const stream = await new OpenAI({ apiKey, baseURL: `${url}/v1` }).chat.completions.create({ model: "m", messages: [{ role: "user", content: prompt }], stream: true }, { signal });
      for await (const chunk of stream) yield chunk.choices[0]?.delta.content ?? "";
    },
  },
  {
    voice: azureOpenaiVoice,
    adapter: "azureOpenai",
    ours: client(({ url, apiKey, clock }) => azureOpenai({ endpoint: url, deployment: "d", apiVersion, api: "chat", apiKey, clock })),
    client: "openai",
    async *raw({ url, apiKey, prompt, signal }) {
      const { AzureOpenAI } = await import("openai");
      const azure = new AzureOpenAI({ endpoint: url, deployment: "d", apiVersion, apiKey });
      const stream = await azure.chat.completions.create({ model: "m", messages: [{ role: "user", content: prompt }], stream: true }, { signal });
      for await (const chunk of stream) yield chunk.choices[0]?.delta.content ?? "";
    },
  },
  {
    voice: anthropicVoice,
    adapter: "anthropic",
    ours: client(({ url, apiKey, clock }) => anthropic({ model: "m", baseUrl: url, apiKey, clock })),
    client: "@anthropic-ai/sdk",
    async *raw({ url, apiKey, prompt, signal }) {
      const { default: Anthropic } = await import("@anthropic-ai/sdk");
      const stream = await new Anthropic({ apiKey, baseURL: url }).messages.create({ model: "m", max_tokens: 100, messages: [{ role: "user", content: prompt }], stream: true }, { signal });
      for await (const event of stream) if (event.type === "content_block_delta" && event.delta.type === "text_delta") yield event.delta.text;
    },
  },
  {
    voice: geminiVoice,
    adapter: "gemini",
    ours: client(({ url, apiKey, clock }) => gemini({ model: "m", baseUrl: url, apiKey, clock })),
    client: "@google/genai",
    async *raw({ url, apiKey, prompt, signal }) {
      const { GoogleGenAI } = await import("@google/genai");
      const stream = await new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } }).models.generateContentStream({ model: "m", contents: prompt, config: { abortSignal: signal } });
      for await (const chunk of stream) yield chunk.text ?? "";
    },
  },
  {
    voice: ollamaVoice,
    adapter: "ollama",
    ours: client(({ url, apiKey, clock }) => ollama({ model: "m", baseUrl: url, apiKey, clock })),
    client: "ollama",
    async *raw({ url, apiKey, prompt, signal }) {
      const { Ollama } = await import("ollama");
      const asked = new Ollama({ host: url, headers: { authorization: `Bearer ${apiKey}` } });
      signal.addEventListener("abort", () => asked.abort()); // it takes no signal
      for await (const { message } of await asked.chat({ model: "m", messages: [{ role: "user", content: prompt }], stream: true })) yield message.content;
    },
  },
];

/** What services call the trouble of an event. */
const words: Readonly<Record<string, ErrorCode>> = {
  server_error: "unavailable",
  overloaded_error: "unavailable",
  rate_limit_exceeded: "rate_limited",
  rate_limit_error: "rate_limited",
  insufficient_quota: "rate_limited",
  billing_error: "rate_limited",
};

/** What can be told from an error of an official client: its status, or the service's word that it carries. */
export const codeOfRaw: CodeOf = (error) => {
  if (!(error instanceof Error)) return undefined;
  const { status, status_code, code, type } = error as { readonly status?: unknown; readonly status_code?: unknown; readonly code?: unknown; readonly type?: unknown };
  const number = [status, status_code].find((value) => typeof value === "number");
  if (typeof number === "number" && number >= 300) return codeOfStatus(number);
  return [code, type].flatMap((word) => (typeof word === "string" && word in words ? [words[word]] : []))[0];
};

/** The version of a package, if it is installed; some do not export their package.json. */
export function versionOf(name: string): string | undefined {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (require(join(folder, name, "package.json")) as { readonly version: string }).version;
    } catch {}
  }
  return undefined;
}
