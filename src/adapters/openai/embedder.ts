/**
 * Vectors of OpenAI's embedding models, and of servers that offer the same endpoint.
 *
 * Kind: embedder. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference/embeddings
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import type { EmbedContext, Embedder } from "../../kinds/embedder.ts";
import { type Exchange, openExchange } from "../../wire/exchange.ts";
import { heard } from "../../wire/heard.ts";
import { compact, countOf, itemsOf, shapeOf } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { bodyError, clientError } from "../../wire/openai/errors.ts";
import { redaction } from "../../wire/redact.ts";
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

  const request = async (texts: readonly string[], stop: AbortSignal): Promise<Float32Array[]> => {
    const { secrets, client } = await heard(opened.connect(stop), stop);
    const redact = redaction({ secrets, sent: () => texts });
    const reporting = { service, model, redact };
    const exchange: Exchange = openExchange({
      service,
      clock,
      redact,
      accept: "application/json",
      connectMs: firstPartMs, // headers come only with the result
      firstPartMs,
      idleMs: firstPartMs,
      fetch: options.fetch,
      errorOf: (body) => bodyError(body, reporting),
    });
    const abort = (): void => exchange.fail(stop.reason);
    stop.addEventListener("abort", abort, { once: true });
    try {
      const body = compact<EmbeddingsRequest>({ model, input: texts, dimensions });
      const answer = await exchange.wait(client(exchange).embeddings.create(body, requestOptions(exchange)));
      stop.throwIfAborted();
      const error = bodyError(answer, reporting);
      if (error !== undefined) throw error;
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
      const batches = batchesOf(who, texts);
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
function batchesOf(who: string, texts: readonly string[]): string[][] {
  const batches: string[][] = [];
  let characters = 0;
  for (const [index, text] of texts.entries()) {
    if (typeof text !== "string" || text === "") {
      throw new MillraceError("invalid_input", `${who}: text ${index} must be text with something in it, got ${received(text)}`, { service });
    }
    const last = batches.at(-1);
    if (last === undefined || last.length >= maxInputs || characters + text.length > maxCharacters) {
      batches.push([text]);
      characters = text.length;
    } else {
      last.push(text);
      characters += text.length;
    }
  }
  return batches;
}

function vectorsIn(answer: unknown, count: number, dimensions: number | undefined): Float32Array[] {
  const data = itemsOf(shapeOf(answer)?.data);
  if (data.length !== count) throw bad(`answered ${data.length} vectors for ${count} texts`);
  const vectors: (Float32Array | undefined)[] = Array.from({ length: count });
  let expected = dimensions;
  for (const item of data) {
    const shape = shapeOf(item);
    const index = countOf(shape?.index);
    if (index === undefined || index >= count || vectors[index] !== undefined) throw bad("answered vectors whose places are not those of the texts");
    const vector = vectorOf(shape?.embedding);
    expected ??= vector.length;
    if (vector.length !== expected) throw bad(`answered a vector of ${vector.length} numbers where ${expected} were expected`);
    vectors[index] = vector;
  }
  return vectors.filter((vector) => vector !== undefined);
}

function vectorOf(value: unknown): Float32Array {
  const vector = value instanceof Float32Array ? value : Array.isArray(value) ? Float32Array.from(value as readonly number[]) : undefined;
  if (vector === undefined || vector.length === 0 || !vector.every(Number.isFinite)) throw bad("answered something that is no vector");
  return vector;
}

function bad(what: string): MillraceError {
  return new MillraceError("bad_response", `${service}: ${what}`, { service });
}
