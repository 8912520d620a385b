import { AzureOpenAI } from "openai";
import type { EmbeddingCreateParams } from "openai/resources/embeddings";
import { expect, test } from "vitest";
import { azureOpenaiEmbedder, type AzureOpenAIEmbedderOptions } from "../../src/adapters/azure-openai/index.ts";
import { errorAnswer, jsonAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "./checked-server.ts";
import { version } from "./azure-openai/support.ts";
import { embedderCases } from "./embedder-cases.ts";
import { embeddings } from "./openai/embeddings-fixture.ts";
import { key } from "./openai/support.ts";

embedderCases({
  name: "azureOpenaiEmbedder",
  service: "azure-openai",
  maxInputs: 2_048,
  embedder: (endpoint, options) => azureOpenaiEmbedder({ endpoint, apiVersion: version, deployment: "embed-deployed", apiKey: key, ...options }),
  answer: embeddings,
  refusal: (status, message, headers) => errorAnswer(status, { message }, headers),
  request: (input, options) => ({
    path: `/openai/deployments/embed-deployed/embeddings?api-version=${version}`,
    headers: { "api-key": key },
    body: { model: "embed-deployed", input: [...input], encoding_format: "base64", ...options } satisfies EmbeddingCreateParams,
  }),
});

test("v1, with a token", async () => {
  await using server = await wireServer({ answer: jsonAnswer(embeddings([[1]])) });
  await azureOpenaiEmbedder({ endpoint: server.url, apiVersion: "v1", deployment: "d", credential: () => "token-1" }).embed(["a"]);
  expect(server.requests[0]).toMatchObject({ path: "/openai/v1/embeddings", headers: { authorization: "Bearer token-1" } });
});

test("a client of one's own", async () => {
  await using server = await wireServer({ answer: jsonAnswer(embeddings([[1]])) });
  const client = new AzureOpenAI({ endpoint: server.url, apiVersion: version, apiKey: key });
  expect(await azureOpenaiEmbedder({ client, deployment: "d" }).embed(["a"])).toEqual([Float32Array.of(1)]);
  expect(server.requests[0]?.path).toBe(`/openai/deployments/d/embeddings?api-version=${version}`);
});

test("a bad deployment is refused when the embedder is built", () => {
  expect(() => azureOpenaiEmbedder({ endpoint: "https://a.example", apiVersion: "v1", deployment: ".." } as AzureOpenAIEmbedderOptions)).toThrow(/deployment/);
});
