/**
 * The official client: loaded at first use, with what is special about a request handed to it by the request.
 *
 * The methods of the client take no signal and follow redirects with the key; those of the interface that it is generated from, `api()`,
 * take what `fetch` takes. The key is never in the client, which would warn of it on the console.
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { checkedBaseUrl, checkedHeaders, type ApiKey, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { lazyClient } from "../../wire/sdk.ts";
import type { StoreProtocol } from "../../wire/store-calls.ts";
import { toError } from "./errors.ts";

const service = "qdrant";

/** A request of the client's: where and what in one, and what `fetch` is told. */
type Call = { call(request: object, init?: RequestInit): PromiseLike<unknown> }["call"];

/** The requests that are made. */
export interface QdrantApi {
  readonly getCollection: Call;
  readonly createCollection: Call;
  readonly createFieldIndex: Call;
  readonly upsertPoints: Call;
  readonly queryPoints: Call;
  readonly queryBatchPoints: Call;
  readonly getPoints: Call;
  readonly deletePoints: Call;
  readonly countPoints: Call;
}

/** What is used of a ready client: `QdrantClient` of the package, or anything else that answers so. */
export interface QdrantRestClient {
  api(): QdrantApi;
}

/** How Qdrant is reached. */
export interface QdrantConnectionOptions {
  /** https, or http on loopback; without a port it is 6333, as the client has it. @default "http://127.0.0.1:6333" */
  readonly baseUrl?: string;
  /** @default what the environment variable `QDRANT_API_KEY` holds at first use, if anything; none with a `client` */
  readonly apiKey?: ApiKey;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A client of your own, best made with `timeout: Infinity`: a timeout of its own puts our signal out of action. Never closed. */
  readonly client?: QdrantRestClient;
}

/** A request under way. */
export type QdrantSend = (name: keyof QdrantApi, request: object) => PromiseLike<unknown>;

/** Checks where requests go; nothing is loaded or read yet. */
export function qdrantProtocol(options: QdrantConnectionOptions): StoreProtocol<QdrantSend> {
  const { baseUrl, apiKey, client } = options;
  if (client !== undefined && (typeof client !== "object" || client === null || typeof client.api !== "function")) {
    throw invalidOption(service, "client", "a client of @qdrant/js-client-rest", client);
  }
  if (client !== undefined && baseUrl !== undefined) throw invalidOption(service, "baseUrl", "left out where there is a client", "both");
  const url = new URL(checkedBaseUrl(service, baseUrl ?? "http://127.0.0.1:6333"));
  const headers = checkedHeaders(service, options.headers);
  const key = client !== undefined && apiKey === undefined ? undefined : keySource({ who: service, apiKey, variable: "QDRANT_API_KEY", otherwise: noKey });
  const sdk = lazyClient<QdrantRestClient>({
    service,
    install: "@qdrant/js-client-rest@^1.19",
    client,
    async open() {
      const { QdrantClient } = await import("@qdrant/js-client-rest");
      // a timeout of the client's would take the place of our signal, and its look at the server's version is a request nobody asked for
      return new QdrantClient({ url: url.origin, prefix: url.pathname === "/" ? "" : url.pathname, timeout: Infinity, checkCompatibility: false });
    },
  });
  return {
    service,
    async connect(signal) {
      const found = (await key?.get(signal)) ?? noKey;
      const secrets = found === noKey ? [] : [found];
      const api = (await sdk.get(signal)).api();
      const own = found === noKey ? headers : { ...headers, "api-key": found };
      return {
        secrets: [...secrets, ...Object.values(headers)],
        client: (exchange) => (name, request) => api[name](request, initOf(exchange, own)),
      };
    },
    errorOf: toError,
    close: sdk.close,
  };
}

/** Nobody's key: servers on one's own machine have none. */
const noKey = "-";

function initOf({ signal }: Exchange, headers: Readonly<Record<string, string>>): RequestInit {
  // identity: what is packed may unpack to more than memory holds, and the client reads all of it
  return { signal, redirect: "error", headers: { "accept-encoding": "identity", ...headers } };
}
