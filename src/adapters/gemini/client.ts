/**
 * The official client: loaded at first use, and handed our own `fetch` with each request.
 *
 * One is kept for as long as the key stays the same, or for good where it fetches tokens by itself; what is special about a request,
 * our `fetch` among it, goes with the request.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { compact, shapeOf } from "../../wire/json-shape.ts";
import { lazyClient } from "../../wire/sdk.ts";

/** What every request says besides its content. */
export interface RequestOptions {
  readonly abortSignal: AbortSignal;
  readonly httpOptions: {
    readonly fetch: Fetch;
    /** The client's own would count to the last byte of the body. */
    readonly timeout: 0;
    readonly retryOptions?: { readonly attempts: 1 };
  };
}

/** A request as a client takes it: so wide that clients of any version fit. */
export interface ClientRequest {
  readonly model: string;
  readonly contents: unknown;
  readonly config?: object;
}

/** What is called of a client for `gemini`. */
export interface GeminiClient {
  readonly models: { generateContentStream(request: ClientRequest): PromiseLike<AsyncIterable<unknown>> };
}

/** What is called of a client for `geminiEmbedder`. */
export interface GeminiEmbeddingsClient {
  /** Does it ask Vertex AI, which takes fewer texts at a time? */
  readonly vertexai?: boolean;
  readonly models: { embedContent(request: ClientRequest): PromiseLike<unknown> };
}

/** What is called of a client for `geminiTokenCounter`. */
export interface GeminiCountingClient {
  readonly models: { countTokens(request: ClientRequest): PromiseLike<unknown> };
}

/** Vertex AI instead of the Gemini API. */
export interface VertexOptions {
  /** With location; neither where an `apiKey` is enough (express mode). */
  readonly project?: string;
  /** @default "global" */
  readonly location?: string;
  /** What `google-auth-library` takes, where there is no `apiKey`. @default the credentials of the machine */
  readonly auth?: Readonly<Record<string, unknown>>;
}

/** Where requests go, for both. */
export interface ConnectionOptions<Client> {
  /** A client of your own (`@google/genai` 3, or anything with the same method): never closed; it gets our `fetch`, around its own. Excludes the rest. */
  readonly client?: Client;
  /** @default what the environment variable `GEMINI_API_KEY` holds at first use; none with a Vertex AI project */
  readonly apiKey?: ApiKey;
  /** Ask Vertex AI. */
  readonly vertex?: VertexOptions;
  /** Previews of the Gemini API need "v1beta". @default "v1"; "v1beta1" for Vertex AI */
  readonly apiVersion?: string;
  /** https, or http on loopback. @default the service's own */
  readonly baseUrl?: string;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
}

/** What one request needs. */
export interface Connected<Client> {
  readonly secrets: readonly string[];
  readonly client: Client;
  options(exchange: Exchange, fetch: Fetch): RequestOptions;
}

/** Gives a client for each request. */
export interface Connection<Client> {
  /** What our own `fetch` is to call. */
  readonly fetch: Fetch | undefined;
  readonly isVertex: boolean;
  connect(signal?: AbortSignal): Promise<Connected<Client>>;
  close(): Promise<void>;
}

/** Checks where requests go; nothing is loaded or read yet. */
export function connection<Client>(who: string, options: ConnectionOptions<Client>): Connection<Client> {
  const { client, apiKey, vertex, baseUrl } = options;
  if (client !== undefined) return passedClient(who, client, options);
  if (vertex !== undefined && shapeOf(vertex) === undefined) throw new MillraceError("invalid_input", `${who}: vertex must be an object`);
  const { project, location = "global", auth } = vertex ?? {};
  for (const [name, value] of Object.entries({ project, location, apiVersion: options.apiVersion })) {
    if (value !== undefined && !/^[\w.:-]+$/.test(value)) throw new MillraceError("invalid_input", `${who}: ${name} must be a word that fits an address`);
  }
  const headers = checkedHeaders(who, options.headers);
  const isKeyless = vertex !== undefined && apiKey === undefined;
  if (isKeyless && project === undefined) throw new MillraceError("invalid_input", `${who}: vertex needs a project, or an apiKey beside it`);
  const key = keySource({ who, apiKey, variable: "GEMINI_API_KEY" });
  const settings = {
    vertexai: vertex !== undefined, // these all would be read from the environment
    apiVersion: options.apiVersion ?? (vertex === undefined ? "v1" : "v1beta1"),
    ...(project === undefined ? {} : { project, location }),
    ...(auth === undefined || !isKeyless ? {} : { googleAuthOptions: auth }),
  };
  const httpOptions = { headers, baseUrl: baseUrl === undefined ? hostOf(vertex) : checkedBaseUrl(who, baseUrl) };
  const sdk = lazyClient({
    service: who,
    install: "@google/genai@^3",
    async open() {
      const { GoogleGenAI } = await import("@google/genai");
      return GoogleGenAI;
    },
  });
  let made: { readonly key: string | undefined; readonly client: Client } | undefined;
  return {
    fetch: options.fetch,
    isVertex: vertex !== undefined,
    async connect(signal) {
      const GoogleGenAI = await sdk.get(signal);
      const value = isKeyless ? undefined : await key.get(signal);
      if (made === undefined || made.key !== value) {
        // it has all the methods that the structural types name; a test passes one where they are asked for
        const client = new GoogleGenAI({ ...settings, ...(value === undefined ? {} : { apiKey: value }), httpOptions: { ...httpOptions } }) as Client;
        made = { key: value, client };
      }
      return { secrets: [...(value === undefined ? [] : [value]), ...Object.values(headers)], client: made.client, options: requestOptions };
    },
    close() {
      made = undefined;
      return sdk.close();
    },
  };
}

/** The client may have clocks, retries and a `fetch` of its own: the first two are switched off, ours goes around the third. */
function passedClient<Client>(who: string, client: Client, options: ConnectionOptions<Client>): Connection<Client> {
  const other = (["apiKey", "vertex", "apiVersion", "baseUrl", "headers", "fetch"] as const).find((name) => options[name] !== undefined);
  if (other !== undefined) throw new MillraceError("invalid_input", `${who}: ${other} belongs to the client that was passed`);
  const shape = shapeOf(client);
  const http = shapeOf(shape?.httpOptions);
  const own = http?.fetch;
  const isRetrying = http?.retryOptions !== undefined;
  return {
    fetch: typeof own === "function" ? (own as Fetch) : undefined, // a client has no other function there
    isVertex: shape?.vertexai === true,
    connect: () => Promise.resolve({ secrets: [], client, options: (exchange, fetch) => requestOptions(exchange, fetch, isRetrying) }),
    close: () => Promise.resolve(),
  };
}

function requestOptions(exchange: Exchange, fetch: Fetch, isRetrying = false): RequestOptions {
  const retryOptions = isRetrying ? ({ attempts: 1 } as const) : undefined;
  return { abortSignal: exchange.signal, httpOptions: compact<RequestOptions["httpOptions"]>({ fetch, timeout: 0, retryOptions }) };
}

/** Parts of the world that have a host of their own, as @google/genai has them. */
const multiRegions: ReadonlySet<string> = new Set(["us", "eu"]);

function hostOf(vertex: VertexOptions | undefined): string {
  if (vertex === undefined) return "https://generativelanguage.googleapis.com";
  const { project, location = "global" } = vertex;
  if (project === undefined || location === "global") return "https://aiplatform.googleapis.com";
  return multiRegions.has(location) ? `https://aiplatform.${location}.rep.googleapis.com` : `https://${location}-aiplatform.googleapis.com`;
}
