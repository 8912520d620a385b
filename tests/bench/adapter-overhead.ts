/**
 * What an adapter costs over its client's own loop: the same answer through both.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { Anthropic } from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { OpenAI } from "openai";
import { anthropic } from "../../src/adapters/anthropic/index.ts";
import { gemini } from "../../src/adapters/gemini/index.ts";
import { openai, openaiChat } from "../../src/adapters/openai/index.ts";
import { run } from "../../src/index.ts";
import type { Model } from "../../src/kinds/model.ts";
import type { Variant } from "./measure.ts";
import { answers, deltas } from "./model-answers.ts";

/** Who the adapter is compared with. */
export const ownLoop = "the client's own loop";

const apiKey = "key";
const model = "m";
const prompt = "ask";

/** Where answers come from. */
export interface Source {
  readonly name: string;
  /** Is it what the bound is for? */
  readonly isGate: boolean;
  readonly url: string;
  readonly fetch: typeof fetch;
  close(): void;
}

/** A server in another process, an event a write: what this process spends is what a user's does. */
export async function socketSource(): Promise<Source> {
  const server = spawn(process.execPath, [join(import.meta.dirname, "model-server.ts")], { stdio: ["pipe", "pipe", "inherit"] });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  createInterface({ input: server.stdout }).once("line", resolve);
  server.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  return { name: "through sockets", isGate: true, url: await promise, fetch, close: () => void server.stdin.end() };
}

/** This process, an event a chunk: client and adapter alone, with no socket to hide them. */
export function processSource(): Source {
  const encoded = Object.entries(answers).map(([path, frames]) => [path, frames.map((frame) => new TextEncoder().encode(frame))] as const);
  const replay = (path: string): Response => {
    const frames = encoded.find(([end]) => path.endsWith(end))?.[1].values();
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const frame = frames?.next().value;
        if (frame === undefined) controller.close();
        else controller.enqueue(frame);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  return { name: "in the process", isGate: false, url: "http://127.0.0.1:1", fetch: async (input) => replay(new URL(String(input)).pathname), close: () => {} };
}

/**
 * The deltas of an answer, counted. One answer stays open all the while, as in a service that has others in progress: else each
 * collection makes the engine forget what it had compiled.
 */
function variant<Event>(name: string, ask: () => Promise<AsyncIterable<Event>>, deltaOf: (event: Event) => string | null | undefined): Variant {
  let open: Promise<unknown> | undefined;
  return {
    name,
    group: "for await",
    parts: deltas.length,
    async run() {
      open ??= ask().then(async (events) => {
        const iterator = events[Symbol.asyncIterator]();
        await iterator.next();
        return iterator;
      });
      await open;
      let count = 0;
      let length = 0;
      for await (const event of await ask()) {
        const delta = deltaOf(event);
        if (typeof delta !== "string" || delta === "") continue;
        count += 1;
        length += delta.length;
      }
      return `${count} deltas, ${length} characters`;
    },
  };
}

const adapted = (adapter: Model): Variant =>
  variant(
    "millrace",
    async () => run(adapter, prompt),
    (part) => (part.kind === "text" ? part.text : undefined),
  );

/** W10, for each client that there is: its own loop, and the adapter. */
export const adapterOverhead: Readonly<Record<string, (source: Source) => Variant[]>> = {
  openai({ url, fetch }) {
    const client = new OpenAI({ apiKey, baseURL: url, maxRetries: 0, fetch });
    const own = variant(
      ownLoop,
      () => client.responses.create({ model, input: prompt, stream: true }),
      (event) => (event.type === "response.output_text.delta" ? event.delta : undefined),
    );
    return [own, adapted(openai({ model, apiKey, baseUrl: url, fetch }))];
  },
  openaiChat({ url, fetch }) {
    const client = new OpenAI({ apiKey, baseURL: url, maxRetries: 0, fetch });
    const own = variant(
      ownLoop,
      () => client.chat.completions.create({ model, messages: [{ role: "user", content: prompt }], stream: true }),
      (chunk) => chunk.choices[0]?.delta.content,
    );
    return [own, adapted(openaiChat({ model, apiKey, baseUrl: url, fetch }))];
  },
  anthropic({ url, fetch }) {
    const client = new Anthropic({ apiKey, baseURL: url, maxRetries: 0, fetch });
    const own = variant(
      ownLoop,
      () => client.messages.create({ model, max_tokens: 4_096, messages: [{ role: "user", content: prompt }], stream: true }),
      (event) => (event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : undefined),
    );
    return [own, adapted(anthropic({ model, apiKey, baseUrl: url, fetch }))];
  },
  gemini({ url, fetch }) {
    const client = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url, fetch } });
    const own = variant(
      ownLoop,
      () => client.models.generateContentStream({ model, contents: prompt }),
      (chunk) => chunk.candidates?.[0]?.content?.parts?.[0]?.text,
    );
    return [own, adapted(gemini({ model, apiKey, baseUrl: url, fetch }))];
  },
};
