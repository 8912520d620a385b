/**
 * What is called of the official client, by structure: two majors fit, and Azure's.
 *
 * Bodies are objects and no more: the client's own types are of mutable arrays, which readonly ones never fit. Tests hold what is sent
 * against those types.
 *
 * @module
 */
import type { Exchange } from "../exchange.ts";

/** What every request says besides its body. */
export interface RequestOptions {
  readonly signal: AbortSignal;
  readonly maxRetries: 0;
  readonly timeout: number;
  readonly fetchOptions: { readonly redirect: "error" };
}

/** What is called of a client for the Responses API. */
export interface OpenAIResponsesClient {
  readonly responses: {
    create(body: object, options: object): PromiseLike<AsyncIterable<unknown>>;
    /** Where answers are to be resumable. */
    retrieve?(id: string, query: object, options: object): PromiseLike<AsyncIterable<unknown>>;
    /** Likewise. */
    cancel?(id: string, options: object): PromiseLike<unknown>;
  };
}

/** What is called of a client for Chat Completions. */
export interface OpenAIChatClient {
  readonly chat: { readonly completions: { create(body: object, options: object): PromiseLike<AsyncIterable<unknown>> } };
}

/** A request for vectors. */
export interface EmbeddingsRequest {
  readonly model: string;
  readonly input: readonly string[];
  readonly dimensions?: number;
}

/** What is called of a client for embeddings. */
export interface OpenAIEmbeddingsClient {
  readonly embeddings: { create(body: object, options: object): PromiseLike<unknown> };
}

/** What is called of a client to count tokens. */
export interface OpenAICountingClient {
  readonly responses: { readonly inputTokens: { count(body: object, options: object): PromiseLike<unknown> } };
}

/** What is called of a client that was made here. */
export type OpenAIClient = OpenAIResponsesClient & OpenAIChatClient & OpenAIEmbeddingsClient & OpenAICountingClient;

/** Gives what a request needs: keys and the like, which no message may hold, and a client around its own `fetch`. */
export type Connect<Client> = (signal: AbortSignal) => Promise<{ readonly secrets: readonly string[]; client(exchange: Exchange): Client }>;

/** The longest delay a timer takes: the client's own clock never fires before ours. */
export const maxTimerMs: number = 2 ** 31 - 1;

/** The options of one request. */
export function requestOptions(exchange: Exchange): RequestOptions {
  return { signal: exchange.signal, maxRetries: 0, timeout: maxTimerMs, fetchOptions: { redirect: "error" } };
}

/** Variables of the environment, where the runtime has any. */
interface ProcessLike {
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Headers for a client, and none of those that it would take from `OPENAI_CUSTOM_HEADERS`: they are for whom that variable was set.
 *
 * A header is taken away by null; but that would take the client's own credential away too, so `credential` says it again.
 */
export function ownHeaders(headers: Readonly<Record<string, string>>, credential: Readonly<Record<string, string>>): Record<string, string | null> {
  const { process } = globalThis as { readonly process?: ProcessLike };
  const foreign = (process?.env?.OPENAI_CUSTOM_HEADERS ?? "").split("\n").flatMap((line) => {
    const name = line.includes(":") ? line.slice(0, line.indexOf(":")).trim().toLowerCase() : "";
    return name === "" ? [] : [[name, credential[name] ?? null] as const];
  });
  return { ...Object.fromEntries(foreign), ...headers };
}
