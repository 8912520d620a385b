/**
 * Calls of Chroma's client that can be interrupted.
 *
 * The client takes a signal for all its requests and none for one of them, so each call in progress has a client of its own, which is
 * used again unless the call was interrupted. A ready client cannot be interrupted: its request runs to its end unheard.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { keySource } from "../../wire/endpoint.ts";
import { givenUpCalls } from "../../wire/given-up.ts";
import { redaction } from "../../wire/redact.ts";
import { lazyClient } from "../../wire/sdk.ts";
import type { ChromaAddress } from "./address.ts";
import { toChromaError } from "./errors.ts";
import type { ChromaRows } from "./rows.ts";

/** What is used of a collection. */
export interface ChromaCollection {
  readonly id: string;
  readonly configuration?: unknown;
  readonly metadata?: unknown;
  count(): Promise<number>;
  get(args?: { ids?: string[]; where?: object; limit?: number; offset?: number; include?: string[] }): Promise<unknown>;
  query(args: { queryEmbeddings?: number[][]; nResults?: number; where?: object; include?: string[] }): Promise<unknown>;
  upsert(args: Partial<ChromaRows>): Promise<unknown>;
  delete(args: { ids?: string[]; where?: object }): Promise<unknown>;
}

/** What a collection would embed texts with. */
export interface ChromaEmbeddingFunction {
  generate(texts: string[]): Promise<number[][]>;
}

/** What is used of a ready client: `ChromaClient` and `CloudClient` of `chromadb` have it. Tenant and database are its own. */
export interface ChromaClient {
  getCollection(args: { name: string; embeddingFunction: ChromaEmbeddingFunction }): Promise<ChromaCollection>;
  getOrCreateCollection(args: {
    name: string;
    configuration: { hnsw: { space: "cosine" | "ip" | "l2"; maxNeighbors?: number; efConstruction?: number; efSearch?: number } };
    metadata: Record<string, number>;
    embeddingFunction: null;
  }): Promise<ChromaCollection>;
  /** A collection by its id, without a request. */
  collection(id: string): ChromaCollection;
}

/** One request of a call. */
export type Ask = <T>(request: (client: ChromaClient) => Promise<T>) => Promise<T>;

/** Where an adapter's requests go. */
export interface ChromaCalls {
  /** `what` is for messages; `sent` gives texts that errors must not quote. */
  run<T>(what: string, work: (ask: Ask, signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined, sent?: () => readonly string[]): Promise<T>;
  close(): Promise<void>;
}

/** A client, and what interrupts it. */
interface Lent {
  readonly client: ChromaClient;
  readonly secrets: readonly string[];
  interrupt(): void;
  giveBack(): void;
}

/** Calls that a client serves: each request leaves a listener on its signal until it is collected, and undici warns of 1,500. */
const maxCalls = 100;

/** Opens nothing yet: the first call does. */
export function chromaCalls(service: string, to: ChromaAddress | ChromaClient, timeoutMs: number, clock: Clock): ChromaCalls {
  const lend = "getCollection" in to ? borrowed(to) : own(service, to);
  const calls = givenUpCalls({ service, timeoutMs, clock, closing: async () => {} });
  return {
    run(what, work, signal, sent = () => []) {
      return calls.run(what, async (call) => {
        const lent = await lend(call.signal);
        const redact = redaction({ secrets: lent.secrets, sent });
        const ask: Ask = async (request) => {
          try {
            return await call.request(() => request(lent.client));
          } catch (error) {
            throw call.signal.aborted ? call.signal.reason : toChromaError(service, what, error, redact);
          }
        };
        call.signal.addEventListener("abort", lent.interrupt, { once: true });
        try {
          return await work(ask, call.signal);
        } finally {
          if (!call.signal.aborted) lent.giveBack();
        }
      }, signal);
    },
    close: calls.close,
  };
}

type Lend = (signal: AbortSignal) => Promise<Lent>;

function borrowed(client: ChromaClient): Lend {
  const nothing = (): void => {};
  return async () => ({ client, secrets: [], interrupt: nothing, giveBack: nothing });
}

interface Kept {
  readonly token: string | undefined;
  readonly client: ChromaClient;
  readonly controller: AbortController;
  calls: number;
}

function own(service: string, { apiKey, headers, ...address }: ChromaAddress): Lend {
  const sdk = lazyClient({ service, install: "chromadb@^3.5", open: () => import("chromadb") });
  const key = apiKey === undefined ? undefined : keySource({ who: service, apiKey });
  const idle: Kept[] = [];
  return async (signal) => {
    const { ChromaClient } = await sdk.get(signal);
    const token = await key?.get(signal);
    const make = (): Kept => {
      const controller = new AbortController();
      // manual: neither the token nor the records follow a redirect to another origin
      const fetchOptions = { redirect: "manual", signal: controller.signal } as const;
      const all = { ...headers, ...(token === undefined ? {} : { "x-chroma-token": token }) };
      return { token, controller, calls: 0, client: new ChromaClient({ ...address, headers: all, fetchOptions }) };
    };
    const last = idle.pop();
    const it = last === undefined || last.token !== token || last.calls >= maxCalls ? make() : last;
    it.calls += 1;
    return {
      client: it.client,
      secrets: [...(token === undefined ? [] : [token]), ...Object.values(headers)],
      interrupt: () => it.controller.abort(),
      giveBack: () => idle.push(it),
    };
  };
}
