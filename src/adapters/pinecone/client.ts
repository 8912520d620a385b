/**
 * The official client: loaded at first use, one for each request, since it takes a `fetch` and nothing else of a request's own.
 *
 * It keeps of an error neither status nor headers, follows redirects with the key, and takes no signal. So answers are looked at here,
 * before it sees them.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { networkError, networkFault } from "../../wire/network-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import { retryHint } from "../../wire/retry-hint.ts";
import { lazyClient } from "../../wire/sdk.ts";
import type { StoreProtocol } from "../../wire/store-calls.ts";
import type { PineconeRecord } from "./records.ts";

const service = "pinecone";

/** What is asked of an index. */
export interface PineconeIndex {
  upsert(options: { readonly records: PineconeRecord[] }): PromiseLike<unknown>;
  query(options: { readonly vector: number[]; readonly topK: number; readonly includeMetadata: boolean; readonly includeValues: boolean; readonly filter?: object }): PromiseLike<unknown>;
  fetch(options: { readonly ids: string[] }): PromiseLike<unknown>;
  deleteMany(options: { readonly ids: string[] } | { readonly filter: object }): PromiseLike<unknown>;
  deleteAll(): PromiseLike<unknown>;
  describeIndexStats(): PromiseLike<unknown>;
}

/** What is asked of the client. */
export interface PineconeClient {
  readonly indexes: {
    describe(name: string): PromiseLike<unknown>;
    create(options: object): PromiseLike<unknown>;
  };
  index(options: { readonly host: string; readonly namespace?: string }): PineconeIndex;
}

/** How Pinecone is reached. */
export interface PineconeConnectionOptions {
  /** @default what the environment variable `PINECONE_API_KEY` holds at first use */
  readonly apiKey?: ApiKey;
  /** Where indexes are made and looked up; https, or http on loopback. @default "https://api.pinecone.io" */
  readonly baseUrl?: string;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
}

/** Checks where requests go; nothing is loaded or read yet. */
export function pineconeProtocol(options: PineconeConnectionOptions): StoreProtocol<PineconeClient> {
  const controllerHostUrl = checkedBaseUrl(service, options.baseUrl ?? "https://api.pinecone.io");
  const additionalHeaders = checkedHeaders(service, options.headers);
  const key = keySource({ who: service, apiKey: options.apiKey, variable: "PINECONE_API_KEY" });
  const sdk = lazyClient({
    service,
    install: "@pinecone-database/pinecone@^9",
    async open() {
      const { Pinecone } = await import("@pinecone-database/pinecone");
      return (settings: ConstructorParameters<typeof Pinecone>[0]): PineconeClient => new Pinecone(settings);
    },
  });
  return {
    service,
    async connect(signal) {
      const apiKey = await key.get(signal);
      const made = await sdk.get(signal);
      return {
        secrets: [apiKey, ...Object.values(additionalHeaders)],
        client: (exchange) => made({ apiKey, controllerHostUrl, additionalHeaders, maxRetries: 0, fetchApi: guarded(exchange) }),
      };
    },
    errorOf: toError,
    close: sdk.close,
  };
}

/** An answer whose status is none of success. */
class Refused extends Error {
  readonly status: number;
  readonly headers: Headers;
  constructor({ status, headers }: Response, body: string) {
    super(body);
    this.status = status;
    this.headers = headers;
  }
}

/** Whatever the client makes of a failure, the exchange has heard of it first. */
function guarded(exchange: Exchange): Fetch {
  return async (input, init) => {
    try {
      const response = await exchange.fetch(input, init);
      const body = await response.text();
      if (!response.ok) throw new Refused(response, body);
      if (shapeOf(parsed(body)) === undefined) throw new MillraceError("bad_response", `${service}: answered with JSON that does not parse, or is no object`, { service });
      return new Response(body, { status: response.status, headers: { "content-type": "application/json" } });
    } catch (error) {
      exchange.fail(error);
      throw error;
    }
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function toError(error: unknown, what: string, redact: Redact): MillraceError | undefined {
  if (error instanceof Refused) {
    const { status, message: body, headers } = error;
    const answer = shapeOf(parsed(body));
    const said = wordsOf(shapeOf(answer?.["error"])?.["message"]) ?? wordsOf(answer?.["message"]) ?? body;
    const code = codeOfStatus(status);
    return new MillraceError(code, `${service}: ${what} answered ${status}: ${redact(said).trim()}`, {
      service,
      status,
      ...(code === "not_found" ? { scope: "dependency" as const } : {}), // the index's name came from the options
      ...retryHint({ headers, body: answer }),
    });
  }
  if (!(error instanceof Error)) return undefined;
  if (networkFault(error) !== undefined) return networkError(service, `${what} failed: the connection broke`, error, redact);
  if (!error.name.startsWith("Pinecone")) return undefined;
  return new MillraceError("bad_response", `${service}: ${what}: ${redact(error.message)}`, { service, cause: quotedError(error, redact) });
}
