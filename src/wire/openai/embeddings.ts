/**
 * The embeddings endpoint of OpenAI and of servers like it, as a protocol of an embedder.
 *
 * Source: platform.openai.com/docs/api-reference/embeddings
 *
 * @module
 */
import { MillraceError, wholeNumber } from "../../core/errors.ts";
import type { EmbeddingProtocol } from "../embedding.ts";
import { compact, countOf, itemsOf, shapeOf } from "../json-shape.ts";
import { checkMilliseconds } from "../model-options.ts";
import { type Connect, type EmbeddingsRequest, type OpenAIEmbeddingsClient, requestOptions } from "./client.ts";
import { errorOf } from "./protocols.ts";

/** Inputs of one request. */
const maxInputs = 2_048;
/** The limit is 300,000 tokens: four characters make a token in English, one may make one and a half in other scripts. */
const maxCharacters = 200_000;

/** Who asks which model, and how a client comes to be. */
export interface EmbeddingsSettings {
  /** Name of the factory, for messages. */
  readonly who: string;
  readonly service: string;
  readonly model: string;
  readonly dimensions?: number | undefined;
  readonly connect: Connect<OpenAIEmbeddingsClient>;
}

/** Makes the protocol. */
export function embeddingsProtocol({ who, service, model, dimensions, connect }: EmbeddingsSettings): EmbeddingProtocol {
  return {
    service,
    who,
    maxInputs,
    maxCharacters,
    async prepare(signal) {
      const { secrets, client } = await connect(signal);
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
    errorOf: (error, redact) => errorOf(error, { service, model, redact }),
  };
}

/** What every embedder of them may be told. */
export interface EmbeddingOptions {
  readonly dimensions?: number;
  readonly concurrency?: number;
  readonly firstPartMs?: number;
}

/** Refuses numbers that are none, when the embedder is built. */
export function checkEmbeddingOptions(who: string, { dimensions, concurrency, firstPartMs }: EmbeddingOptions): void {
  if (dimensions !== undefined) wholeNumber(who, "dimensions", dimensions, 1);
  if (concurrency !== undefined) wholeNumber(who, "concurrency", concurrency, 1);
  checkMilliseconds(who, { firstPartMs });
}

/** The vectors by the places that they name; one that is named twice leaves another empty, which is no vector. */
function vectorsIn(answer: unknown, count: number, bad: (what: string) => MillraceError): unknown[] {
  const data = itemsOf(shapeOf(answer)?.data);
  if (data.length !== count) throw bad(`answered ${data.length} vectors for ${count} texts`);
  const vectors: unknown[] = Array.from({ length: count });
  for (const item of data) {
    const shape = shapeOf(item);
    const index = countOf(shape?.index);
    if (index === undefined || index >= count) throw bad("answered vectors whose places are not those of the texts");
    vectors[index] = shape?.embedding ?? null;
  }
  return vectors;
}
