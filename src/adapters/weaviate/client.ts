/**
 * What is used of Weaviate's client, and how one is made.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import { lazyClient, type LazyClient } from "../../wire/sdk.ts";
import type { WeaviateFilter } from "./filter.ts";
import type { WeaviateObject } from "./rows.ts";

/** What a search may be told. */
export interface WeaviateSearch {
  readonly limit?: number;
  readonly filters?: WeaviateFilter;
  readonly returnMetadata?: ("distance" | "score")[];
  readonly returnProperties?: string[];
  readonly queryProperties?: string[];
  readonly includeVector?: boolean;
}

/** What is used of a collection. */
export interface WeaviateCollection {
  readonly aggregate: { overAll(options?: { filters?: WeaviateFilter }): Promise<unknown> };
  readonly config: { addProperty(property: object): Promise<unknown> };
  readonly data: {
    insertMany(objects: WeaviateObject[]): Promise<unknown>;
    deleteMany(filter: WeaviateFilter): Promise<unknown>;
  };
  readonly query: {
    nearVector(vector: number[], options: WeaviateSearch, call: { abortSignal: AbortSignal }): Promise<unknown>;
    bm25(query: string, options: WeaviateSearch, call: { abortSignal: AbortSignal }): Promise<unknown>;
    fetchObjects(options: WeaviateSearch, call: { abortSignal: AbortSignal }): Promise<unknown>;
  };
  readonly tenants: { create(tenants: { name: string }[]): Promise<unknown> };
  withTenant(tenant: string): WeaviateCollection;
}

/** What is used of a ready client: that of `weaviate-client` 3 has it. */
export interface WeaviateClient {
  getWeaviateVersion(): Promise<unknown>;
  readonly collections: {
    exportToJson(name: string): Promise<unknown>;
    createFromJson(schema: object): Promise<unknown>;
    use(name: string): WeaviateCollection;
  };
}

/** Where a Weaviate is, and as whom it is asked. */
export interface WeaviateConnectionOptions {
  /** Of REST: scheme, host and port. @default "http://localhost:8080" */
  readonly baseUrl?: string;
  /** Of gRPC: scheme, host and port. @default the host of `baseUrl` with port 50051 */
  readonly grpcUrl?: string;
  /** Sent as a bearer token; a function is asked once, when the client is made. @default none is sent */
  readonly apiKey?: ApiKey;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A ready client, instead of all this; it is not closed. */
  readonly client?: WeaviateClient;
}

/** A client with what messages must not show. */
export interface WeaviateConnection {
  readonly client: LazyClient<WeaviateClient>;
  /** Keys and header values in use. */
  secrets(): readonly string[];
}

/** Opens nothing yet: the first call does. `timeoutMs` bounds what cannot be interrupted. */
export function weaviateConnection(service: string, options: WeaviateConnectionOptions, timeoutMs: number): WeaviateConnection {
  const { baseUrl = "http://localhost:8080", apiKey } = options;
  const rest = address(service, "baseUrl", baseUrl);
  const grpc = address(service, "grpcUrl", options.grpcUrl ?? withPort(baseUrl, 50_051));
  const headers = checkedHeaders(service, options.headers);
  const key = apiKey === undefined ? undefined : keySource({ who: service, apiKey });
  let token: string | undefined;
  // the client counts in seconds; ours come first wherever a call can be given up
  const seconds = timeoutMs / 1_000 + 1;
  const client = lazyClient<WeaviateClient & { close?(): Promise<void> }>({
    service,
    install: "weaviate-client@^3.14",
    client: options.client,
    async open() {
      const { default: sdk } = await import("weaviate-client");
      token = await key?.get();
      return sdk.connectToCustom({
        httpHost: rest.host,
        httpPort: rest.port,
        httpSecure: rest.secure,
        grpcHost: grpc.host,
        grpcPort: grpc.port,
        grpcSecure: grpc.secure,
        headers: { ...headers },
        timeout: { init: seconds, query: seconds, insert: seconds },
        skipInitChecks: true, // the first request tells as much, with an error that says why
        ...(token === undefined ? {} : { authCredentials: new sdk.ApiKey(token) }),
      });
    },
    close: (it) => it.close?.(),
  });
  return { client, secrets: () => [...(token === undefined ? [] : [token]), ...Object.values(headers)] };
}

function withPort(baseUrl: string, port: number): string {
  const url = new URL(baseUrl);
  url.port = String(port);
  return url.origin;
}

function address(service: string, option: string, given: string): { readonly host: string; readonly port: number; readonly secure: boolean } {
  const url = new URL(checkedBaseUrl(service, given));
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") throw invalidOption(service, option, "scheme, host and port alone", url.origin);
  const secure = url.protocol === "https:";
  return { host: url.hostname, port: url.port === "" ? (secure ? 443 : 80) : Number(url.port), secure };
}
