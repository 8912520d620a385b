import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { natsFault } from "../../src/wire/nats-errors.ts";
import { hostile } from "./hostile.ts";

function meant(error: unknown): readonly [code: string, scope: string, retryable: boolean] | undefined {
  const fault = natsFault(error);
  if (fault === undefined) return undefined;
  const made = new MillraceError(fault.code, "x", fault);
  return [made.code, made.scope, made.retryable];
}

/** As the client makes them: told apart by a name on the object. */
function named(name: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? {} : { cause }), { name });
}

/** As the client has what JetStream answered. */
function answered(code: number): Error {
  return Object.assign(named("JetStreamApiError", "said in words"), { code, status: 400 });
}

describe("an answer of JetStream", () => {
  test.each([
    [10_003, "invalid_input", "process", false],
    [10_008, "unavailable", "dependency", true],
    [10_014, "not_found", "dependency", false],
    [10_037, "not_found", "delivery", false],
    [10_039, "missing_config", "process", false],
    [10_047, "unavailable", "dependency", true],
    [10_054, "too_large", "part", false],
    [10_058, "conflict", "process", false],
    [10_059, "not_found", "dependency", false],
    [10_060, "conflict", "process", false],
    [10_065, "conflict", "process", false],
    [10_071, "conflict", "delivery", false],
    [10_076, "missing_config", "process", false],
    [10_077, "unavailable", "dependency", true],
    [10_099, "conflict", "process", false],
    [10_109, "refused", "dependency", false],
    [10_118, "unavailable", "dependency", true],
    [10_148, "conflict", "process", false],
    [10_999, "bad_response", "delivery", false],
  ] as const)("%d", (code, ...meaning) => {
    expect(meant(answered(code))).toEqual(meaning);
  });
});

describe("an error of the client", () => {
  const noResponders = named("NoResponders", "no responders: '$JS.API.INFO'");
  test.each([
    [named("AuthorizationError", "Authorization Violation"), "unauthorized", "dependency", false],
    [named("PermissionViolationError", "Permissions Violation for Publish to x"), "unauthorized", "dependency", false],
    [named("ClosedConnectionError", "closed connection"), "closed", "process", false],
    [named("DrainingConnectionError", "connection draining"), "closed", "process", false],
    [named("ConnectionError", "connection refused"), "unavailable", "dependency", true],
    [named("TimeoutError", "timeout"), "timeout", "delivery", true],
    [named("RequestError", "no responders", noResponders), "unavailable", "dependency", true],
    [named("JetStreamNotEnabled", "jetstream is not enabled", named("RequestError", "x", noResponders)), "unavailable", "dependency", true],
    [named("JetStreamNotEnabled", "not for this account", answered(10_039)), "missing_config", "process", false],
    [named("RequestError", "timeout", named("TimeoutError", "timeout")), "timeout", "delivery", true],
    [named("RequestError", "connection closed"), "unavailable", "dependency", true],
    [named("ProtocolError", "Maximum Payload Violation"), "too_large", "part", false],
    [named("InvalidArgumentError", "'payload' max_payload size exceeded"), "too_large", "part", false],
    [named("InvalidArgumentError", "'tls' is not available on this server"), "missing_config", "process", false],
    [named("ProtocolError", "maximum connections exceeded"), "unavailable", "dependency", true],
    [named("ProtocolError", "Unknown Protocol Operation"), "bad_response", "delivery", true],
    [Object.assign(named("JetStreamStatusError", "exceeded maxwaiting"), { code: 409 }), "unavailable", "dependency", true],
    [Object.assign(new Error("getaddrinfo ENOTFOUND h"), { code: "ENOTFOUND" }), "unavailable", "dependency", false],
    [named("ConnectionError", "x", Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" })), "unavailable", "dependency", false],
  ] as const)("%s", (error, ...meaning) => {
    expect(meant(error)).toEqual(meaning);
  });

  test("of somebody else's is none of NATS, and a hostile one does no harm", () => {
    for (const error of [new TypeError("x is not a function"), { code: 7 }, ...hostile.map(([, value]) => value)]) expect(meant(error)).toBeUndefined();
    const ring = named("Error", "x");
    Object.assign(ring, { cause: ring });
    expect(meant(ring)).toBeUndefined();
  });
});
