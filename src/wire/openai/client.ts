/**
 * What is called of the official client, by structure: two majors fit, and Azure's.
 *
 * @module
 */
import type { Exchange } from "../exchange.ts";
import type { ChatRequest } from "./chat-request.ts";
import type { ResponsesRequest } from "./responses-request.ts";

/** What every request says besides its body. */
export interface RequestOptions {
  readonly signal: AbortSignal;
  readonly maxRetries: 0;
  readonly timeout: number;
  readonly fetchOptions: { readonly redirect: "error" };
}

/** What is called of a client for the Responses API. */
export interface OpenAIResponsesClient {
  readonly responses: { create(body: ResponsesRequest, options: RequestOptions): PromiseLike<AsyncIterable<unknown>> };
}

/** What is called of a client for Chat Completions. */
export interface OpenAIChatClient {
  readonly chat: { readonly completions: { create(body: ChatRequest, options: RequestOptions): PromiseLike<AsyncIterable<unknown>> } };
}

/** A request for vectors. */
export interface EmbeddingsRequest {
  readonly model: string;
  readonly input: readonly string[];
  readonly dimensions?: number;
}

/** What is called of a client for embeddings. */
export interface OpenAIEmbeddingsClient {
  readonly embeddings: { create(body: EmbeddingsRequest, options: RequestOptions): PromiseLike<unknown> };
}

/** The longest delay a timer takes: the client's own clock never fires before ours. */
export const maxTimerMs: number = 2 ** 31 - 1;

/** The options of one request. */
export function requestOptions(exchange: Exchange): RequestOptions {
  return { signal: exchange.signal, maxRetries: 0, timeout: maxTimerMs, fetchOptions: { redirect: "error" } };
}
