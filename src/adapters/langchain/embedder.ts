/**
 * Vectors of LangChain's embeddings.
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { embedding } from "../../wire/embedding.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { itemsOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds } from "../../wire/model-options.ts";
import { runnableError } from "./errors.ts";

const service = "langchain";

/** Of one call; what a service takes at once is known to the package behind it, which cuts further. */
const maxInputs = 512;
const maxCharacters = 1_000_000;

/** Embeddings, by what is called. */
export interface LangChainEmbeddings {
  embedDocuments(texts: string[]): Promise<unknown>;
  embedQuery(text: string): Promise<unknown>;
}

/** Options of `langchainEmbedder`. */
export interface LangChainEmbedderOptions {
  /** What the texts are, for models that tell the two apart: queries are embedded one a call. @default "documents" */
  readonly texts?: "documents" | "queries";
  /** Numbers in each vector, which are checked. @default those of the first vector of an answer */
  readonly dimensions?: number;
  /** Calls in progress at most. @default 1; 4 for queries */
  readonly concurrency?: number;
  /** Milliseconds for one call. @default 60_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Embeds texts; any number of them, their order kept. Make the embeddings with `maxRetries: 0`, as models.
 *
 * A call cannot be taken back: what is aborted is not waited for.
 *
 * Throws: `invalid_input` for an empty text, before any call; `bad_response` for an answer with other vectors than were asked for;
 *         `timeout`, the code of the status that the client behind it met, what else the embeddings throw; `closed` after `close()`.
 *         The first failure ends the other calls. Never a retry.
 * Closes: nothing; `close()` ends what runs with `closed`.
 *
 * @example
 * import { SyntheticEmbeddings } from "@langchain/core/utils/testing";
 *
 * await using embedder = langchainEmbedder(new SyntheticEmbeddings({ vectorSize: 4 }));
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 4
 */
export function langchainEmbedder(embeddings: LangChainEmbeddings, options: LangChainEmbedderOptions = {}): Embedder {
  const who = "langchainEmbedder";
  for (const method of ["embedDocuments", "embedQuery"]) {
    if (typeof fieldOf(embeddings, method) !== "function") throw invalidOption(who, "embeddings", `an object with ${method}`, embeddings);
  }
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { texts: kind = "documents", dimensions, concurrency = kind === "queries" ? 4 : 1, firstPartMs = 60_000, clock = systemClock } = options;
  if (kind !== "documents" && kind !== "queries") throw invalidOption(who, "texts", "documents or queries", kind);
  if (dimensions !== undefined) wholeNumber(who, "dimensions", dimensions, 1);
  wholeNumber(who, "concurrency", concurrency, 1);
  checkMilliseconds(who, { firstPartMs });
  const life = lifetime(service, () => Promise.resolve());
  const embed = embedding(
    {
      service,
      who,
      maxInputs: kind === "queries" ? 1 : maxInputs,
      maxCharacters,
      prepare: async () => ({
        secrets: [],
        send: async ([first = "", ...more]) => (kind === "documents" ? embeddings.embedDocuments([first, ...more]) : [await embeddings.embedQuery(first)]),
      }),
      vectorsIn: itemsOf,
      errorOf: (error, redact) => runnableError(service, error, redact),
    },
    { dimensions, concurrency, firstPartMs, clock, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}
