/**
 * Requests to the engine: its REST interface, under our own clocks.
 *
 * The SDK's client gives an attached call neither a signal nor a deadline, so it is not used.
 * Source: https://docs.restate.dev/services/invocation/http
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import type { ApiKey } from "../../wire/endpoint.ts";
import { keySource } from "../../wire/endpoint.ts";
import { textOf } from "../../wire/error-fields.ts";
import { jsonRequest } from "../../wire/json-request.ts";
import { redaction } from "../../wire/redact.ts";
import { awaitReturn } from "./away.ts";
import type { Batch } from "./batch.ts";
import { answerError } from "./failure.ts";

/** Where the engine is, and as whom it is asked. */
export interface Address {
  readonly who: string;
  readonly url: string;
  readonly apiKey: ApiKey | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds for a request that the engine answers by itself. */
  readonly timeoutMs: number;
  /** Milliseconds that it may be out of reach. */
  readonly awayMs: number;
  readonly clock: Clock;
  readonly fetch: Fetch | undefined;
}

/** One request. */
interface Question {
  /** For messages. */
  readonly what: string;
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** What came back, whatever its status. */
interface Answered {
  readonly status: number;
  readonly answer: unknown;
}

/** What the driver of a run asks of the engine. */
export interface Ingress {
  /** Hands a batch over; gives the id of its call, the same one when it is handed over again. */
  send(pipeline: string, batch: Batch, signal: AbortSignal): Promise<string>;
  /** What the call came to, whenever that is. Throws the error of the stage. */
  result(id: string, what: string, signal: AbortSignal): Promise<unknown>;
  /** Ends a call that nobody waits for; does not wait for its end. */
  cancel(pipeline: string, id: string, signal: AbortSignal): Promise<void>;
  /** Makes a worker known, by the admin API. */
  deploy(adminUrl: string, workerUrl: string, force: boolean, signal: AbortSignal): Promise<void>;
}

/** Milliseconds after which an open question for a result is asked anew: a connection that is dead looks like a step that is slow. */
const resultMs = 30_000;

/** What a server that restarts, or a proxy before it, answers. */
const passing: ReadonlySet<number> = new Set([502, 503, 504]);

/** Opens nothing yet. */
export function ingress(address: Address): Ingress {
  const { who, url, clock, timeoutMs, awayMs, headers } = address;
  const key = address.apiKey === undefined ? undefined : keySource({ who, apiKey: address.apiKey, variable: "RESTATE_API_KEY" });

  const ask = async (question: Question, signal: AbortSignal): Promise<Answered> => {
    const { what, method, body } = question;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const token = await key?.get(signal);
    const sent = { ...headers, ...question.headers, ...(text === undefined ? {} : { "content-type": "application/json" }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const secrets = [...(token === undefined ? [] : [token]), ...Object.values(headers)];
    const answered = await jsonRequest<undefined>(
      {
        service: who,
        prepare: async () => ({
          secrets,
          async send(_, exchange) {
            const response = await exchange.fetch(question.url, { method, headers: sent, ...(text === undefined ? {} : { body: text }) });
            return { status: response.status, answer: jsonOf(await response.text()) };
          },
        }),
        errorOf: () => undefined, // whoever asks looks at the status
      },
      { firstPartMs: question.timeoutMs, clock, fetch: address.fetch },
      { body: undefined, sent: () => (text === undefined ? [] : [text]) },
      signal,
    );
    const { status, answer } = answered as Answered; // as `send` made it
    if (status < 300 || passing.has(status)) return { status, answer };
    throw answerError(who, what, status, answer, redaction({ secrets, sent: () => (text === undefined ? [] : [text]) }));
  };

  const isThere = async (signal: AbortSignal): Promise<boolean> => {
    try {
      const { status } = await ask({ what: "health", method: "GET", url: `${url}/restate/health`, timeoutMs }, signal);
      return status < 300;
    } catch (error) {
      if (signal.aborted || !isAway(error)) throw error;
      return false;
    }
  };
  const back = awaitReturn({ who, probe: isThere, awayMs, clock });

  /** Asks until there is an answer: each of these questions may be asked twice. */
  const persistently = async (question: Question, signal: AbortSignal): Promise<unknown> => {
    let goneSinceMs: number | undefined;
    for (;;) {
      let missed: MillraceError;
      try {
        const { status, answer } = await ask(question, signal);
        if (!passing.has(status)) return answer;
        missed = new MillraceError("unavailable", `${who}: ${question.what}: answered ${status}`, { service: who, status });
      } catch (error) {
        if (signal.aborted || !isAway(error)) throw error;
        missed = error;
      }
      const isOpen = missed.code === "timeout" && question.timeoutMs === resultMs;
      goneSinceMs = isOpen ? undefined : (goneSinceMs ?? clock.now());
      if (goneSinceMs !== undefined && clock.now() - goneSinceMs >= awayMs) throw missed;
      await back(signal);
    }
  };

  return {
    async send(pipeline, batch, signal) {
      const place = `${pipeline}/${encodeURIComponent(`${batch.run}/${batch.key ?? batch.seq}`)}`;
      const what = `batch ${batch.seq} of ${pipeline}`;
      const answer = await persistently({ what, method: "POST", url: `${url}/${place}/batch/send`, body: batch, headers: { "idempotency-key": String(batch.seq) }, timeoutMs }, signal);
      const id = textOf(answer, "invocationId");
      if (id === undefined) throw new MillraceError("bad_response", `${who}: ${what}: got no invocation id`, { service: who });
      return id;
    },
    result: (id, what, signal) => persistently({ what, method: "GET", url: `${url}/restate/invocation/${encodeURIComponent(id)}/attach`, timeoutMs: resultMs }, signal),
    async cancel(pipeline, id, signal) {
      await ask({ what: "cancel", method: "POST", url: `${url}/${pipeline}/cancel/cancel`, body: id, timeoutMs }, signal);
    },
    async deploy(adminUrl, workerUrl, force, signal) {
      const { status } = await ask({ what: `deploy ${new URL(workerUrl).host}`, method: "POST", url: `${adminUrl}/deployments`, body: { uri: workerUrl, force }, timeoutMs }, signal);
      if (status >= 300) throw new MillraceError("unavailable", `${who}: deploy: answered ${status}`, { service: who, status });
    },
  };
}

/** The server is away, or the answer was lost with it. */
function isAway(error: unknown): error is MillraceError {
  if (!isMillraceError(error)) return false;
  return error.code === "timeout" || error.code === "truncated" || (error.code === "unavailable" && error.retryable);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
