import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { amqpFault } from "../../src/wire/amqp-errors.ts";
import { hostile } from "./hostile.ts";

function meant(error: unknown): readonly [code: string, scope: string, retryable: boolean] | undefined {
  const fault = amqpFault(error);
  if (fault === undefined) return undefined;
  const made = new MillraceError(fault.code, "x", fault);
  return [made.code, made.scope, made.retryable];
}

const coded = (code: unknown, message = "Channel closed by server"): Error => Object.assign(new Error(message), { code });

describe("E4: a reply of an AMQP broker", () => {
  test.each([
    [311, "CONTENT_TOO_LARGE", "too_large", "part", false],
    [312, "NO_ROUTE", "no_route", "part", false],
    [403, "ACCESS_REFUSED", "unauthorized", "dependency", false],
    [404, "NOT_FOUND", "not_found", "dependency", false],
    [405, "RESOURCE_LOCKED", "conflict", "process", false],
    [406, "PRECONDITION_FAILED", "conflict", "process", false],
    [320, "CONNECTION_FORCED", "unavailable", "dependency", true],
    [506, "RESOURCE_ERROR", "unavailable", "dependency", true],
    [541, "INTERNAL_ERROR", "unavailable", "dependency", true],
    [501, "FRAME_ERROR", "bad_response", "delivery", true],
    [502, "SYNTAX_ERROR", "bad_response", "delivery", true],
    [503, "COMMAND_INVALID", "bad_response", "delivery", true],
    [504, "CHANNEL_ERROR", "bad_response", "delivery", true],
    [505, "UNEXPECTED_FRAME", "bad_response", "delivery", true],
    // beyond the table
    [530, "NOT_ALLOWED", "unauthorized", "dependency", false],
    [540, "NOT_IMPLEMENTED", "missing_config", "process", false],
  ] as const)("%i, %s: %s, scope %s, retryable %s", (code, name, ...meaning) => {
    expect(meant(coded(code))).toEqual(meaning); // amqplib
    expect(meant(coded(name))).toEqual(meaning); // rabbitmq-client
    expect(meant(new Error(`Handshake terminated by server: ${code} (${name.replace("_", "-")}) with message "no"`))).toEqual(meaning);
    expect(meant({ fields: { replyCode: code, replyText: name }, content: new Uint8Array() })).toEqual(meaning); // a message that came back
    expect(meant({ replyCode: code, replyText: name })).toEqual(meaning);
  });

  test("a virtual host that is not there, or not for this user, is unauthorized, though amqplib keeps no number of it", () => {
    expect(meant(new Error('Expected ConnectionOpenOk; got <ConnectionClose channel:0 replyCode:"530">'))).toEqual(["unauthorized", "dependency", false]);
    expect(meant(new Error("Expected ChannelOpenOk; got <ChannelClose channel:1>"))).toBeUndefined();
  });

  test("a publish that was not confirmed is unavailable", () => {
    expect(meant(new Error("message nacked"))).toEqual(["unavailable", "dependency", true]);
    expect(meant(coded("NACK", "message rejected by server"))).toEqual(["unavailable", "dependency", true]);
  });

  test.each([300, 313, 402, 407, 500, 507, 599])("%i has no row, and is not sent again", (code) => expect(meant(coded(code))).toEqual(["bad_response", "delivery", false]));

  test.each([200, 0, -1, 299, 600, 1e9])("%i is no reply code of a failure", (code) => expect(meant(coded(code))).toBeUndefined());
});

describe("an error of the client", () => {
  test.each([
    "channel closed",
    "Channel closed",
    "Channel closing",
    "Channel ended, no reply will be forthcoming",
    "Connection closing",
    "Connection closed (by client)",
    "Connection closed (Error: Unexpected close)",
    "Unexpected close",
    "Heartbeat timeout",
    "Socket closed abruptly during opening handshake",
    "connect ETIMEDOUT",
  ])("%s: unavailable", (message) => expect(meant(new Error(message))).toEqual(["unavailable", "dependency", true]));

  test.each([
    ["CH_CLOSE", "unavailable"],
    ["CONN_CLOSE", "unavailable"],
    ["READ_END", "unavailable"],
    ["TIMEOUT", "unavailable"],
    ["CONNECTION_TIMEOUT", "unavailable"],
    ["SOCKET_TIMEOUT", "unavailable"],
    ["CANCEL_FORCED", "not_found"],
    ["CODEC", "bad_response"],
    ["VERSION_MISMATCH", "missing_config"],
    ["CLOSED", "closed"],
    ["CLOSING", "closed"],
  ])("%s: %s", (code, ours) => expect(meant(coded(code, "x"))?.[0]).toBe(ours));

  test("a connection that failed is what the network says", () => {
    expect(meant(coded("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:5672"))).toEqual(["unavailable", "dependency", true]);
    expect(meant(coded("ENOTFOUND", "getaddrinfo ENOTFOUND mq.invalid"))).toEqual(["unavailable", "dependency", false]);
    expect(meant(coded("DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate"))).toEqual(["unavailable", "dependency", false]);
  });

  test.each(["Unknown consumer: x", "my channel closed a deal", "Handshake terminated by server: soon", "No channels left to allocate"])("%s is handed on as it is", (message) => {
    expect(meant(new Error(message))).toBeUndefined();
  });
});

test.each(hostile)("%s is no fault of AMQP", (_, value) => expect(amqpFault(value)).toBeUndefined());
