/**
 * Requests to an Ollama server, by plain `fetch`.
 *
 * The official client has no signal and no clocks, drops lines that do not parse, and leaves the connection open when it is left.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { type ApiKey, checkedBaseUrl, checkedHeaders, keySource } from "../../wire/endpoint.ts";
import type { Exchange } from "../../wire/exchange.ts";
import { type Reporting, statusError } from "../../wire/ollama/errors.ts";

/** Where requests go, and how the model is kept there. */
export interface OllamaConnectionOptions {
  /** https, or http on loopback. @default "http://127.0.0.1:11434" */
  readonly baseUrl?: string;
  /** Takes http to other machines too: what is said can be read and changed on the way. Not with a key. @default false */
  readonly allowHttp?: boolean;
  /** For the hosted service or a proxy, as `Authorization: Bearer`. @default none is sent, whatever the environment holds */
  readonly apiKey?: ApiKey;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For proxies; redirects must not be followed by it. @default the global one */
  readonly fetch?: Fetch;
  /** Milliseconds the model stays loaded afterwards; 0 unloads it, Infinity keeps it. @default the server's: 5 minutes */
  readonly keepAliveMs?: number;
  /** Tokens that prompt and answer may have together (`num_ctx`). @default the server's, which may be as few as 4,096 */
  readonly contextTokens?: number;
}

/** What one request needs. */
export interface Connected {
  readonly secrets: readonly string[];
  /** Throws the error of a status that is no success. */
  post(path: "/api/chat" | "/api/embed", body: object, exchange: Exchange, reporting: Reporting): Promise<Response>;
}

/** Gives what a request needs, the key read anew. */
export type Connect = (signal: AbortSignal) => Promise<Connected>;

/** Checks where requests go; nothing is read or opened yet. */
export function connection(who: string, options: OllamaConnectionOptions): Connect {
  const { baseUrl = "http://127.0.0.1:11434", allowHttp = false, apiKey } = options;
  const headers = checkedHeaders(who, options.headers);
  if (typeof allowHttp !== "boolean") throw invalidOption(who, "allowHttp", "true or false", allowHttp);
  if (allowHttp && apiKey !== undefined) throw new MillraceError("invalid_input", `${who}: allowHttp would send the apiKey in the clear`);
  const plain = allowHttp && /^http:/i.test(baseUrl);
  const checked = checkedBaseUrl(who, plain ? baseUrl.replace(/^http:/i, "https:") : baseUrl); // all but the scheme is checked then
  const base = plain ? checked.replace(/^https:/, "http:") : checked;
  const key = apiKey === undefined ? undefined : keySource({ who, apiKey, variable: "OLLAMA_API_KEY" });
  return async (signal) => {
    const value = await key?.get(signal);
    return {
      secrets: [...(value === undefined ? [] : [value]), ...Object.values(headers)],
      async post(path, body, exchange, reporting) {
        const response = await exchange.fetch(`${base}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json", ...(value === undefined ? {} : { authorization: `Bearer ${value}` }), ...headers },
          body: JSON.stringify(body),
        });
        if (response.ok) return response;
        throw statusError(response, await response.text(), reporting);
      },
    };
  };
}

/** A duration as the server reads it. */
export function keepAlive(who: string, ms: number | undefined): string | number | undefined {
  if (ms === undefined) return undefined;
  if (typeof ms !== "number" || !(ms >= 0)) throw invalidOption(who, "keepAliveMs", "a number of milliseconds from 0", ms);
  return ms === Infinity ? -1 : `${Math.round(ms)}ms`;
}
