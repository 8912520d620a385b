import { SyntheticEmbeddings } from "@langchain/core/utils/testing";
import { describe, expect, it, test } from "vitest";
import { langchainEmbedder, type LangChainEmbeddings } from "../../src/adapters/langchain/index.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { mockEmbedder } from "../../src/testing/mock-embedder.ts";

/** Embeddings as LangChain has them, over ours, with a record of the calls. */
function recorded(answer?: (texts: readonly string[]) => unknown): LangChainEmbeddings & { readonly calls: (readonly [method: string, texts: readonly string[]])[] } {
  const backend = mockEmbedder();
  const calls: (readonly [method: string, texts: readonly string[]])[] = [];
  const ask = async (method: string, texts: readonly string[]): Promise<unknown> => {
    calls.push([method, texts]);
    return answer === undefined ? (await backend.embed(texts)).map((vector) => [...vector]) : answer(texts);
  };
  return { calls, embedDocuments: (texts) => ask("embedDocuments", texts), embedQuery: async (text) => (((await ask("embedQuery", [text])) as unknown[] | undefined) ?? [])[0] };
}

for (const texts of ["documents", "queries"] as const) {
  embedderContract({ describe, it }, { name: `langchain, ${texts}`, dimensions: undefined, manyTexts: 600, meaningless: "the embeddings behind it are made up", open: () => langchainEmbedder(recorded(), { texts }) });
}

test("LangChain's own class of embeddings fits, and documents are asked for together", async () => {
  const [vector] = await langchainEmbedder(new SyntheticEmbeddings({ vectorSize: 3 })).embed(["abc"]);
  expect(vector).toBeInstanceOf(Float32Array);
  expect(vector?.length).toBe(3);
  const embeddings = recorded();
  await langchainEmbedder(embeddings).embed(["a", "b"]);
  await langchainEmbedder(embeddings, { texts: "queries", concurrency: 1 }).embed(["a", "b"]);
  expect(embeddings.calls).toEqual([["embedDocuments", ["a", "b"]], ["embedQuery", ["a"]], ["embedQuery", ["b"]]]);
});

test.each([
  ["fewer vectors", () => [[1]], undefined],
  ["no vectors", () => ({}), undefined],
  ["numbers that are none", () => [[1], ["x"]], undefined],
  ["vectors of other lengths", () => [[1], [1, 2]], undefined],
  ["other dimensions than asked for", () => [[1], [2]], 3],
] as const)("%s are a bad answer", async (_, answer, dimensions) => {
  const embedder = langchainEmbedder(recorded(answer), dimensions === undefined ? {} : { dimensions });
  await expect(embedder.embed(["a", "b"])).rejects.toMatchObject({ code: "bad_response", service: "langchain" });
});

test("an empty text is refused before any call; a status gives its code after one", async () => {
  const embeddings = recorded(() => {
    throw Object.assign(new Error("slow down"), { status: 429 });
  });
  const embedder = langchainEmbedder(embeddings);
  await expect(embedder.embed(["a", ""])).rejects.toMatchObject({ code: "invalid_input" });
  expect(embeddings.calls).toEqual([]);
  await expect(embedder.embed(["a"])).rejects.toMatchObject({ code: "rate_limited", status: 429 });
  expect(embeddings.calls).toEqual([["embedDocuments", ["a"]]]);
});

test("a call that does not come back is a timeout, and an abort does not wait for it", async () => {
  const clock = fakeClock();
  const embedder = langchainEmbedder(recorded(() => new Promise(() => {})), { firstPartMs: 1_000, clock });
  const late = expect(embedder.embed(["a"])).rejects.toMatchObject({ code: "timeout" });
  await clock.advance(1_000);
  await late;
  const controller = new AbortController();
  const reason = { why: "enough" };
  const aborted = expect(embedder.embed(["a"], { signal: controller.signal })).rejects.toBe(reason);
  await clock.advance(0);
  controller.abort(reason);
  await aborted;
  expect(clock.pending).toBe(0);
});

test("options that are none are refused when it is built", () => {
  const embeddings = recorded();
  for (const options of [{ texts: "words" as never }, { dimensions: 0 }, { concurrency: 1.5 }]) expect(() => langchainEmbedder(embeddings, options)).toThrow(expect.objectContaining({ code: "invalid_input" }));
  expect(() => langchainEmbedder(embeddings, { firstPartMs: 0 })).toThrow(expect.objectContaining({ code: "missing_config" }));
  expect(() => langchainEmbedder({ embedDocuments: async () => [] } as never)).toThrow(/embedQuery/);
});
