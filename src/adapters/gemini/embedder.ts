/**
 * Vectors of Gemini's embedding models.
 *
 * Kind: embedder. Client: `@google/genai` 3, an optional peer that is loaded at first use.
 * Source: ai.google.dev/gemini-api/docs/embeddings, cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import type { EmbedContext, Embedder } from "../../kinds/embedder.ts";
import { openExchange } from "../../wire/exchange.ts";
import { bodyError, clientError } from "../../wire/gemini/errors.ts";
import { guardedAnswer } from "../../wire/gemini/guarded-answer.ts";
import { heard } from "../../wire/heard.ts";
import { compact, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { redaction } from "../../wire/redact.ts";
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
  if (!(Number.isFinite(firstPartMs) && firstPartMs > 0)) {
    throw new MillraceError("missing_config", `${who}: firstPartMs must be a number of milliseconds above 0, got ${String(firstPartMs)}`);
  }
  const life = lifetime(service, opened.close);

  const request = async (texts: readonly string[], stop: AbortSignal): Promise<Float32Array[]> => {
    const { secrets, client, options: optionsOf } = await heard(opened.connect(stop), stop);
    const redact = redaction({ secrets, sent: () => texts });
    const reporting = { service, model, redact };
    const exchange = openExchange({
      service,
      clock,
      redact,
      accept: "application/json",
      connectMs: firstPartMs, // headers come only with the result
      firstPartMs,
      idleMs: firstPartMs,
      fetch: opened.fetch,
      errorOf: (body) => bodyError(body, reporting),
    });
    const abort = (): void => exchange.fail(stop.reason);
    stop.addEventListener("abort", abort, { once: true });
    try {
      const { fetch } = guardedAnswer(exchange, "application/json", reporting);
      const config = compact<EmbedConfig>({ ...optionsOf(exchange, fetch), outputDimensionality: dimensions, taskType });
      // contents, not texts: the client makes one content of several texts for some models
      const contents = texts.map((text) => ({ role: "user", parts: [{ text }] }) as const);
      const answer = await exchange.wait(client.models.embedContent({ model, contents, config }));
      stop.throwIfAborted();
      return vectorsIn(answer, texts.length, dimensions);
    } catch (error) {
      if (stop.aborted) throw stop.reason;
      const reason = exchange.failure?.reason ?? error;
      throw isMillraceError(reason) ? reason : (clientError(reason, reporting) ?? reason);
    } finally {
      stop.removeEventListener("abort", abort);
      exchange.close();
    }
  };

  const embed = async (texts: readonly string[], context: EmbedContext = {}): Promise<Float32Array[]> => {
    const { signal } = context;
    signal?.throwIfAborted();
    const stop = new AbortController();
    const abort = (): void => stop.abort(signal?.reason);
    const leave = life.enter((reason) => stop.abort(reason));
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const batches = batchesOf(who, texts, batchSize);
      const vectors: Float32Array[][] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        for (let at = next++; at < batches.length; at = next++) vectors[at] = await request(batches[at] ?? [], stop.signal);
      };
      const workers = Array.from({ length: Math.min(concurrency, batches.length) }, () =>
        work().catch((error: unknown) => {
          if (!stop.signal.aborted) stop.abort(error); // the first failure counts, the rest only follow
          throw stop.signal.reason;
        }),
      );
      await Promise.allSettled(workers); // none is left running
      if (stop.signal.aborted) throw stop.signal.reason;
      return vectors.flat();
    } finally {
      signal?.removeEventListener("abort", abort);
      leave();
    }
  };
  return { dimensions, embed, close: life.close, [Symbol.asyncDispose]: life.close };
}

/** Texts in the groups they are sent in. */
function batchesOf(who: string, texts: readonly string[], batchSize: number): string[][] {
  const batches: string[][] = [];
  for (const [index, text] of texts.entries()) {
    if (typeof text !== "string" || text === "") {
      throw new MillraceError("invalid_input", `${who}: text ${index} must be text with something in it, got ${received(text)}`, { service });
    }
    if (index % batchSize === 0) batches.push([]);
    batches.at(-1)?.push(text);
  }
  return batches;
}

/** They have no places: their order is that of the texts. */
function vectorsIn(answer: unknown, count: number, dimensions: number | undefined): Float32Array[] {
  const data = itemsOf(shapeOf(answer)?.embeddings);
  if (data.length !== count) throw bad(`answered ${data.length} vectors for ${count} texts`);
  let expected = dimensions;
  return data.map((item) => {
    const values = shapeOf(item)?.values;
    const vector = Array.isArray(values) && values.length > 0 && values.every(Number.isFinite) ? Float32Array.from(values as readonly number[]) : undefined; // just looked at
    if (vector === undefined) throw bad("answered something that is no vector");
    expected ??= vector.length;
    if (vector.length !== expected) throw bad(`answered a vector of ${vector.length} numbers where ${expected} were expected`);
    return dimensions === undefined ? vector : normalised(vector);
  });
}

/** The service leaves vectors of another length than the model's own as short as the cut made them. */
function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

function bad(what: string): MillraceError {
  return new MillraceError("bad_response", `${service}: ${what}`, { service });
}
