/**
 * A connection to a server: the official client, told to trust nothing and to do nothing by itself.
 *
 * @module
 */
import type * as Package from "@modelcontextprotocol/client";
import type { MillraceError } from "../../core/errors.ts";
import { lazyClient, type LazyClient } from "../../wire/sdk.ts";
import { type Reporting, requestError, service } from "./errors.ts";

/** The longest delay a timer takes: the client's own clock never fires before ours. */
export const maxTimerMs: number = 2 ** 31 - 1;

/** What is asked with each request. */
export interface McpRequestOptions {
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly timeout: number;
  /** Hears of progress. */
  readonly onprogress?: (progress: unknown) => void;
}

/** What is called of a client: `Client` of `@modelcontextprotocol/client` 2, or anything with the same methods. */
export interface McpClient {
  /** All tools, of all pages. */
  listTools(params: undefined, options: McpRequestOptions): PromiseLike<{ readonly tools: readonly unknown[] }>;
  callTool(params: { readonly name: string; readonly arguments: Record<string, unknown> }, options: McpRequestOptions): PromiseLike<unknown>;
  /** Without `tools` in it, a server is not asked for any. */
  getServerCapabilities?(): { readonly tools?: unknown } | undefined;
}

/** A client that is connected. */
export interface Connection extends Reporting {
  readonly client: McpClient;
  /** Nothing will come of it any more. */
  readonly isLost: boolean;
  /** Why the server is not there, if that is known better than by the client. */
  failure(): MillraceError | undefined;
  close(): Promise<void>;
}

/** Connects; what was begun is undone when the signal aborts. */
export type Connect = (signal: AbortSignal) => Promise<Connection>;

/** A way to the server. */
export interface Way {
  readonly transport: Package.Transport;
  /** Ends what the transport has opened, and waits for it. */
  end(): Promise<void>;
  /** Why the server is not there, if the way knows better than the client. */
  failure(): MillraceError | undefined;
}

/** The package. */
export type Sdk = typeof Package;

/** The package, loaded at first use. */
export function sdk(): LazyClient<Sdk> {
  return lazyClient({ service, install: "@modelcontextprotocol/client@^2.4", open: () => import("@modelcontextprotocol/client") });
}

/**
 * Shakes hands over a way, by the revisions of MCP up to 2025-11-25.
 *
 * No capability is declared: a server that wants to sample a model, ask the user or list folders is told that there is no such method.
 */
export async function connected({ Client }: Sdk, way: Way, reporting: Reporting, signal: AbortSignal): Promise<Connection> {
  const client = new Client(
    { name: "millrace", version: "0" },
    {
      capabilities: {},
      // Schemas of a server are not made into code of ours.
      jsonSchemaValidator: { getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined }) },
    },
  );
  let isLost = false;
  client.onclose = () => {
    isLost = true;
  };
  try {
    await client.connect(way.transport, { signal, timeout: maxTimerMs });
  } catch (error) {
    const failure = way.failure(); // asked before it is ended by us
    await way.end();
    signal.throwIfAborted();
    throw failure ?? requestError(error, reporting);
  }
  return {
    ...reporting,
    client,
    get isLost() {
      return isLost;
    },
    failure: way.failure,
    close: way.end,
  };
}

/** A request that can be left. */
export interface Leaving {
  /** For the client, which sends the reason to the server: it says no word of the caller's. */
  readonly signal: AbortSignal;
  /** It is over, or left: what is left of it is cancelled. */
  end(): void;
}

/** Left when the signal aborts. */
export function leaving(signal: AbortSignal): Leaving {
  const controller = new AbortController();
  const abort = (): void => controller.abort(new DOMException("the request was left", "AbortError"));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    end() {
      signal.removeEventListener("abort", abort);
      abort();
    },
  };
}
