import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { grpcFault } from "../../src/wire/grpc-status.ts";
import { hostile } from "./hostile.ts";

/** As grpc-js keeps metadata. */
const metadata = (values: Readonly<Record<string, string | Uint8Array>>): unknown => ({ get: (name: string) => (values[name] === undefined ? [] : [values[name]]) });

describe("E4: a gRPC status", () => {
  test.each([
    [1, "CANCELLED", "unavailable", true],
    [2, "UNKNOWN", "unavailable", true],
    [3, "INVALID_ARGUMENT", "invalid_input", false],
    [4, "DEADLINE_EXCEEDED", "timeout", true],
    [5, "NOT_FOUND", "not_found", false],
    [6, "ALREADY_EXISTS", "conflict", false],
    [7, "PERMISSION_DENIED", "unauthorized", false],
    [8, "RESOURCE_EXHAUSTED", "rate_limited", true],
    [9, "FAILED_PRECONDITION", "conflict", false],
    [10, "ABORTED", "conflict", true],
    [11, "OUT_OF_RANGE", "invalid_input", false],
    [12, "UNIMPLEMENTED", "missing_config", false],
    [13, "INTERNAL", "unavailable", true],
    [14, "UNAVAILABLE", "unavailable", true],
    [15, "DATA_LOSS", "bad_response", true],
    [16, "UNAUTHENTICATED", "unauthorized", false],
  ] as const)("%i, %s, is %s, retryable %s", (code, word, ours, retryable) => {
    const fault = grpcFault(Object.assign(new Error(`${code} ${word}: no`), { code, details: "no" }));
    expect(fault).toBeDefined();
    const { code: meant = "closed", ...details } = fault ?? {};
    expect(new MillraceError(meant, "x", details)).toMatchObject({ code: ours, retryable });
  });

  test.each([17, 99, -1, 404])("%i is none that is known, and is not asked again", (code) => expect(grpcFault({ code })).toEqual({ code: "bad_response", retryable: false }));

  test("OK is no fault", () => expect(grpcFault({ code: 0, details: "" })).toBeUndefined());

  test.each([
    "Received message larger than max (4194305 vs 4194304)",
    "Received message larger than max (5000000 vs. 4194304)",
    "Sent message larger than max (5000000 vs. 4194304)",
    "Attempted to send message with a size larger than 4194304",
  ])("8 is about a size, not a rate: %s", (details) => {
    expect(grpcFault({ code: 8, details })).toEqual({ code: "too_large" });
    expect(grpcFault(Object.assign(new Error(`8 RESOURCE_EXHAUSTED: ${details}`), { code: 8 }))).toEqual({ code: "too_large" });
    expect(grpcFault({ code: 13, details })).toEqual({ code: "unavailable" });
  });
});

describe("R9: when to come again", () => {
  test.each([
    ["300", { retryAfterMs: 300 }],
    ["0", { retryAfterMs: 0 }],
    ["-1", { retryable: false }],
    ["soon", {}],
  ])("grpc-retry-pushback-ms: %s", (value, hint) => {
    expect(grpcFault({ code: 14, metadata: metadata({ "grpc-retry-pushback-ms": value }) })).toEqual({ code: "unavailable", ...hint });
  });

  test("what the server forbids is not retried, though its status says it may", () => {
    expect(grpcFault({ code: 10, metadata: metadata({ "grpc-retry-pushback-ms": "-1" }) })).toEqual({ code: "conflict", retryable: false });
  });

  test.each([
    ["as JSON", { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.4s" }, 34_400],
    ["decoded", { retryDelay: { seconds: 34, nanos: 400_000_000 } }, 34_400],
    ["decoded, of digits", { retryDelay: { seconds: "34", nanos: 400_000_000 } }, 34_400],
    ["decoded, of a 64 bit integer", { retryDelay: { seconds: { low: 34, high: 0, unsigned: false }, nanos: 0 } }, 34_000],
    ["less than a second", { retryDelay: { nanos: 250_000_000 } }, 250],
    ["whole seconds", { retryDelay: { seconds: 3 } }, 3_000],
  ])("RetryInfo, %s", (_, detail, retryAfterMs) => {
    expect(grpcFault({ code: 8, statusDetails: [{ violations: [] }, detail] })).toEqual({ code: "rate_limited", retryAfterMs });
  });

  test.each([
    { retryDelay: { seconds: -1 } },
    { retryDelay: { seconds: 1, nanos: -1 } },
    { retryDelay: { seconds: 1, nanos: 1e9 } },
    { retryDelay: { seconds: { low: 1, high: 1 } } },
    { retryDelay: { seconds: Number.NaN } },
    { retryDelay: { seconds: "1e3" } },
    { retryDelay: { seconds: 1e12 } },
    { retryDelay: null },
    { "@type": "google.rpc.QuotaFailure", retryDelay: "3s" },
  ])("%j is no hint", (detail) => expect(grpcFault({ code: 8, statusDetails: [detail] })).toEqual({ code: "rate_limited" }));

  test("metadata that throws, or is of bytes, says nothing", () => {
    const throwing = {
      get() {
        throw new Error("Metadata key contains illegal characters");
      },
    };
    expect(grpcFault({ code: 14, metadata: throwing })).toEqual({ code: "unavailable" });
    expect(grpcFault({ code: 14, metadata: metadata({ "grpc-retry-pushback-ms": new Uint8Array([51]) }) })).toEqual({ code: "unavailable" });
    expect(grpcFault({ code: 14, metadata: 7, statusDetails: "x" })).toEqual({ code: "unavailable" });
  });
});

test.each(hostile)("%s is no status", (_, value) => expect(grpcFault(value)).toBeUndefined());
test.each(["14", 14n, 1.5, Infinity, null])("a code that is %s is no status", (code) => expect(grpcFault({ code })).toBeUndefined());
