/**
 * The answer as Gemini's client gets to see it: no error, as the client keeps no headers on those, and takes some for empty answers.
 *
 * @module
 */
import type { Fetch } from "../answer.ts";
import type { Exchange } from "../exchange.ts";
import { sentJson } from "../sent-json.ts";
import { bodyError, type Reporting, statusError } from "./errors.ts";

/** A `fetch` for one request. */
export interface GuardedAnswer {
  readonly fetch: Fetch;
  /** How errors of its answer are reported: without the token that was sent. */
  readonly reporting: Reporting;
}

/** Guards the answer to one request of the exchange; events go by, JSON is looked at. */
export function guardedAnswer(exchange: Exchange, accept: "text/event-stream" | "application/json", reported: Reporting): GuardedAnswer {
  let reporting = reported;
  return {
    get reporting() {
      return reporting;
    },
    async fetch(input, init) {
      reporting = withoutToken(reported, init);
      const response = await exchange.fetch(input, init);
      if (!response.ok) throw statusError(response.status, await response.text(), response.headers, reporting);
      if (accept === "text/event-stream") return response;
      const text = await response.text();
      const error = bodyError(sentJson(text, reporting), reporting);
      if (error !== undefined) throw error;
      const { status, statusText, headers } = response;
      return new Response(text, { status, statusText, headers });
    },
  };
}

/** Tokens are the client's affair, and known only by what it sends. */
function withoutToken(reporting: Reporting, init: RequestInit | undefined): Reporting {
  const token = new Headers(init?.headers).get("authorization")?.replace(/^Bearer +/i, "") ?? "";
  return token === "" ? reporting : { ...reporting, redact: (text) => reporting.redact(text.replaceAll(token, "…")) };
}
