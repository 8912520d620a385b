/**
 * The official client: loaded at first use, made anew for each request around that request's own `fetch`.
 *
 * Making one opens nothing; connections belong to `fetch`. So no key stays in an object, and each request has its own clocks.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { lazyClient } from "../../wire/sdk.ts";

/** What every request says besides its body. */
export interface RequestOptions {
  readonly signal: AbortSignal;
  readonly maxRetries: 0;
  readonly timeout: number;
  readonly fetchOptions: { readonly redirect: "error" };
}

/** The least of a request that every client's own type of it has too. */
interface StreamedRequest {
  readonly model: string;
  readonly max_tokens: number;
  readonly messages: readonly unknown[];
  readonly stream: true;
}

/** What is called of a client: `Anthropic`, or one for Bedrock, Vertex or Foundry. */
export interface AnthropicClient {
  readonly messages: { create(body: StreamedRequest, options: RequestOptions): PromiseLike<AsyncIterable<unknown>> };
}

/** What is called of a client to count tokens. */
export interface AnthropicCountingClient {
  readonly messages: { countTokens(body: CountedRequest, options: RequestOptions): PromiseLike<unknown> };
}

/** The least of such a request. */
interface CountedRequest {
  readonly model: string;
  readonly messages: readonly unknown[];
}

/** Where requests go. */
export interface ConnectionOptions<Client = AnthropicClient> {
  /**
   * A client of your own (`@anthropic-ai/sdk` 1, its likes for Bedrock, Vertex and Foundry, or anything with the same method): used
   * as it is, never closed. Excludes the rest. What its `fetch` lets by is not looked at: pages for streams end as `truncated`, and
   * events without a name are lost to it.
   */
  readonly client?: Client;
  /** @default what the environment variable `ANTHROPIC_API_KEY` holds at first use */
  readonly apiKey?: ApiKey;
  /** https, or http on loopback; without `/v1`. @default "https://api.anthropic.com" */
  readonly baseUrl?: string;
  /** Sent with each request, such as `anthropic-beta`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
}

/** What one request needs. */
export interface Connected<Client> {
  readonly secrets: readonly string[];
  client(exchange: Exchange): Client | (AnthropicClient & AnthropicCountingClient);
}

/** Gives a client for each request. */
export interface Connection<Client> {
  connect(signal?: AbortSignal): Promise<Connected<Client>>;
  close(): Promise<void>;
}

/** The longest delay a timer takes: the client's own clock never fires before ours. */
const maxTimerMs = 2 ** 31 - 1;

/** The options of one request. */
export function requestOptions(exchange: Exchange): RequestOptions {
  return { signal: exchange.signal, maxRetries: 0, timeout: maxTimerMs, fetchOptions: { redirect: "error" } };
}

/** Fields of a request that the client sends as headers. */
const fieldHeaders = { user_profile_id: "anthropic-user-profile-id", workspace_id: "anthropic-workspace-id" } as const;

/** Checks where requests go; nothing is loaded or read yet. `fields` are those of the request that have no option. */
export function connection<Client>(who: string, options: ConnectionOptions<Client>, fields: Readonly<Record<string, unknown>>): Connection<Client> {
  const { client, apiKey, baseUrl = "https://api.anthropic.com" } = options;
  if (client !== undefined) {
    const other = (["apiKey", "baseUrl", "headers", "fetch"] as const).find((name) => options[name] !== undefined);
    if (other !== undefined) throw new MillraceError("invalid_input", `${who}: ${other} belongs to the client that was passed`);
    return { connect: () => Promise.resolve({ secrets: [], client: () => client }), close: () => Promise.resolve() };
  }
  const said = Object.entries(fieldHeaders).flatMap(([field, name]) => (typeof fields[field] === "string" ? [[name, fields[field]] as const] : []));
  const headers = checkedHeaders(who, { ...options.headers, ...Object.fromEntries(said) });
  const baseURL = checkedBaseUrl(who, baseUrl);
  const key = keySource({ who, apiKey, variable: "ANTHROPIC_API_KEY" });
  const sdk = lazyClient({
    service: who,
    install: "@anthropic-ai/sdk@^1",
    async open() {
      const { Anthropic } = await import("@anthropic-ai/sdk");
      return Anthropic;
    },
  });
  return {
    async connect(signal) {
      const Anthropic = await sdk.get(signal);
      const value = await key.get(signal);
      return {
        secrets: [value, ...Object.values(headers)],
        client: (exchange) =>
          new Anthropic({
            apiKey: value,
            webhookKey: null, // would be read from the environment
            baseURL,
            defaultHeaders: headers,
            maxRetries: 0,
            timeout: maxTimerMs,
            logLevel: "off", // on a broken event it would print the payload
            openTelemetry: false, // spans are those of the run
            fetch: ownHeaders(exchange.fetch, headers, value),
          }),
      };
    },
    close: sdk.close,
  };
}

/** Headers that the client itself sends. */
const clientHeaders = /^(?:accept|content-type|user-agent|anthropic-version|authorization|x-api-key|x-stainless-[\w-]+)$/;

/** Without what `ANTHROPIC_CUSTOM_HEADERS` adds to each request, another key among it: what is sent is what the options say. */
function ownHeaders(fetch: Fetch, headers: Readonly<Record<string, string>>, key: string): Fetch {
  return (input, init = {}) => {
    const sent = new Headers();
    for (const [name, value] of new Headers(init.headers)) if (clientHeaders.test(name)) sent.set(name, value);
    if (sent.has("authorization")) sent.set("authorization", `Bearer ${key}`);
    if (sent.has("x-api-key")) sent.set("x-api-key", key);
    for (const [name, value] of Object.entries(headers)) sent.set(name, value);
    return fetch(input, { ...init, headers: sent });
  };
}
