/**
 * The official client for Azure: loaded at first use, made anew for each request around that request's own `fetch` and token.
 *
 * It reads endpoint, key, version, organization and headers from the environment, refuses a token where the environment holds a key,
 * and forces `redirect: "manual"` on some requests only: all of this is decided here.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { maxTimerMs, type OpenAIClient, ownHeaders } from "../../wire/openai/client.ts";
import { lazyClient } from "../../wire/sdk.ts";

/** Where requests go, and as whom. */
export interface AzureConnectionOptions<Client> {
  /** A client of your own (`AzureOpenAI`, or anything with the same methods): used as it is, never closed. Excludes the rest. */
  readonly client?: Client;
  /** The resource: `https://NAME.openai.azure.com`. Either this or `baseUrl`. */
  readonly endpoint?: string;
  /** A gateway's address up to what the API appends: `/deployments/…` or, for `v1`, `/chat/completions`. */
  readonly baseUrl?: string;
  /** `v1`, or the date of an API version: `2025-04-01-preview`. */
  readonly apiVersion?: string;
  /** @default what the environment variable `AZURE_OPENAI_API_KEY` holds at first use */
  readonly apiKey?: ApiKey;
  /** Gives an access token of Entra ID; asked for each request, so it is to keep the token itself. Instead of `apiKey`. */
  readonly credential?: () => string | Promise<string>;
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

/** What a deployment may be called; it is part of the path. Source: learn.microsoft.com/azure, naming rules of Cognitive Services */
const deploymentName = /^\w[\w.-]{0,63}$/;

/** Refuses a name that would lead elsewhere. */
export function checkedDeployment(who: string, deployment: unknown): string {
  if (typeof deployment !== "string" || !deploymentName.test(deployment)) {
    throw invalidOption(who, "deployment", "the name of a deployment: letters, digits, _, . and -", deployment);
  }
  return deployment;
}

/** Checks where requests go; nothing is loaded or read yet. */
export function connection<Client>(who: string, deployment: string, options: AzureConnectionOptions<Client>): Connection<Client> {
  const { client, endpoint, baseUrl, apiVersion, apiKey, credential } = options;
  if (client !== undefined) {
    const other = (["endpoint", "baseUrl", "apiVersion", "apiKey", "credential", "headers", "fetch"] as const).find((name) => options[name] !== undefined);
    if (other !== undefined) throw new MillraceError("invalid_input", `${who}: ${other} belongs to the client that was passed`);
    return { connect: () => Promise.resolve({ secrets: [], client: () => client }), close: () => Promise.resolve() };
  }
  if ((endpoint === undefined) === (baseUrl === undefined)) throw new MillraceError("invalid_input", `${who}: needs an endpoint or a baseUrl, and not both`);
  if (apiKey !== undefined && credential !== undefined) throw new MillraceError("invalid_input", `${who}: takes an apiKey or a credential, not both`);
  if (credential !== undefined && typeof credential !== "function") throw new MillraceError("invalid_input", `${who}: credential must be a function that gives a token`);
  if (typeof apiVersion !== "string" || !/^[\w.-]+$/.test(apiVersion)) throw invalidOption(who, "apiVersion", "v1 or the date of a version", apiVersion);
  const isV1 = apiVersion === "v1";
  const headers = checkedHeaders(who, options.headers);
  const baseURL = baseUrl === undefined ? `${checkedEndpoint(who, endpoint ?? "")}/openai${isV1 ? "/v1" : ""}` : checkedBaseUrl(who, baseUrl);
  const key = keySource({ who, apiKey: credential ?? apiKey, variable: "AZURE_OPENAI_API_KEY" });
  const sdk = lazyClient({
    service: who,
    install: "openai@^7",
    async open() {
      const { AzureOpenAI, OpenAI } = await import("openai");
      return { AzureOpenAI, OpenAI };
    },
  });
  return {
    async connect(signal) {
      const { AzureOpenAI, OpenAI } = await sdk.get(signal);
      const value = await key.get(signal);
      const bearer = isV1 || credential !== undefined;
      const shared = {
        adminAPIKey: null, // these three would be read from the environment
        organization: null,
        project: null,
        baseURL,
        defaultHeaders: ownHeaders(headers, bearer ? { authorization: `Bearer ${value}` } : { "api-key": value }),
        maxRetries: 0,
        timeout: maxTimerMs,
        logLevel: "off", // on a broken event it would print the payload
      } as const;
      // An empty key is none; left out, it would be read from the environment, and clash with the token.
      const proof = credential === undefined ? { apiKey: value } : { apiKey: "", azureADTokenProvider: async () => value };
      return {
        secrets: [value, ...Object.values(headers)],
        client: ({ fetch }): OpenAIClient =>
          isV1 ? new OpenAI({ ...shared, apiKey: value, fetch }) : new AzureOpenAI({ ...shared, ...proof, apiVersion, deployment, fetch }),
      };
    },
    close: sdk.close,
  };
}

/** The resource without a path: what comes after it is ours to say. */
function checkedEndpoint(who: string, endpoint: string): string {
  const base = checkedBaseUrl(who, endpoint);
  const { pathname, search, origin } = new URL(base);
  if (pathname !== "/" || search !== "") throw new MillraceError("invalid_input", `${who}: endpoint must be a resource without a path; a gateway's address is baseUrl`);
  return origin;
}
