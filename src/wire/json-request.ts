/**
 * One request whose answer is JSON, whole and at once: under our own clocks, ended in exactly one way.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { isMillraceError, type MillraceError } from "../core/errors.ts";
import type { Fetch } from "./answer.ts";
import { type Exchange, openExchange } from "./exchange.ts";
import { heard } from "./heard.ts";
import { type Redact, redaction } from "./redact.ts";

/** A connection to the service that is ready to send. */
export interface JsonSender<Body> {
  /** Keys and the like, which no message may hold. */
  readonly secrets: readonly string[];
  /** Gives the answer as JSON. */
  send(body: Body, exchange: Exchange, redact: Redact): PromiseLike<unknown>;
}

/** What is special about a service. */
export interface JsonProtocol<Body> {
  readonly service: string;
  /** Client, key: what a request needs. */
  prepare(signal: AbortSignal): Promise<JsonSender<Body>>;
  /** The error in a JSON body or an error of the client's, in our words; undefined for what is none. */
  errorOf(error: unknown, redact: Redact): MillraceError | undefined;
}

/** What requests of one adapter share. */
export interface JsonSettings {
  /** Milliseconds for one request, from sending to the last byte. */
  readonly firstPartMs: number;
  readonly clock: Clock;
  readonly fetch?: Fetch | undefined;
}

/** What is sent: the body, and the texts in it, which no message may quote. */
export interface JsonQuestion<Body> {
  readonly body: Body;
  readonly sent: () => readonly string[];
}

/** Asks. Throws what the service reports, in our words; the reason of the signal as soon as it aborts. */
export async function jsonRequest<Body>(protocol: JsonProtocol<Body>, settings: JsonSettings, { body, sent }: JsonQuestion<Body>, stop: AbortSignal): Promise<unknown> {
  const { service } = protocol;
  const { firstPartMs } = settings;
  const { secrets, send } = await heard(protocol.prepare(stop), stop);
  const redact = redaction({ secrets, sent });
  const exchange = openExchange({
    service,
    clock: settings.clock,
    redact,
    accept: "application/json",
    connectMs: firstPartMs, // headers come only with the result
    firstPartMs,
    idleMs: firstPartMs,
    fetch: settings.fetch,
    errorOf: (answer) => protocol.errorOf(answer, redact),
  });
  const abort = (): void => exchange.fail(stop.reason);
  stop.addEventListener("abort", abort, { once: true });
  try {
    const answer = await exchange.wait(send(body, exchange, redact));
    stop.throwIfAborted();
    const error = protocol.errorOf(answer, redact);
    if (error !== undefined) throw error;
    return answer;
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    const reason = exchange.failure?.reason ?? error;
    throw isMillraceError(reason) ? reason : (protocol.errorOf(reason, redact) ?? reason);
  } finally {
    stop.removeEventListener("abort", abort);
    exchange.close();
  }
}
