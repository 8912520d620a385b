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
  /** That there is no answer in its time means nothing: it is asked anew. */
  readonly isOpen?: true;
  /** Statuses of an engine that is away for a while. @default all that mean `unavailable` or `timeout` */
  readonly passing?: ReadonlySet<number>;
}

/** What came of a question: an answer, or why there is none for now. */
type Outcome = { readonly answer: unknown } | { readonly missed: MillraceError };

/** What the driver of a run asks of the engine. */
export interface Ingress {
  /** Hands a batch over; gives the id of its call, the same one when it is handed over again. */
  send(pipeline: string, batch: Batch, signal: AbortSignal): Promise<string>;
  /** What the call came to, whenever that is. Throws the error of the stage. */
  result(id: string, what: string, signal: AbortSignal): Promise<unknown>;
  /** Ends a call that nobody waits for; does not wait for its end. */
  cancel(pipeline: string, id: string, signal: AbortSignal): Promise<void>;
  /** Makes a worker known, by the admin API. Throws what the engine says of it; waits for an engine that says nothing. */
  deploy(adminUrl: string, workerUrl: string, force: boolean, signal: AbortSignal): Promise<void>;
}

/** Milliseconds after which an open question for a result is asked anew: a connection that is dead looks like a step that is slow. */
const resultMs = 30_000;

/** Milliseconds between two tries to make a worker known. */
const deployWaitMs = 500;

/** What the admin API of a server that restarts, or a proxy before it, answers. Its 500 is an answer: it could not reach the worker. */
const passingAdmin: ReadonlySet<number> = new Set([502, 503, 504]);

/** Opens nothing yet. */
export function ingress(address: Address): Ingress {
  const { who, url, clock, timeoutMs, awayMs, headers } = address;
  const key = address.apiKey === undefined ? undefined : keySource({ who, apiKey: address.apiKey, variable: "RESTATE_API_KEY" });

  const ask = async (question: Question, signal: AbortSignal): Promise<Outcome> => {
    const { what, method, body } = question;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const token = await key?.get(signal);
    const sent = { ...headers, ...question.headers, ...(text === undefined ? {} : { "content-type": "application/json" }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const secrets = [...(token === undefined ? [] : [token]), ...Object.values(headers)];
    const asked = jsonRequest<undefined>(
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
    let answered: { readonly status: number; readonly answer: unknown };
    try {
      answered = (await asked) as typeof answered; // as `send` made it
    } catch (error) {
      if (signal.aborted || !isAway(error)) throw error;
      return { missed: error };
    }
    const { status, answer } = answered;
    if (status < 300) return { answer };
    const error = answerError(who, what, status, answer, redaction({ secrets, sent: () => (text === undefined ? [] : [text]) }));
    const mayPass = isAway(error) && (question.passing?.has(status) ?? true);
    // a stage that failed for good may have said the same
    if (mayPass && textOf(answer, "source") !== "invocation") return { missed: error };
    throw error;
  };

  const isThere = async (signal: AbortSignal): Promise<boolean> =>
    "answer" in (await ask({ what: "health", method: "GET", url: `${url}/restate/health`, timeoutMs }, signal));
  const back = awaitReturn({ who, probe: isThere, awayMs, clock });

  /** Asks until there is an answer: each of these questions may be asked twice. Between two tries it waits for the ingress, or as it is told. */
  const persistently = async (question: Question, signal: AbortSignal, wait = back): Promise<unknown> => {
    let goneSinceMs: number | undefined;
    for (;;) {
      const outcome = await ask(question, signal);
      if ("answer" in outcome) return outcome.answer;
      const { missed } = outcome;
      const isOpen = missed.code === "timeout" && question.isOpen === true;
      goneSinceMs = isOpen ? undefined : (goneSinceMs ?? clock.now());
      if (goneSinceMs !== undefined && clock.now() - goneSinceMs >= awayMs) {
        const { status } = missed;
        const message = `${who}: ${question.what}: no answer from ${new URL(question.url).host} for ${awayMs} ms`;
        throw new MillraceError("unavailable", message, { service: who, ...(status === undefined ? {} : { status }), cause: missed });
      }
      await wait(signal);
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
    result: (id, what, signal) => persistently({ what, method: "GET", url: `${url}/restate/invocation/${encodeURIComponent(id)}/attach`, timeoutMs: resultMs, isOpen: true }, signal),
    async cancel(pipeline, id, signal) {
      await ask({ what: "cancel", method: "POST", url: `${url}/${pipeline}/cancel/cancel`, body: id, timeoutMs }, signal);
    },
    async deploy(adminUrl, workerUrl, force, signal) {
      const what = `deploy ${new URL(workerUrl).host}`;
      const question: Question = { what, method: "POST", url: `${adminUrl}/deployments`, body: { uri: workerUrl, force }, timeoutMs, passing: passingAdmin };
      // not for the ingress: who deploys may reach no more than the admin API
      await persistently(question, signal, (stop) => clock.sleep(deployWaitMs, stop));
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
