/**
 * Vectors of embedding models deployed on Azure.
 *
 * Kind: embedder. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: learn.microsoft.com/azure/ai-foundry/openai/reference
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { embedding } from "../../wire/embedding.ts";
import { lifetime } from "../../wire/lifetime.ts";
import type { OpenAIEmbeddingsClient } from "../../wire/openai/client.ts";
import { checkEmbeddingOptions, embeddingsProtocol } from "../../wire/openai/embeddings.ts";
import { type AzureConnectionOptions, checkedDeployment, connection } from "./client.ts";

const service = "azure-openai";

/** Options of `azureOpenaiEmbedder`. */
export interface AzureOpenAIEmbedderOptions extends AzureConnectionOptions<OpenAIEmbeddingsClient> {
  /** Name of the deployment, which need not be the model's. */
  readonly deployment: string;
  /** Numbers in each vector, for models that can shorten theirs. @default the model's own */
  readonly dimensions?: number;
  /** Requests in progress at most. @default 4 */
  readonly concurrency?: number;
  /** Milliseconds for one request, from sending to the last byte. @default 60_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Embeds texts; any number of them, in as many requests as the service needs, their order kept.
 *
 * Throws: as `openaiEmbedder`.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using embedder = azureOpenaiEmbedder({ endpoint: "https://example.openai.azure.com", apiVersion: "v1", deployment: "text-embedding-3-small" });
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 1536
 */
export function azureOpenaiEmbedder(options: AzureOpenAIEmbedderOptions): Embedder {
  const who = "azureOpenaiEmbedder";
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { dimensions, concurrency = 4, firstPartMs = 60_000, clock = systemClock } = options;
  const deployment = checkedDeployment(who, options.deployment);
  checkEmbeddingOptions(who, options);
  const opened = connection(who, deployment, options);
  const life = lifetime(service, opened.close);
  const embed = embedding(
    embeddingsProtocol({ who, service, model: deployment, dimensions, connect: opened.connect }),
    { dimensions, concurrency, firstPartMs, clock, fetch: options.fetch, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}
