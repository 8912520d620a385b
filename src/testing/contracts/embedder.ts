/**
 * What every embedder must do. Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import type { Embedder } from "../../kinds/embedder.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";

/** The embedder under test. */
export interface EmbedderSubject {
  readonly name: string;
  /** Opens an embedder; called once for each test, which closes it. */
  open(): Promise<Embedder> | Embedder;
  /** What `dimensions` says before the first call. */
  readonly dimensions: number | undefined;
  /** Why texts of like meaning need not be near each other; then the test of it is skipped with this reason. */
  readonly meaningless?: string;
  /** Texts in the many-texts test. @default 300, more than one request of most services */
  readonly manyTexts?: number;
}

/**
 * The contract of the embedder kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * embedderContract({ describe, it }, { name: "mock", dimensions: 256, open: () => mockEmbedder() });
 */
export function embedderContract({ describe, it }: TestRunner, subject: EmbedderSubject): void {
  const test = (name: string, body: (embedder: Embedder) => Promise<void>, skipped?: string): void => {
    const run = async (): Promise<void> => withOpen(await subject.open(), body);
    if (skipped === undefined) it(name, run);
    else it.skip(`${name} (${skipped})`, run);
  };

  describe(`embedder contract: ${subject.name}`, () => {
    test("declares its dimensions, and keeps to them", async (embedder) => {
      equal(embedder.dimensions, subject.dimensions, "dimensions before the first call");
      const vectors = await embedder.embed(["hello", "a longer text, with more than one word in it"]);
      equal(vectors.length, 2, "vectors");
      for (const vector of vectors) {
        check(vector instanceof Float32Array, "a Float32Array");
        check(vector.length > 0 && vector.length === vectors[0]?.length, "vectors of one length");
        check(vector.every(Number.isFinite), "finite numbers");
        check(vector.some((number) => number !== 0), "a vector with a direction");
        if (embedder.dimensions !== undefined) equal(vector.length, embedder.dimensions, "dimensions");
      }
    });

    test("gives no vectors for no texts", async (embedder) => {
      equal((await embedder.embed([])).length, 0, "vectors");
    });

    test("gives each text its own vector, in the order of the texts", async (embedder) => {
      const texts = ["apples", "the constitution of a republic", "Grüße 👋", "apples"];
      const together = await embedder.embed(texts);
      equal(together.length, texts.length, "vectors");
      for (const [index, text] of texts.entries()) {
        const [alone] = await embedder.embed([text]);
        check(cosine(together[index], alone) > 0.999, `the vector of ${text} alone is the one among others`);
      }
      check(cosine(together[0], together[1]) < 0.999, "other texts have other vectors");
    });

    test("takes more texts than fit one request", async (embedder) => {
      const count = subject.manyTexts ?? 300;
      const texts = Array.from({ length: count }, (_, i) => `text ${i % 7} of a list`);
      const vectors = await embedder.embed(texts);
      equal(vectors.length, count, "vectors");
      for (const [index, vector] of vectors.entries()) check(cosine(vector, vectors[index % 7]) > 0.999, `vector ${index} belongs to its text`);
    });

    test("puts texts of like meaning near each other", async (embedder) => {
      const [cat, kitten, tax] = await embedder.embed(["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "Taxes are due in April."]);
      check(cosine(cat, kitten) > cosine(cat, tax) + 0.05, `cat and kitten ${cosine(cat, kitten)}, cat and tax ${cosine(cat, tax)}`);
    }, subject.meaningless);

    test("hears a signal that has aborted, before any I/O", async (embedder) => {
      const reason = new Error("enough");
      await failsAs(reason, () => embedder.embed(["hello"], { signal: AbortSignal.abort(reason) }), "embed");
    });

    test("is closed twice without harm, and refuses work afterwards", async (embedder) => {
      await embedder.close();
      await embedder.close();
      await failsWith("closed", () => embedder.embed(["hello"]), "embed");
    });
  });
}

function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  check(a !== undefined && b !== undefined, "a vector for each text");
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, number, i) => sum + number * (y[i] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
