/**
 * Texts to vectors in as many requests as a service needs, each under our own clocks, the order kept.
 *
 * @module
 */
import { MillraceError, received } from "../core/errors.ts";
import { type JsonProtocol, jsonRequest, type JsonSender, type JsonSettings } from "./json-request.ts";
import type { Lifetime } from "./lifetime.ts";

/** A connection to the service that is ready to send texts. */
export type EmbeddingSender = JsonSender<readonly string[]>;

/** What is special about a service. */
export interface EmbeddingProtocol extends JsonProtocol<readonly string[]> {
  /** Name of the factory, for messages. */
  readonly who: string;
  /** Texts of one request at most. */
  readonly maxInputs: number;
  /** Characters of one request at most, but for a single text that has more. */
  readonly maxCharacters: number;
  /** The vectors of an answer, in the order of its texts; `bad` makes the error of one that has others. */
  vectorsIn(answer: unknown, count: number, bad: (what: string) => MillraceError): readonly unknown[];
}

/** What requests of one adapter share. */
export interface EmbeddingSettings extends JsonSettings {
  /** Numbers in each vector. @default those of the first vector of an answer */
  readonly dimensions?: number | undefined;
  /** Requests in progress at most. */
  readonly concurrency: number;
  readonly life: Lifetime;
}

/** One vector a text; the signal's reason on abort. */
export type Embed = (texts: readonly string[], context?: { readonly signal?: AbortSignal }) => Promise<Float32Array[]>;

/** Makes the function that asks. The first failure ends the other requests; none is left running. */
export function embedding(protocol: EmbeddingProtocol, settings: EmbeddingSettings): Embed {
  return async (texts, { signal } = {}) => {
    signal?.throwIfAborted();
    const call = settings.life.begin(signal);
    try {
      const batches = batchesOf(protocol, texts);
      const vectors: Float32Array[][] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        for (let at = next++; at < batches.length; at = next++) vectors[at] = await request(protocol, settings, batches[at] ?? [], call.signal);
      };
      const workers = Array.from({ length: Math.min(settings.concurrency, batches.length) }, () =>
        work().catch((error: unknown) => {
          if (!call.signal.aborted) call.abort(error); // the first failure counts, the rest only follow
          throw call.signal.reason;
        }),
      );
      await Promise.allSettled(workers); // none is left running
      if (call.signal.aborted) throw call.signal.reason;
      return vectors.flat();
    } finally {
      call.leave();
    }
  };
}

async function request(protocol: EmbeddingProtocol, settings: EmbeddingSettings, texts: readonly string[], stop: AbortSignal): Promise<Float32Array[]> {
  const { service } = protocol;
  const answer = await jsonRequest(protocol, settings, { body: texts, sent: () => texts }, stop);
  return checkedVectors(service, protocol.vectorsIn(answer, texts.length, (what) => bad(service, what)), texts.length, settings.dimensions);
}

/** Texts in the groups they are sent in. */
function batchesOf({ service, who, maxInputs, maxCharacters }: EmbeddingProtocol, texts: readonly string[]): string[][] {
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

function checkedVectors(service: string, values: readonly unknown[], count: number, dimensions: number | undefined): Float32Array[] {
  if (values.length !== count) throw bad(service, `answered ${values.length} vectors for ${count} texts`);
  let expected = dimensions;
  return values.map((value) => {
    const vector = vectorOf(service, value);
    expected ??= vector.length;
    if (vector.length !== expected) throw bad(service, `answered a vector of ${vector.length} numbers where ${expected} were expected`);
    return vector;
  });
}

function vectorOf(service: string, value: unknown): Float32Array {
  const vector = value instanceof Float32Array ? value : isNumbers(value) ? Float32Array.from(value) : undefined;
  if (vector === undefined || vector.length === 0 || !vector.every(Number.isFinite)) throw bad(service, "answered something that is no vector");
  return vector;
}

/** Asked of each before any is converted: null would become 0. */
function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function bad(service: string, what: string): MillraceError {
  return new MillraceError("bad_response", `${service}: ${what}`, { service });
}
