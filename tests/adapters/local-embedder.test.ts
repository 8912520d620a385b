import { describe, expect, it, test, vi } from "vitest";
import { localEmbedder } from "../../src/adapters/local-embedder/index.ts";
import { isMillraceError } from "../../src/core/errors.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";

embedderContract({ describe, it }, { name: "local-embedder", dimensions: 512, open: () => localEmbedder() });

const length = (vector: Float32Array | undefined): number => Math.hypot(...(vector ?? []));
async function code(call: () => unknown): Promise<string> {
  try {
    await call();
    return "no error";
  } catch (error) {
    return isMillraceError(error) ? error.code : String(error);
  }
}

describe("local-embedder", () => {
  test("vectors have length 1, so that the dot product is the cosine", async () => {
    await using embedder = localEmbedder();
    for (const vector of await embedder.embed(["short", "a much longer text about the harbour and its cranes. ".repeat(20)])) expect(length(vector)).toBeCloseTo(1, 5);
  });

  test("loads nothing before the first text, and never asks the network", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    try {
      await using embedder = localEmbedder();
      expect(await embedder.embed([])).toEqual([]);
      await embedder.embed(["a text"]);
      expect(fetched).not.toHaveBeenCalled();
    } finally {
      fetched.mockRestore();
    }
  });

  test("an abort is heard between two batches, not only at the end", async () => {
    await using embedder = localEmbedder({ batch: 1 });
    await embedder.embed(["loaded"]);
    const reason = new Error("enough");
    const controller = new AbortController();
    const texts = Array.from({ length: 10_000 }, (_, i) => `text ${i}`); // minutes of work
    const embedding = embedder.embed(texts, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 50);
    await expect(embedding).rejects.toBe(reason);
  });

  test("close during a call ends it with closed", async () => {
    const embedder = localEmbedder({ batch: 1 });
    await embedder.embed(["loaded"]);
    const embedding = code(() => embedder.embed(Array.from({ length: 10_000 }, (_, i) => `text ${i}`)));
    setTimeout(() => void embedder.close(), 50);
    expect(await embedding).toBe("closed");
  });

  test("characters after maxChars do not count", async () => {
    await using embedder = localEmbedder({ maxChars: 20 });
    const [one, two] = await embedder.embed(["The cat is asleep on the sofa.", "The cat is asleep on the roof of the church."]);
    expect(Array.from(one ?? [])).toEqual(Array.from(two ?? []));
  });

  test("what says nothing, what is no text, and options that cannot be are invalid_input", async () => {
    await using embedder = localEmbedder();
    for (const texts of [[""], ["fine", " \n"], [1], "text"]) expect(await code(() => embedder.embed(texts as string[]))).toBe("invalid_input");
    for (const options of [{ batch: 0 }, { maxChars: 1.5 }]) expect(await code(() => localEmbedder(options))).toBe("invalid_input");
  });

  test("a text cut in the middle of a character, and one of no known word, still have vectors", async () => {
    await using embedder = localEmbedder({ maxChars: 3 });
    for (const vector of await embedder.embed(["ab👋", "\u{10ffff}", "���"])) expect(length(vector)).toBeCloseTo(1, 5);
  });
});
