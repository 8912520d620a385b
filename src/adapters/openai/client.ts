/**
 * The official client: loaded at first use, made anew for each request around that request's own `fetch`.
 *
 * Making one takes some 50 µs and opens nothing; connections belong to `fetch`. So no key stays in an object, and each request
 * has its own clocks.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { maxTimerMs, type OpenAIClient, ownHeaders } from "../../wire/openai/client.ts";
import { lazyClient } from "../../wire/sdk.ts";

/** Where requests go, for all three. */
export interface ConnectionOptions<Client> {
  /** A client of your own (`openai` 6 or 7, or anything with the same method): used as it is, never closed. Excludes the rest. */
  readonly client?: Client;
  /** @default what the environment variable `OPENAI_API_KEY` holds at first use */
  readonly apiKey?: ApiKey;
  /** https, or http on loopback. @default "https://api.openai.com/v1" */
  readonly baseUrl?: string;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
}

/** What one request needs. */
export interface Connected<Client> {
  readonly secrets: readonly string[];
  client(exchange: Exchange): Client | OpenAIClient;
}

/** Gives a client for each request. */
export interface Connection<Client> {
  connect(signal?: AbortSignal): Promise<Connected<Client>>;
  close(): Promise<void>;
}

/** Checks where requests go; nothing is loaded or read yet. `otherwise` is the key of servers that ask for none. */
export function connection<Client>(who: string, options: ConnectionOptions<Client>, otherwise?: string): Connection<Client> {
  const { client, apiKey, baseUrl = "https://api.openai.com/v1" } = options;
  if (client !== undefined) {
    const other = (["apiKey", "baseUrl", "headers", "fetch"] as const).find((name) => options[name] !== undefined);
    if (other !== undefined) throw new MillraceError("invalid_input", `${who}: ${other} belongs to the client that was passed`);
    return { connect: () => Promise.resolve({ secrets: [], client: () => client }), close: () => Promise.resolve() };
  }
  const headers = checkedHeaders(who, options.headers);
  const baseURL = checkedBaseUrl(who, baseUrl);
  const key = keySource({ who, apiKey, variable: "OPENAI_API_KEY", ...(otherwise === undefined ? {} : { otherwise }) });
  const sdk = lazyClient({
    service: who,
    install: "openai@^7",
    async open() {
      const { OpenAI } = await import("openai");
      return OpenAI;
    },
  });
  return {
    async connect(signal) {
      const OpenAI = await sdk.get(signal);
      const value = await key.get(signal);
      return {
        secrets: [...(value === otherwise ? [] : [value]), ...Object.values(headers)],
        client: (exchange): OpenAIClient =>
          new OpenAI({
            apiKey: value,
            adminAPIKey: null, // these three would be read from the environment
            organization: null,
            project: null,
            baseURL,
            defaultHeaders: ownHeaders(headers, { authorization: `Bearer ${value}` }),
            maxRetries: 0,
            timeout: maxTimerMs,
            logLevel: "off", // on a broken event it would print the payload
            fetch: exchange.fetch,
          }),
      };
    },
    close: sdk.close,
  };
}
