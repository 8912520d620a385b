/**
 * Vectors of Gemini's embedding models.
 *
 * Kind: embedder. Client: `@google/genai` 3, an optional peer that is loaded at first use.
 * Source: ai.google.dev/gemini-api/docs/embeddings, cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { embedding } from "../../wire/embedding.ts";
import { bodyError, clientError, type Reporting } from "../../wire/gemini/errors.ts";
import { guardedAnswer } from "../../wire/gemini/guarded-answer.ts";
import { compact, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds } from "../../wire/model-options.ts";
import type { Redact } from "../../wire/redact.ts";
import { connection, type ConnectionOptions, type GeminiEmbeddingsClient, type RequestOptions } from "./client.ts";
import { checkModel } from "./model-name.ts";

const service = "gemini";

/** Texts of one request of the Gemini API. */
const maxTexts = 100;
/** Vertex AI takes 250 texts for its older models and one for Gemini's. */
const maxVertexTexts = 250;

/** Options of `geminiEmbedder`. */
export interface GeminiEmbedderOptions extends ConnectionOptions<GeminiEmbeddingsClient> {
  readonly model: string;
  /** Numbers in each vector, for models that can shorten theirs; shortened ones are made as long as 1 again. @default the model's own */
  readonly dimensions?: number;
  /** What the vectors are for: "RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "SEMANTIC_SIMILARITY", … @default what the service does */
  readonly taskType?: string;
  /** Texts of one request at most. @default what the service takes: 100; for Vertex AI 1 or 250, by the model */
  readonly batchSize?: number;
  /** Requests in progress at most. @default 4 */
  readonly concurrency?: number;
  /** Milliseconds for one request, from sending to the last byte. @default 60_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** What is said besides the texts. */
interface EmbedConfig extends RequestOptions {
  readonly outputDimensionality?: number;
  readonly taskType?: string;
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
 * await using embedder = geminiEmbedder({ model: "gemini-embedding-001", dimensions: 768 });
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 768
 */
export function geminiEmbedder(options: GeminiEmbedderOptions): Embedder {
  const who = "geminiEmbedder";
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { model, dimensions, taskType, concurrency = 4, firstPartMs = 60_000, clock = systemClock } = options;
  checkModel(who, model);
  if (dimensions !== undefined) wholeNumber(who, "dimensions", dimensions, 1);
  if (taskType !== undefined && (typeof taskType !== "string" || taskType === "")) throw invalidOption(who, "taskType", "a name", taskType);
  wholeNumber(who, "concurrency", concurrency, 1);
  const opened = connection(who, options);
  const { batchSize = opened.isVertex ? (/gemini|maas/.test(model) ? 1 : maxVertexTexts) : maxTexts } = options;
  wholeNumber(who, "batchSize", batchSize, 1);
  checkMilliseconds(who, { firstPartMs });
  const life = lifetime(service, opened.close);
  const reportingTo = (redact: Redact): Reporting => ({ service, model, redact });
  const embed = embedding(
    {
      service,
      who,
      maxInputs: batchSize,
      maxCharacters: Infinity, // each text has a limit of its own
      async prepare(signal) {
        const { secrets, client, options: optionsOf } = await opened.connect(signal);
        return {
          secrets,
          send(texts, exchange, redact) {
            const { fetch } = guardedAnswer(exchange, "application/json", reportingTo(redact));
            const config = compact<EmbedConfig>({ ...optionsOf(exchange, fetch), outputDimensionality: dimensions, taskType });
            // contents, not texts: the client makes one content of several texts for some models
            const contents = texts.map((text) => ({ role: "user", parts: [{ text }] }) as const);
            return client.models.embedContent({ model, contents, config });
          },
        };
      },
      vectorsIn(answer) {
        const vectors = itemsOf(shapeOf(answer)?.embeddings).map((item) => shapeOf(item)?.values);
        return dimensions === undefined ? vectors : vectors.map(normalised);
      },
      errorOf: (error, redact) => (error instanceof Error ? clientError(error, reportingTo(redact)) : bodyError(error, reportingTo(redact))),
    },
    { dimensions, concurrency, firstPartMs, clock, fetch: opened.fetch, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}

/** The service leaves vectors of another length than the model's own as short as the cut made them. */
function normalised(values: unknown): unknown {
  if (!Array.isArray(values) || !values.every(Number.isFinite)) return values; // no vector: refused as any other
  const numbers = values as readonly number[]; // just looked at
  const length = Math.hypot(...numbers);
  return length === 0 ? numbers : numbers.map((value) => value / length);
}
