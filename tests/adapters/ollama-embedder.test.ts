import { expect, test } from "vitest";
import { ollamaEmbedder, type OllamaEmbedderOptions } from "../../src/adapters/ollama/index.ts";
import { jsonAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "./checked-server.ts";
import { embedderCases } from "./embedder-cases.ts";
import { key } from "./openai/support.ts";

embedderCases({
  name: "ollamaEmbedder",
  service: "ollama",
  maxInputs: 128,
  embedder: (url, options) => ollamaEmbedder({ model: "nomic-test", baseUrl: url, apiKey: key, ...options }),
  answer: (embeddings) => ({ model: "nomic-test", embeddings, total_duration: 14_143_917, load_duration: 1_019_500, prompt_eval_count: 8 }),
  refusal: (status, error, headers = {}) => jsonAnswer({ error }, { status, headers }),
  request: (input, options) => ({
    path: "/api/embed",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: { model: "nomic-test", input, truncate: false, ...options },
  }),
});

test("how the model is kept, and the room it has", async () => {
  await using server = await wireServer({ answer: jsonAnswer({ embeddings: [[1]] }) });
  await ollamaEmbedder({ model: "m", baseUrl: server.url, keepAliveMs: 0, contextTokens: 2_048 }).embed(["a"]);
  expect(server.requests[0]?.json()).toEqual({ model: "m", input: ["a"], truncate: false, keep_alive: "0ms", options: { num_ctx: 2_048 } });
});

test.each([
  ["model", { model: "" }],
  ["contextTokens", { contextTokens: 0 }],
  ["keepAliveMs", { keepAliveMs: -5 }],
  ["baseUrl", { baseUrl: "http://10.0.0.7:11434" }],
])("a bad %s is refused when the embedder is built", (name, options) => {
  const build = (): unknown => ollamaEmbedder({ model: "m", ...options } as OllamaEmbedderOptions);
  expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(name) as string }) as Error);
});
