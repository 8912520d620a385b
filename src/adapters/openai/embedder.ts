/**
 * Vectors of OpenAI's embedding models, and of servers that offer the same endpoint.
 *
 * Kind: embedder. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference/embeddings
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
import { connection, type ConnectionOptions } from "./client.ts";

const service = "openai";

/** Options of `openaiEmbedder`. */
export interface OpenAIEmbedderOptions extends ConnectionOptions<OpenAIEmbeddingsClient> {
  readonly model: string;
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
 * Throws: `invalid_input` for an empty text, before any request; `missing_config`, `unauthorized`, `rate_limited`, `unavailable`,
 *         `timeout`; `bad_response` for an answer with other vectors than were asked for; `closed` after `close()`. The first failure
 *         ends the other requests. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using embedder = openaiEmbedder({ model: "text-embedding-3-small" });
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 1536
 */
export function openaiEmbedder(options: OpenAIEmbedderOptions): Embedder {
  const who = "openaiEmbedder";
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { model, dimensions, concurrency = 4, firstPartMs = 60_000, clock = systemClock } = options;
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  checkEmbeddingOptions(who, options);
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const life = lifetime(service, opened.close);
  const embed = embedding(
    embeddingsProtocol({ who, service, model, dimensions, connect: opened.connect }),
    { dimensions, concurrency, firstPartMs, clock, fetch: options.fetch, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}
