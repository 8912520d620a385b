import type { EmbeddingModelV3, EmbeddingModelV4, EmbeddingModelV4CallOptions } from "@ai-sdk/provider";
import { describe, expect, it, test } from "vitest";
import { aiSdkEmbedder, type AiSdkEmbeddingModel, type AiSdkEmbedderOptions } from "../../src/adapters/ai-sdk/index.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { turn } from "../../src/testing/contracts/watch.ts";
import { mockEmbedder } from "../../src/testing/mock-embedder.ts";
import { apiCallError } from "./ai-sdk/support.ts";

type Answer = (call: EmbeddingModelV4CallOptions) => readonly number[][] | Promise<readonly number[][]>;

/** A model that answers like this, and what it was called with. */
function embeddingModel(answer: Answer, more: Partial<EmbeddingModelV4> = {}): EmbeddingModelV4 & { readonly calls: EmbeddingModelV4CallOptions[] } {
  const calls: EmbeddingModelV4CallOptions[] = [];
  return {
    specificationVersion: "v4",
    provider: "example.embedding",
    modelId: "vectors",
    maxEmbeddingsPerCall: 2,
    supportsParallelCalls: true,
    ...more,
    calls,
    async doEmbed(call) {
      calls.push(call);
      return { embeddings: [...(await answer(call))], warnings: [] };
    },
  };
}

const backend = mockEmbedder();
const embeds: Answer = async ({ values }) => (await backend.embed(values)).map((vector) => [...vector]);
const silent: Answer = () => new Promise(() => {});

embedderContract({ describe, it }, {
  name: "aiSdkEmbedder",
  dimensions: undefined,
  meaningless: "the model behind it is made up",
  open: () => aiSdkEmbedder(embeddingModel(embeds, { maxEmbeddingsPerCall: Promise.resolve(100) })),
});

test("calls hold no more texts than the model takes, and no more are made at once than it supports", async () => {
  let [running, most] = [0, 0];
  const counting: Answer = async (call) => {
    most = Math.max(most, (running += 1));
    await turn();
    running -= 1;
    return embeds(call);
  };
  const texts = ["a", "b", "c", "d", "e"];
  for (const [supportsParallelCalls, atOnce] of [[true, 3], [Promise.resolve(false), 1]] as const) {
    const model = embeddingModel(counting, { supportsParallelCalls });
    most = 0;
    const vectors = await aiSdkEmbedder(model).embed(texts);
    expect(vectors).toEqual((await backend.embed(texts)).map((vector) => Float32Array.from(vector)));
    expect(model.calls.map(({ values }) => values)).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect(most).toBe(atOnce);
  }
});

test("dimensions are asked of a model that can be asked, and options go along", async () => {
  const options: AiSdkEmbedderOptions = { dimensions: 1, providerOptions: { example: { user: "u" } }, headers: { "x-team": "a" } };
  const model = embeddingModel(() => [[1]]);
  await aiSdkEmbedder(model, options).embed(["a"]);
  const { abortSignal, ...call } = model.calls[0] ?? { values: [] };
  expect(abortSignal).toBeInstanceOf(AbortSignal);
  expect(call).toEqual({ values: ["a"], ...options });
  const current = embeddingModel(() => [[1]]);
  const before: EmbeddingModelV3 = { ...current, specificationVersion: "v3", doEmbed: async (call) => ({ ...(await current.doEmbed(call)), warnings: [] }) };
  await aiSdkEmbedder(before, { dimensions: 1 }).embed(["a"]);
  expect(Object.keys(current.calls[0] ?? {}).sort()).toEqual(["abortSignal", "values"]);
});

test.each([
  ["401", () => Promise.reject(apiCallError(401, "no")), { code: "unauthorized", status: 401 }],
  ["429 with a hint", () => Promise.reject(apiCallError(429, "slow", { responseHeaders: { "retry-after-ms": "40" }, isRetryable: true })), { code: "rate_limited", retryAfterMs: 40 }],
  ["fewer vectors than texts", () => [], { code: "bad_response" }],
  ["vectors of other length than asked for", () => [[1, 2, 3]], { code: "bad_response" }],
] as const)("%s is an error, after one call", async (_, answer, expected) => {
  const model = embeddingModel(answer as Answer);
  await expect(aiSdkEmbedder(model, { dimensions: 1 }).embed(["a"])).rejects.toMatchObject({ service: "ai-sdk", ...expected });
  expect(model.calls.length).toBe(1);
});

test("a call that takes too long is a timeout; an abort rejects with its reason; both reach the model", async () => {
  const clock = fakeClock();
  const model = embeddingModel(silent);
  const late = expect(aiSdkEmbedder(model, { clock, firstPartMs: 5_000 }).embed(["a"])).rejects.toMatchObject({ code: "timeout", phase: "firstPart" });
  await turn();
  await clock.advance(5_100);
  await late;
  const controller = new AbortController();
  const reason = { why: "enough" };
  const aborted = expect(aiSdkEmbedder(model).embed(["a"], { signal: controller.signal })).rejects.toBe(reason);
  await turn();
  controller.abort(reason);
  await aborted;
  expect(model.calls.map(({ abortSignal }) => abortSignal?.aborted)).toEqual([true, true]);
  expect(clock.pending).toBe(0);
});

test.each([
  ["model", {}, {}, "invalid_input"],
  ["model", { ...embeddingModel(embeds), specificationVersion: "v1" }, {}, "invalid_input"],
  ["dimensions", embeddingModel(embeds), { dimensions: 0 }, "invalid_input"],
  ["concurrency", embeddingModel(embeds), { concurrency: 1.5 }, "invalid_input"],
  ["maxInputs", embeddingModel(embeds), { maxInputs: 0 }, "invalid_input"],
  ["firstPartMs", embeddingModel(embeds), { firstPartMs: -1 }, "missing_config"],
])("a bad %s is refused when the embedder is made", (name, model, options, code) => {
  expect(() => aiSdkEmbedder(model as unknown as AiSdkEmbeddingModel, options)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(name) as string }) as Error);
});
