/**
 * Vectors of an embedding model of the AI SDK.
 *
 * Kind: embedder. Client: an embedding model of a provider package, of specification v4 or v3.
 * Source: `@ai-sdk/provider` 4, src/embedding-model/v4
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { thrownError } from "../../wire/ai-sdk/errors.ts";
import type { ProviderData, SpecificationVersion } from "../../wire/ai-sdk/shapes.ts";
import { type Embed, embedding } from "../../wire/embedding.ts";
import { heard } from "../../wire/heard.ts";
import { compact, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds } from "../../wire/model-options.ts";

const service = "ai-sdk";

/** Models that name no limit get no more than this at once. */
const usualInputs = 128;

/** What is called of an embedding model: `EmbeddingModelV4`, or `EmbeddingModelV3`. */
export interface AiSdkEmbeddingModel {
  readonly specificationVersion: SpecificationVersion;
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: PromiseLike<number | undefined> | number | undefined;
  readonly supportsParallelCalls: PromiseLike<boolean> | boolean;
  doEmbed(options: { values: string[]; readonly abortSignal?: AbortSignal }): PromiseLike<{ readonly embeddings: readonly (readonly number[])[] }>;
}

/** Options of `aiSdkEmbedder`. */
export interface AiSdkEmbedderOptions {
  /** Numbers in each vector: asked of models of specification v4, and checked of all. @default the model's own */
  readonly dimensions?: number;
  /** Calls in progress at most, where the model supports more than one. @default 4 */
  readonly concurrency?: number;
  /** Texts of one call at most. @default what the model says, else 128 */
  readonly maxInputs?: number;
  /** Characters of one call at most, but for a single text that has more. @default 200_000 */
  readonly maxCharacters?: number;
  /** What the SDK has no word for, by name of provider. */
  readonly providerOptions?: ProviderData;
  /** Sent with each request, where the provider's package does so. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds for one call. @default 60_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Embeds texts; any number of them, in as many calls as it takes, their order kept.
 *
 * Throws: `invalid_input` for an empty text, before any call; the code of an HTTP status, `unavailable`, `timeout`; `bad_response` for
 *         other vectors than were asked for; `closed` after `close()`. The first failure ends the other calls. Never a retry.
 * Closes: the calls that run, on the first failure and on abort; `close()` ends them with `closed`.
 *
 * @example
 * const lengths: AiSdkEmbeddingModel = {
 *   specificationVersion: "v4",
 *   provider: "example",
 *   modelId: "lengths",
 *   maxEmbeddingsPerCall: 100,
 *   supportsParallelCalls: true,
 *   doEmbed: async ({ values }) => ({ embeddings: values.map((value) => [value.length, 1]) }),
 * };
 * await using embedder = aiSdkEmbedder(lengths); // or a model of a provider: openai.embedding("text-embedding-3-small")
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 2
 */
export function aiSdkEmbedder(model: AiSdkEmbeddingModel, options: AiSdkEmbedderOptions = {}): Embedder {
  const who = "aiSdkEmbedder";
  checkOptions(who, model, options);
  const { dimensions, concurrency = 4, maxCharacters = 200_000, firstPartMs = 60_000, clock = systemClock } = options;
  const { modelId, specificationVersion: version } = model;
  const fields = compact<object>({
    dimensions: version === "v4" ? dimensions : undefined,
    providerOptions: options.providerOptions,
    headers: options.headers,
  } as object);
  const life = lifetime(service, () => Promise.resolve());
  const embed: Embed = async (texts, context = {}) => {
    context.signal?.throwIfAborted();
    const [limit, isParallel] = await heard(Promise.all([model.maxEmbeddingsPerCall, model.supportsParallelCalls]), context.signal);
    const ask = embedding(
      {
        service,
        who,
        maxInputs: options.maxInputs ?? Math.max(1, limit ?? usualInputs),
        maxCharacters,
        prepare: () =>
          Promise.resolve({
            secrets: Object.values(options.headers ?? {}),
            send: (values, { signal }) => model.doEmbed({ ...fields, values: [...values], abortSignal: signal }),
          }),
        vectorsIn: (answer) => itemsOf(shapeOf(answer)?.embeddings),
        errorOf: (error, redact) => (error instanceof Error ? thrownError(error, { service, model: modelId, redact }) : undefined),
      },
      { dimensions, concurrency: isParallel ? concurrency : 1, firstPartMs, clock, life },
    );
    return ask(texts, context);
  };
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}

function checkOptions(who: string, model: AiSdkEmbeddingModel, options: AiSdkEmbedderOptions): void {
  if (typeof model !== "object" || model === null || typeof model.doEmbed !== "function") throw invalidOption(who, "model", "an embedding model of the AI SDK", model);
  const { specificationVersion: version } = model;
  if (version !== "v3" && version !== "v4") throw invalidOption(who, "model", "of specification v3 or v4", version);
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  for (const name of ["dimensions", "concurrency", "maxInputs", "maxCharacters"] as const) {
    const value = options[name];
    if (value !== undefined) wholeNumber(who, name, value, 1);
  }
  const { firstPartMs } = options;
  checkMilliseconds(who, { firstPartMs });
}
