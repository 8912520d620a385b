import { describe, expect, test } from "vitest";
import { networkError, networkFault } from "../../src/wire/network-errors.ts";

const withCode = (code: unknown, message = "failed"): Error => Object.assign(new Error(message), { code });
const passing = { code: "unavailable", retryable: true };
const lasting = { code: "unavailable", retryable: false };

describe("E4: a code of the runtime", () => {
  test.each([
    "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "ENOTCONN",
    "UND_ERR_SOCKET", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_CLOSED", "UND_ERR_DESTROYED",
    "REFUSED_STREAM", "GOAWAY", "NGHTTP2_REFUSED_STREAM", "ERR_HTTP2_STREAM_ERROR", "ERR_HTTP2_GOAWAY_SESSION", "ERR_STREAM_PREMATURE_CLOSE",
    "ConnectionRefused", "ConnectionClosed", "ConnectionReset", "FailedToOpenSocket", "Timeout", "ERR_SOCKET_CLOSED",
  ])("%s passes", (code) => expect(networkFault(withCode(code))).toEqual({ ...passing, word: code }));

  test.each([
    "ENOTFOUND", "DNSResolveFailed", "DNS_ENOTFOUND",
    "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID", "CERT_UNTRUSTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "ERR_TLS_CERT_ALTNAME_INVALID", "ERR_SSL_WRONG_VERSION_NUMBER", "EPROTO", "CRL_HAS_EXPIRED", "HOSTNAME_MISMATCH",
  ])("%s does not get better by asking again", (code) => expect(networkFault(withCode(code))).toEqual({ ...lasting, word: code }));

  test.each([
    ["UND_ERR_HEADERS_TIMEOUT", { code: "timeout", retryable: true, phase: "connect" }],
    ["UND_ERR_BODY_TIMEOUT", { code: "timeout", retryable: true, phase: "idle" }],
    ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", { code: "truncated", retryable: true }],
    ["HPE_INVALID_EOF_STATE", { code: "truncated", retryable: true }],
    ["HPE_INVALID_CONSTANT", { code: "bad_response", retryable: true }],
    ["Malformed_HTTP_Response", { code: "bad_response", retryable: true }],
    ["InvalidHTTPResponse", { code: "bad_response", retryable: true }],
    ["UnexpectedRedirect", { code: "bad_response", retryable: false }],
    ["ERR_FR_TOO_MANY_REDIRECTS", { code: "bad_response", retryable: false }],
  ])("%s is told apart", (code, fault) => expect(networkFault(withCode(code))).toEqual({ ...fault, word: code }));
});

describe("where there is no code, the text of", () => {
  test.each([
    ["Node", "fetch failed", passing],
    ["Node", "terminated", passing],
    ["Node", "other side closed", passing],
    ["Node", "socket hang up", passing],
    ["Node", "getaddrinfo ENOTFOUND nowhere.invalid", lasting],
    ["Node", "Response body length does not match content-length header", { code: "truncated", retryable: true }],
    ["Node 24", "Response does not match the HTTP/1.1 protocol (Invalid EOF state)", { code: "truncated", retryable: true }],
    ["Node", "Response does not match the HTTP/1.1 protocol (Invalid character in chunk size)", { code: "bad_response", retryable: true }],
    ["Node", "unexpected redirect", { code: "bad_response", retryable: false }],
    ["Bun", "Unable to connect. Is the computer able to access the url?", passing],
    ["Bun", "The socket connection was closed unexpectedly.", passing],
    ["Deno", "error sending request for url (http://127.0.0.1:1/)", passing],
    ["Deno", "error reading a body from connection", passing],
    ["Deno", "client error (Connect): tcp connect error: Connection refused (os error 111)", passing],
    ["Deno", "connection reset by peer", passing],
    ["Deno", "Broken pipe (os error 32)", passing],
    ["Deno", "client error (Connect): dns error: failed to lookup address information", lasting],
    ["Deno", "invalid peer certificate: UnknownIssuer", lasting],
    ["Deno", "invalid HTTP version parsed", { code: "bad_response", retryable: true }],
  ])("%s tells: %s", (_, message, fault) => expect(networkFault(new TypeError(message))).toMatchObject(fault));
});

describe("of an error that holds others", () => {
  test("the innermost code counts, whatever is around it", () => {
    const error = new TypeError("fetch failed", { cause: new Error("x", { cause: withCode("ECONNREFUSED") }) });
    expect(networkFault(error)).toEqual({ ...passing, word: "ECONNREFUSED" });
    expect(networkFault(new TypeError("fetch failed", { cause: withCode("ENOTFOUND") }))).toEqual({ ...lasting, word: "ENOTFOUND" });
  });

  test("a code counts before a text, wherever they are", () => {
    expect(networkFault(withCode("ENOTFOUND", "fetch failed"))?.retryable).toBe(false);
    expect(networkFault(new Error("dns error", { cause: withCode("ECONNRESET") }))?.retryable).toBe(true);
  });

  test("each that it gathers is looked at: both addresses of a host may refuse", () => {
    expect(networkFault(new AggregateError([new Error("x"), withCode("ECONNREFUSED")], ""))).toEqual({ ...passing, word: "ECONNREFUSED" });
  });

  test("causes are followed a few links, not for ever", () => {
    const nested = (links: number): Error => (links === 0 ? withCode("ECONNRESET") : new Error("x", { cause: nested(links - 1) }));
    expect(networkFault(nested(7))).toBeDefined();
    expect(networkFault(nested(8))).toBeUndefined();
  });

  test("one that holds itself, ten times over, is looked at once", () => {
    const error = new AggregateError([], "round");
    error.errors = Array.from({ length: 10 }, () => error);
    let reads = 0;
    Object.defineProperty(error, "cause", { get: () => ((reads += 1), error) });
    expect(networkFault(error)).toBeUndefined();
    expect(reads).toBe(1);
  });

  test("of thousands, some are looked at", () => {
    let reads = 0;
    const many = Array.from({ length: 5_000 }, () => Object.defineProperty(new Error("x"), "code", { get: () => (reads += 1) }));
    expect(networkFault(new AggregateError(many, "x"))).toBeUndefined();
    expect(reads).toBeLessThanOrEqual(100);
  });
});

describe("what is none of the network's", () => {
  test.each([
    ["null", null],
    ["undefined", undefined],
    ["a text", "ECONNRESET"],
    ["a number", 7],
    ["an object that is no error", { code: "ECONNRESET" }],
    ["a bug", new TypeError("x is not a function")],
    ["a code of another kind", withCode("ENOENT")],
    ["a code that is no text", withCode(111)],
    ["the name of what every object has", withCode("constructor")],
    ["a code that only begins like one", withCode("ECONNRESETS")],
    ["fields that throw", throwing("code", "cause", "message")],
    ["an abort", new DOMException("This operation was aborted", "AbortError")],
  ])("%s is no fault", (_, error) => expect(networkFault(error)).toBeUndefined());

  test("a code of any length is cut for the message", () => expect(networkFault(withCode(`NGHTTP2_${"X".repeat(1_000)}`))?.word.length).toBe(60));
});

describe("as an error of ours", () => {
  const plain = (text: string): string => text;

  test("it says who and what, keeps the phase, and quotes the cause redacted", () => {
    const error = networkError("s3", "the connection failed", withCode("UND_ERR_HEADERS_TIMEOUT", "key k-123"), (text) => text.replace("k-123", "…"));
    expect(error).toMatchObject({ code: "timeout", retryable: true, phase: "connect", service: "s3", message: "s3: the connection failed (UND_ERR_HEADERS_TIMEOUT)" });
    expect(error.cause).toMatchObject({ message: "key …", code: "UND_ERR_HEADERS_TIMEOUT" });
  });

  test("an answer that is shorter than it said is told from a connection that broke", () => {
    const cause = withCode("UND_ERR_RES_CONTENT_LENGTH_MISMATCH");
    expect(networkError("x", "the connection broke", new TypeError("terminated", { cause }), plain)).toMatchObject({ code: "truncated", retryable: true, scope: "delivery", message: "x: the answer is shorter than it said (UND_ERR_RES_CONTENT_LENGTH_MISMATCH)" });
  });

  test("a redirect and what is not HTTP are said as such", () => {
    expect(networkError("x", "lost", withCode("UnexpectedRedirect"), plain)).toMatchObject({ code: "bad_response", retryable: false, message: "x: the server redirects, which is not followed (UnexpectedRedirect)" });
    expect(networkError("x", "lost", withCode("HPE_INVALID"), plain)).toMatchObject({ code: "bad_response", retryable: true, message: "x: the answer is not HTTP (HPE_INVALID)" });
  });

  test("what is not known counts as passing, by its name", () => {
    expect(networkError("x", "lost", new RangeError("odd"), plain)).toMatchObject({ ...passing, message: "x: lost (RangeError)" });
    expect(networkError("x", "lost", null, plain)).toMatchObject({ ...passing, message: "x: lost (object)" });
  });

  test("fields that throw keep no error from being told", () => {
    expect(networkError("x", "lost", throwing("code", "cause", "message", "status", "type"), plain)).toMatchObject({ ...passing, message: "x: lost (Error)" });
  });
});

function throwing(...fields: readonly string[]): Error {
  const error = new Error("x");
  for (const field of fields) {
    Object.defineProperty(error, field, {
      get() {
        throw new Error("a trap");
      },
    });
  }
  return error;
}
