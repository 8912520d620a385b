/**
 * Calls of a store that speaks JSON over HTTP: each is one request or several, under one signal and our own clock, and ends with the store.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import type { Fetch } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { jsonRequest } from "./json-request.ts";
import { lifetime } from "./lifetime.ts";
import type { Redact } from "./redact.ts";

/** A connection that is ready to send. */
export interface StoreConnection<Client> {
  /** Keys and the like, which no message may hold. */
  readonly secrets: readonly string[];
  /** The client for one request, bound to its exchange. */
  client(exchange: Exchange): Client;
}

/** What is special about a service. */
export interface StoreProtocol<Client> {
  readonly service: string;
  /** Client, key: what a request needs. */
  connect(signal: AbortSignal): Promise<StoreConnection<Client>>;
  /** The error in an answer or an error of the client's, in our words; `what` names the request. Undefined for what is none. */
  errorOf(error: unknown, what: string, redact: Redact): MillraceError | undefined;
  close(): Promise<void>;
}

/** What the calls of one store share. */
export interface StoreSettings {
  /** Milliseconds for one request, from sending to the last byte. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly fetch?: Fetch | undefined;
}

/** One request. */
export interface StoreRequest<Client> {
  /** For messages: `query of "notes"`. */
  readonly what: string;
  send(client: Client): PromiseLike<unknown>;
  /** The texts that are sent, which no message may quote. */
  readonly sent?: () => readonly string[];
}

/** Asks, within a call. */
export type Ask<Client> = (request: StoreRequest<Client>) => Promise<unknown>;

/** The calls of one store. */
export interface StoreCalls<Client> {
  /** Throws: `closed`, the signal's reason before and during the work, whatever the service reports. */
  run<T>(work: (ask: Ask<Client>, signal: AbortSignal) => Promise<T>, context?: { readonly signal?: AbortSignal }): Promise<T>;
  /** Calls in progress reject with `closed`, and their connections close; twice is once. */
  close(): Promise<void>;
}

/** Opens nothing yet: the first call does. */
export function storeCalls<Client>(protocol: StoreProtocol<Client>, settings: StoreSettings): StoreCalls<Client> {
  const { service } = protocol;
  const { timeoutMs, clock, fetch } = settings;
  if (!(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw new MillraceError("invalid_input", `${service}: timeoutMs must be a number of milliseconds above 0, got ${String(timeoutMs)}`);
  }
  const life = lifetime(service, protocol.close);
  const askUntil = (stop: AbortSignal): Ask<Client> => ({ what, send, sent = () => [] }) =>
    jsonRequest<undefined>(
      {
        service,
        async prepare(signal) {
          const { secrets, client } = await protocol.connect(signal);
          return { secrets, send: (_, exchange) => send(client(exchange)) };
        },
        errorOf: (error, redact) => protocol.errorOf(error, what, redact),
      },
      { firstPartMs: timeoutMs, clock, fetch },
      { body: undefined, sent },
      stop,
    );
  return {
    async run(work, { signal } = {}) {
      const call = life.begin(signal);
      try {
        call.signal.throwIfAborted();
        return await work(askUntil(call.signal), call.signal);
      } finally {
        call.leave();
      }
    },
    close: life.close,
  };
}
