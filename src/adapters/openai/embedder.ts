/**
 * Vectors of OpenAI's embedding models, and of servers that offer the same endpoint.
 *
 * Kind: embedder. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference/embeddings
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { embedding } from "../../wire/embedding.ts";
import { compact, countOf, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { bodyError, clientError } from "../../wire/openai/errors.ts";
import { connection, type ConnectionOptions, type EmbeddingsRequest, type OpenAIEmbeddingsClient, requestOptions } from "./client.ts";

const service = "openai";

/** Inputs of one request. */
const maxInputs = 2_048;
/** The limit is 300,000 tokens: four characters make a token in English, one may make one and a half in other scripts. */
const maxCharacters = 200_000;

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
  if (dimensions !== undefined) wholeNumber(who, "dimensions", dimensions, 1);
  wholeNumber(who, "concurrency", concurrency, 1);
  if (!(Number.isFinite(firstPartMs) && firstPartMs > 0)) {
    throw new MillraceError("missing_config", `${who}: firstPartMs must be a number of milliseconds above 0, got ${String(firstPartMs)}`);
  }
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const life = lifetime(service, opened.close);

  const embed = embedding(
    {
      service,
      who,
      maxInputs,
      maxCharacters,
      async prepare(signal) {
        const { secrets, client } = await opened.connect(signal);
        return {
          secrets,
          async send(texts, exchange) {
            try {
              return await client(exchange).embeddings.create(compact<EmbeddingsRequest>({ model, input: texts, dimensions }), requestOptions(exchange));
            } catch (error) {
              // The client decodes base64 and takes anything for that.
              if (!(error instanceof TypeError) || exchange.failure !== undefined || exchange.answer?.status !== 200) throw error;
              throw new MillraceError("bad_response", `${service}: answered something that is no vector`, { service });
            }
          },
        };
      },
      vectorsIn,
      errorOf: (error, redact) => (error instanceof Error ? clientError(error, { service, model, redact }) : bodyError(error, { service, model, redact })),
    },
    { dimensions, concurrency, firstPartMs, clock, fetch: options.fetch, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}

/** The vectors by the places that they name. */
function vectorsIn(answer: unknown, count: number, bad: (what: string) => MillraceError): unknown[] {
  const data = itemsOf(shapeOf(answer)?.data);
  if (data.length !== count) throw bad(`answered ${data.length} vectors for ${count} texts`);
  const vectors: unknown[] = Array.from({ length: count });
  for (const item of data) {
    const shape = shapeOf(item);
    const index = countOf(shape?.index);
    if (index === undefined || index >= count || vectors[index] !== undefined) throw bad("answered vectors whose places are not those of the texts");
    vectors[index] = shape?.embedding ?? null;
  }
  return vectors;
}
