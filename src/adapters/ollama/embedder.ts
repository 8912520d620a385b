/**
 * Vectors of an Ollama server's embedding models.
 *
 * Kind: embedder. Client: none, plain `fetch`.
 * Source: github.com/ollama/ollama, docs/api.md (`/api/embed`)
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Embedder } from "../../kinds/embedder.ts";
import { embedding } from "../../wire/embedding.ts";
import { compact, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds } from "../../wire/model-options.ts";
import { bodyError, thrownError } from "../../wire/ollama/errors.ts";
import { connection, keepAlive, type OllamaConnectionOptions } from "./connection.ts";

const service = "ollama";

/** The service names no limit; a request is to end within its clock, on a machine that has better to do as well. */
const maxInputs = 128;
const maxCharacters = 200_000;

/** Options of `ollamaEmbedder`. */
export interface OllamaEmbedderOptions extends OllamaConnectionOptions {
  readonly model: string;
  /** Numbers in each vector, for models that can shorten theirs. @default the model's own */
  readonly dimensions?: number;
  /** Requests in progress at most; the server puts what it cannot do at once in line. @default 1 */
  readonly concurrency?: number;
  /** Milliseconds for one request, from sending to the last byte; the model is loaded first. @default 300_000 */
  readonly firstPartMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Embeds texts; any number of them, in as many requests as it takes, their order kept.
 *
 * Throws: `invalid_input` for an empty text, before any request, and for one that is longer than the model's context, of which
 *         nothing is cut off; `not_found` for a model that is not there, `unavailable`, `timeout`; `bad_response` for an answer with
 *         other vectors than were asked for; `closed` after `close()`. The first failure ends the other requests. Never a retry.
 * Closes: its connections; `close()` ends what runs with `closed`.
 *
 * @example
 * await using embedder = ollamaEmbedder({ model: "nomic-embed-text" });
 * const [vector] = await embedder.embed(["hello"]);
 * console.log(vector?.length); // 768
 */
export function ollamaEmbedder(options: OllamaEmbedderOptions): Embedder {
  const who = "ollamaEmbedder";
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { model, dimensions, contextTokens, concurrency = 1, firstPartMs = 300_000, clock = systemClock } = options;
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  if (dimensions !== undefined) wholeNumber(who, "dimensions", dimensions, 1);
  if (contextTokens !== undefined) wholeNumber(who, "contextTokens", contextTokens, 1);
  wholeNumber(who, "concurrency", concurrency, 1);
  checkMilliseconds(who, { firstPartMs });
  const connect = connection(who, options);
  const fields = compact<object>({
    model,
    truncate: false, // a text that does not fit would lose its end unsaid
    dimensions,
    keep_alive: keepAlive(who, options.keepAliveMs),
    options: contextTokens === undefined ? undefined : { num_ctx: contextTokens },
  } as object);
  const life = lifetime(service, () => Promise.resolve());
  const embed = embedding(
    {
      service,
      who,
      maxInputs,
      maxCharacters,
      async prepare(signal) {
        const { secrets, post } = await connect(signal);
        return {
          secrets,
          async send(texts, exchange, redact) {
            const response = await post("/api/embed", { ...fields, input: texts }, exchange, { service, model, redact });
            return jsonOf(await response.text());
          },
        };
      },
      vectorsIn: (answer) => itemsOf(shapeOf(answer)?.embeddings),
      errorOf: (error, redact) => (error instanceof Error ? thrownError(error, { service, model, redact }) : bodyError(error, { service, model, redact })),
    },
    { dimensions, concurrency, firstPartMs, clock, fetch: options.fetch, life },
  );
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new MillraceError("bad_response", `${service}: sent JSON that does not parse`, { service });
  }
}
