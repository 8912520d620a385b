import type { CreateEmbeddingResponse, EmbeddingCreateParams } from "openai/resources/embeddings";
import { expect, test } from "vitest";
import { openaiEmbedder } from "../../src/adapters/openai/index.ts";
import { errorAnswer, jsonAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "./checked-server.ts";
import { embedderCases } from "./embedder-cases.ts";
import { embeddings } from "./openai/embeddings-fixture.ts";
import { key } from "./openai/support.ts";

embedderCases({
  name: "openaiEmbedder",
  service: "openai",
  maxInputs: 2_048,
  embedder: (url, options) => openaiEmbedder({ model: "embed-test", baseUrl: `${url}/v1`, apiKey: key, ...options }),
  answer: embeddings,
  refusal: (status, message, headers) => errorAnswer(status, { message }, headers),
  request: (input, options) => ({
    path: "/v1/embeddings",
    headers: { authorization: `Bearer ${key}` },
    body: { model: "embed-test", input: [...input], encoding_format: "base64", ...options } satisfies EmbeddingCreateParams,
  }),
});

test("vectors go to the places that they name, not in the order that they come", async () => {
  const { data, ...rest } = embeddings([[1], [2], [3]]);
  await using server = await wireServer({ answer: jsonAnswer({ ...rest, data: data.toReversed() } satisfies CreateEmbeddingResponse) });
  const vectors = await openaiEmbedder({ model: "m", baseUrl: server.url }).embed(["a", "b", "c"]);
  expect(vectors.map(([number]) => number)).toEqual([1, 2, 3]);
});

test("two vectors for one place are a bad answer", async () => {
  const { data, ...rest } = embeddings([[1], [2]]);
  await using server = await wireServer({ answer: jsonAnswer({ ...rest, data: data.map((each) => ({ ...each, index: 0 })) }) });
  await expect(openaiEmbedder({ model: "m", baseUrl: server.url }).embed(["a", "b"])).rejects.toMatchObject({ code: "bad_response" });
});
