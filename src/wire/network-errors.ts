/**
 * What a failed connection means, whichever runtime reports it.
 *
 * Node hides a code in `cause`, Bun has codes of its own in one word, Deno says it in the message alone.
 *
 * @module
 */
import { MillraceError, type TimeoutPhase } from "../core/errors.ts";
import { fieldOf, textOf } from "./error-fields.ts";
import { quotedError, type Redact } from "./redact.ts";

/** A failure of the network, told apart. */
export interface NetworkFault {
  readonly code: "unavailable" | "timeout" | "bad_response" | "truncated";
  readonly retryable: boolean;
  readonly phase?: TimeoutPhase;
  /** The runtime's own code or a word for it. */
  readonly word: string;
}

type Rule = readonly [pattern: RegExp, fault: Omit<NetworkFault, "word">];

const passing: Omit<NetworkFault, "word"> = { code: "unavailable", retryable: true };
/** A name that is not there and a certificate that is no good do not get better by asking again. */
const lasting: Omit<NetworkFault, "word"> = { code: "unavailable", retryable: false };
/** The connection ended as it should, the answer had not: a part of its announced length or its last chunk is missing. */
const short: Omit<NetworkFault, "word"> = { code: "truncated", retryable: true };

const byCode: readonly Rule[] = [
  [/^(?:UnexpectedRedirect|ERR_FR_TOO_MANY_REDIRECTS)$/, { code: "bad_response", retryable: false }],
  [/^(?:UND_ERR_RES_CONTENT_LENGTH_MISMATCH|HPE_INVALID_EOF_STATE)$/, short],
  [/^(?:HPE_|Malformed_HTTP_Response|InvalidHTTPResponse)/, { code: "bad_response", retryable: true }],
  [/^UND_ERR_HEADERS_TIMEOUT$/, { code: "timeout", retryable: true, phase: "connect" }],
  [/^UND_ERR_BODY_TIMEOUT$/, { code: "timeout", retryable: true, phase: "idle" }],
  [/^(?:ENOTFOUND|DNSResolveFailed|DNS_ENOTFOUND)$/, lasting],
  [/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_|^ERR_(?:SSL|TLS)|^EPROTO$|CRL_|HOSTNAME_MISMATCH/, lasting],
  [/^(?:ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOTCONN)$/, passing],
  [/^(?:UND_ERR_|ERR_HTTP2_|ERR_STREAM_PREMATURE_CLOSE|REFUSED_STREAM|GOAWAY|NGHTTP2_)/, passing],
  [/^(?:ConnectionRefused|ConnectionClosed|ConnectionReset|FailedToOpenSocket|Timeout|ERR_SOCKET_CLOSED)$/, passing],
];

const byMessage: readonly Rule[] = [
  [/redirect/i, { code: "bad_response", retryable: false }],
  [/certificate|self.signed|tls handshake|UnknownIssuer/i, lasting],
  [/dns error|failed to lookup|getaddrinfo ENOTFOUND/i, lasting],
  [/body length does not match content-length|Invalid EOF state/i, short], // the second has no code from Node 24 on
  [/invalid HTTP|does not match the HTTP|Malformed_HTTP|http (?:parse|version)|parse error/i, { code: "bad_response", retryable: true }],
  [/connection (?:refused|reset|closed|aborted|error)|broken pipe|unable to connect|socket (?:connection was closed|hang up)/i, passing],
  [/error (?:sending request|reading a body)|^terminated$|^fetch failed$|other side closed|body stream|premature close|network/i, passing],
];

/** Links of `cause` that are followed. */
const maxDepth = 8;
/** Errors that are looked at: an error may gather thousands, or itself. */
const maxErrors = 100;

/** What kind of network failure it is; undefined for an error that is none. */
export function networkFault(error: unknown): NetworkFault | undefined {
  const errors = [...chain(error)];
  // Codes first, the innermost last seen: "fetch failed" around ECONNREFUSED says nothing.
  for (const inner of errors.toReversed()) {
    const code = textOf(inner, "code");
    if (code === undefined) continue;
    for (const [pattern, fault] of byCode) if (pattern.test(code)) return { ...fault, word: code.slice(0, 60) };
  }
  for (const inner of errors.toReversed()) {
    for (const [pattern, fault] of byMessage) {
      const match = pattern.exec(textOf(inner, "message") ?? "");
      if (match !== null) return { ...fault, word: match[0].toLowerCase() };
    }
  }
  return undefined;
}

/** The error with its causes and what it gathers, outermost first. */
function chain(error: unknown, depth = 0, found = new Set<Error>()): ReadonlySet<Error> {
  if (!(error instanceof Error) || depth === maxDepth || found.size === maxErrors || found.has(error)) return found;
  found.add(error);
  const gathered = fieldOf(error, "errors");
  if (error instanceof AggregateError && Array.isArray(gathered)) for (const inner of gathered.slice(0, maxErrors)) chain(inner, depth + 1, found);
  chain(fieldOf(error, "cause"), depth + 1, found);
  return found;
}

/** The error of ours for a connection that failed; what `fetch` rejects with and is not known counts as passing. */
export function networkError(service: string, what: string, error: unknown, redact: Redact): MillraceError {
  const fault = networkFault(error) ?? { ...passing, word: error instanceof Error ? error.name : typeof error };
  return new MillraceError(fault.code, `${service}: ${saidOf(fault) ?? what} (${fault.word})`, {
    service,
    retryable: fault.retryable,
    ...(fault.phase === undefined ? {} : { phase: fault.phase }),
    cause: quotedError(error, redact),
  });
}

function saidOf({ code, retryable }: NetworkFault): string | undefined {
  if (code === "truncated") return "the answer is shorter than it said";
  if (code !== "bad_response") return undefined;
  return retryable ? "the answer is not HTTP" : "the server redirects, which is not followed";
}
