/**
 * The verb of embedders.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import type { Part, TextPart } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { embedBatcher } from "./embed-batcher.ts";
import { type Embedder, requireEmbedder } from "./embedder.ts";

/** How texts are gathered into calls. */
export interface EmbedOptions {
  /** Texts of a call at most. @default 64 */
  readonly batch?: number;
  /** Calls in progress at most. @default 1 */
  readonly concurrency?: number;
  /** Milliseconds that a text waits for others to fill its call. @default 10 */
  readonly maxWaitMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Gives each text part its vector, as `metadata.embedding`, a `Float32Array`.
 *
 * An embedder is asked for each text anew; `cachedEmbedder` is one that keeps what it was told.
 * The vector is for stages of the same process: no codec takes it, so drop it (or `remember` it) before parts are sent elsewhere.
 *
 * Reads:  text parts with more than white space in them; the others pass by.
 * Yields: the same parts in the same order, each with its vector.
 * Throws: `invalid_input` for bad options; `bad_response` when the embedder answers with fewer vectors than texts, or with what are
 *         no vectors; whatever the embedder throws, for each part of the call.
 * Closes: nothing; the embedder belongs to the caller.
 *
 * @example
 * const embedder: Embedder = {
 *   dimensions: 2,
 *   embed: async (texts) => texts.map((it) => Float32Array.of(it.length, 1)),
 *   close: async () => {},
 *   async [Symbol.asyncDispose]() {},
 * };
 * for await (const part of run(embed(embedder, { batch: 100 }), ["one", "three"])) console.log(embeddingOf(part)?.at(0)); // 3  5
 */
export function embed(embedder: Embedder, options: EmbedOptions = {}): Processor {
  requireEmbedder("embed", embedder);
  const { batch = 64, concurrency = 1, maxWaitMs = 10, clock = systemClock } = options;
  wholeNumber("embed", "batch", batch, 1);
  wholeNumber("embed", "concurrency", concurrency, 1);
  if (!(Number.isFinite(maxWaitMs) && maxWaitMs >= 0)) throw invalidOption("embed", "maxWaitMs", "a number of milliseconds from 0", maxWaitMs);
  return processorOf([
    {
      kind: "operation",
      name: "embed",
      concurrency: batch * concurrency,
      ordered: true,
      open(scope) {
        const embedOne = embedBatcher("embed", embedder, { batch, concurrency, maxWaitMs, clock }, scope.signal);
        return (part) =>
          isWorded(part) ? embedOne(part.text).then((embedding) => derive(part, { metadata: { ...part.metadata, embedding } })) : PASS;
      },
    },
  ]);
}

/** The vector that `embed` gave a part, if it did. */
export function embeddingOf(part: Part): Float32Array | undefined {
  const { embedding } = part.metadata;
  return embedding instanceof Float32Array ? embedding : undefined;
}

/** A text that says something: services refuse to embed nothing. */
export function isWorded(part: Part): part is TextPart {
  return part.kind === "text" && part.text.trim() !== "";
}
