/**
 * Requests to a server over HTTP, under our rules: the key goes with each, to no other place; answers are bounded, and refusals are errors.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Fetch } from "../../wire/answer.ts";
import { answerBody } from "../../wire/answer-body.ts";
import type { KeySource } from "../../wire/endpoint.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { watchEvents } from "../../wire/event-watch.ts";
import { guardedBody } from "../../wire/guarded-body.ts";
import { codeOfStatus } from "../../wire/http-status.ts";
import { networkError } from "../../wire/network-errors.ts";
import { type Redact, redaction } from "../../wire/redact.ts";
import { retryHint } from "../../wire/retry-hint.ts";
import { type Reporting, service } from "./errors.ts";

/** What goes with every request, and how much may come back. */
export interface HttpRules {
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: KeySource | undefined;
  readonly fetch: Fetch | undefined;
  /** Bytes of one message. */
  readonly maxMessageBytes: number;
}

/** What the client asks with. */
export interface HttpAnswers extends Reporting {
  readonly fetch: Fetch;
  /** Why the answer to a message broke off, if it did; told once. */
  failureOf(id: unknown): MillraceError | undefined;
}

/** Makes the client's `fetch`. Its errors are ours already. */
export function httpAnswers(rules: HttpRules): HttpAnswers {
  const { server, maxMessageBytes } = rules;
  const failures = new Map<unknown, MillraceError>();
  let latestKey: string | undefined;
  const quoting = (sent: readonly string[]): Redact =>
    redaction({ secrets: [...Object.values(rules.headers), ...(latestKey === undefined ? [] : [latestKey])], sent: () => sent });
  const redact = (text: string): string => quoting([])(text);

  const watched = (response: Response, id: unknown): Response => {
    if (response.body === null) return response;
    const isStream = /^\s*text\/event-stream\b/i.test(response.headers.get("content-type") ?? "");
    const watch = watchEvents();
    let failure: { readonly reason: unknown } | undefined;
    const fail = (reason: unknown): void => {
      failure = { reason };
      if (id !== undefined && reason instanceof MillraceError) failures.set(id, reason);
    };
    const body = answerBody(response, response.body, {
      service,
      redact,
      limit: response.ok ? (isStream ? Infinity : maxMessageBytes) : "error",
      received: () => {},
      ended: () => {},
      fail,
      failure: () => failure,
    });
    return guardedBody(response, body, {
      passed(bytes) {
        if (isStream) watch.push(bytes);
        if (watch.longestBytes > maxMessageBytes) throw new MillraceError("too_large", `${service}: ${server} sent a message of more than ${maxMessageBytes} bytes`, { service });
        return [bytes];
      },
      atEnd: () => {},
      fail,
    });
  };

  return {
    server,
    redact,
    async fetch(input, init = {}) {
      const headers = new Headers(init.headers);
      const isPost = init.method === "POST";
      // What a server says between calls nobody hears, so no connection is kept for it; an answer that broke off may be gone on with.
      if (init.method === "GET" && !headers.has("last-event-id")) return new Response(null, { status: 405 });
      const key = await rules.key?.get(init.signal ?? undefined);
      for (const [name, value] of Object.entries(rules.headers)) headers.set(name, value);
      if (key !== undefined) {
        latestKey = key;
        headers.set("authorization", `Bearer ${key}`);
      }
      headers.set("accept-encoding", "identity"); // decoded sizes are ours to count
      let response: Response;
      try {
        response = watched(await (rules.fetch ?? fetch)(input, { ...init, headers, redirect: "error" }), idIn(init.body));
      } catch (error) {
        throw networkError(service, `${server} cannot be reached`, error, redact);
      }
      if (response.ok || !isPost) return response;
      throw statusError(response, await response.text(), headers.has("mcp-session-id"), { server, redact: quoting(typeof init.body === "string" ? [init.body] : []) });
    },
    failureOf(id) {
      const failure = failures.get(id);
      failures.delete(id);
      return failure;
    },
  };
}

/** Which message it is: the client writes one a request. */
function idIn(body: unknown): unknown {
  return typeof body === "string" ? fieldOf(JSON.parse(body), "id") : undefined;
}

function statusError({ status, headers }: Response, body: string, inSession: boolean, { server, redact }: Reporting): MillraceError {
  const said = redact(body.trim());
  const isEnded = status === 404 && inSession; // a new one may be begun
  return new MillraceError(isEnded ? "unavailable" : codeOfStatus(status), `${service}: ${server} answered ${status}: ${isEnded ? "the session has ended" : said === "" ? "nothing" : said}`, {
    service,
    status,
    ...(status === 404 ? { scope: "dependency" } : {}), // the address came from configuration
    ...(status >= 300 && status <= 399 ? { retryable: false } : {}),
    ...retryHint({ headers }),
  });
}
