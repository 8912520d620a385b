import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RetryHint, retryHint } from "../../src/wire/retry-hint.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const inHeaders = (headers: Readonly<Record<string, string>>): RetryHint => retryHint({ headers: new Headers(headers), nowMs });
const inBody = (body: unknown): RetryHint => retryHint({ body, nowMs });
const info = (retryDelay: unknown, type = "type.googleapis.com/google.rpc.RetryInfo"): unknown => ({ error: { code: 429, details: [{ "@type": type, retryDelay }] } });

describe("R9: a header says how long", () => {
  test.each([
    ["retry-after-ms", "1500", 1_500],
    ["retry-after-ms", "0", 0],
    ["retry-after-ms", "12.5", 12.5],
    ["x-ms-retry-after-ms", "250", 250],
    ["retry-after", "2", 2_000],
    ["retry-after", "0", 0],
    ["retry-after", "1.5", 1_500],
    ["retry-after", " 7 ", 7_000],
    ["retry-after", "1000000000", 1_000_000_000_000],
    ["grpc-retry-pushback-ms", "300", 300],
  ] as const)("%s: %s", (name, value, ms) => expect(inHeaders({ [name]: value })).toEqual({ retryAfterMs: ms }));

  test.each(["-1", "-0.5", "NaN", "Infinity", "1e9", "0x10", "+5", "1,5", "1.", ".5", "soon", "5s", "1 2", "99999999999999999", ""])("%j is no hint", (value) => {
    for (const name of ["retry-after-ms", "x-ms-retry-after-ms", "retry-after"]) expect([name, inHeaders({ [name]: value })]).toEqual([name, {}]);
  });
});

describe("R9: a header says until when", () => {
  test.each([
    ["the form of mail", "Fri, 02 Jan 2026 03:04:35 GMT", 30_000],
    ["RFC 850", "Friday, 02-Jan-26 03:04:35 GMT", 30_000],
    ["asctime", "Fri Jan  2 03:04:35 2026", 30_000],
    ["asctime, two digits", "Sat Jan 10 03:04:05 2026", 8 * 86_400_000],
    ["ISO 8601", "2026-01-02T03:04:35Z", 30_000],
    ["ISO 8601 with a zone", "2026-01-02T04:04:35.500+01:00", 30_500],
    ["now", "Fri, 02 Jan 2026 03:04:05 GMT", 0],
    ["a second ago", "Fri, 02 Jan 2026 03:04:04 GMT", 0],
    ["a year long past, by RFC 850", "Sunday, 06-Nov-94 08:49:37 GMT", 0],
    ["long past, by asctime", "Sun Nov  6 08:49:37 1994", 0],
  ])("in %s", (_, value, ms) => expect(inHeaders({ "retry-after": value })).toEqual({ retryAfterMs: ms }));

  test.each([
    "tomorrow", "Fri, 2 Jan 2026 03:04:35 GMT", "Fri, 02 Jan 2026 03:04:35", "Fri, 02 Jan 2026 03:04:35 CET", "02 Jan 2026 03:04:35 GMT", "2026-01-02", "2026-01-02T03:04:35", "1/2/2026",
    "Fri, 02 Foo 2026 03:04:35 GMT", "Fri, 99 Jan 2026 03:04:35 GMT", "2026-13-02T03:04:35Z", `Fri, 02 Jan 2026 03:04:35 GMT${" ".repeat(50)}x`,
  ])("%j is none", (value) => expect(inHeaders({ "retry-after": value })).toEqual({}));

  test("by the answer's own clock, if it tells it", () => {
    const headers = { date: "Fri, 02 Jan 2026 05:00:00 GMT", "retry-after": "Fri, 02 Jan 2026 05:00:10 GMT" };
    expect(inHeaders(headers)).toEqual({ retryAfterMs: 10_000 });
    expect(inHeaders({ ...headers, date: "about five" })).toEqual({ retryAfterMs: Date.UTC(2026, 0, 2, 5, 0, 10) - nowMs });
  });

  test("by the machine's clock, where nothing else tells the time", () => {
    const hint = retryHint({ headers: new Headers({ "retry-after": new Date(Date.now() + 3_600_000).toUTCString() }) });
    expect(hint.retryAfterMs).toBeGreaterThan(3_500_000);
    expect(hint.retryAfterMs).toBeLessThanOrEqual(3_600_000);
  });
});

describe("R9: RetryInfo in a body", () => {
  test.each([
    ["34.4s", 34_400],
    ["0s", 0],
    ["3s", 3_000],
    ["0.000001s", 0],
  ])("%s", (delay, ms) => {
    expect(inBody(info(delay))).toEqual({ retryAfterMs: ms });
    expect(inBody([info(delay)])).toEqual({ retryAfterMs: ms });
    expect(inBody({ details: [{ "@type": "x" }, { "@type": "google.rpc.RetryInfo", retryDelay: delay }] })).toEqual({ retryAfterMs: ms });
  });

  test.each(["-1s", "34", "34ms", "1m", "s", "1e3s", "", 34, null, {}, ["3s"]])("%j is no delay", (delay) => expect(inBody(info(delay))).toEqual({}));

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["a text", "RetryInfo"],
    ["an empty list", []],
    ["another type", info("3s", "google.rpc.QuotaFailure")],
    ["details that are no list", { error: { details: { "@type": "google.rpc.RetryInfo", retryDelay: "3s" } } }],
    ["details of null", { error: { details: [null, 1, "x"] } }],
    ["fields that are not its own", Object.create({ error: { details: [{ "@type": "RetryInfo", retryDelay: "3s" }] } })],
    ["an error behind thousands of details", { error: { details: [...Array(5_000).fill({}), { "@type": "RetryInfo", retryDelay: "3s" }] } }],
  ])("%s is none", (_, body) => expect(inBody(body)).toEqual({}));
});

describe("R9: limits that are used up", () => {
  test.each([
    ["6m0s", 360_000],
    ["88ms", 88],
    ["1h2m3.5s", 3_723_500],
    ["1s", 1_000],
    ["0s", 0],
    ["2", 2_000],
    ["0.25", 250],
  ])("x-ratelimit-reset: %s", (reset, ms) => {
    for (const of of ["requests", "tokens"]) expect(inHeaders({ [`x-ratelimit-remaining-${of}`]: "0", [`x-ratelimit-reset-${of}`]: reset })).toEqual({ retryAfterMs: ms });
  });

  test.each(["-5s", "6m0", "s", "1d", "6 m", "NaN", "1e3s", "9".repeat(41)])("x-ratelimit-reset: %s is no hint", (reset) => {
    expect(inHeaders({ "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": reset })).toEqual({});
  });

  test.each(["requests", "tokens", "input-tokens", "output-tokens"])("anthropic-ratelimit-%s-reset says until when", (of) => {
    expect(inHeaders({ [`anthropic-ratelimit-${of}-remaining`]: "0", [`anthropic-ratelimit-${of}-reset`]: "2026-01-02T03:05:05Z" })).toEqual({ retryAfterMs: 60_000 });
  });

  test("only of the dimension that is at 0, and only where nothing else is said", () => {
    const both = { "x-ratelimit-remaining-requests": "4", "x-ratelimit-reset-requests": "10s", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s" };
    expect(inHeaders(both)).toEqual({ retryAfterMs: 2_000 });
    expect(inHeaders({ ...both, "x-ratelimit-remaining-tokens": "1" })).toEqual({});
    expect(inHeaders({ ...both, "retry-after": "1" })).toEqual({ retryAfterMs: 1_000 });
    expect(inHeaders({ ...both, "retry-after": "-1" })).toEqual({ retryAfterMs: 2_000 });
  });
});

test("R9: of several valid hints the largest counts", () => {
  expect(retryHint({ headers: new Headers({ "retry-after-ms": "500", "retry-after": "2", "grpc-retry-pushback-ms": "9" }), body: info("1s"), nowMs })).toEqual({ retryAfterMs: 2_000 });
  expect(retryHint({ headers: new Headers({ "retry-after-ms": "garbage", "retry-after": "-2" }), body: info("1s"), nowMs })).toEqual({ retryAfterMs: 1_000 });
});

describe("R9: whether to come again at all", () => {
  test.each([
    [{ "x-should-retry": "false" }, { retryable: false }],
    [{ "x-should-retry": "FALSE" }, { retryable: false }],
    [{ "x-should-retry": "true" }, { retryable: true }],
    [{ "x-should-retry": "maybe" }, {}],
    [{ "x-should-retry": "false", "retry-after": "1" }, { retryable: false, retryAfterMs: 1_000 }],
    [{ "grpc-retry-pushback-ms": "-1" }, { retryable: false }],
    [{ "grpc-retry-pushback-ms": "-1", "x-should-retry": "true" }, { retryable: false }],
    [{ "grpc-retry-pushback-ms": "never" }, {}],
    [{}, {}],
  ])("%j", (headers, hint) => expect(inHeaders({ ...headers })).toEqual(hint));
});

test("a hint is finite and not negative, whatever was sent (Q-fuzz)", () => {
  const value = fc.oneof(fc.string({ maxLength: 60 }), fc.stringMatching(/^[-+\d.eEhms: ,TZGM]{0,50}$/), fc.double().map(String), fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()));
  const names = ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "grpc-retry-pushback-ms", "date", "x-should-retry", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value), fc.jsonValue(), (headers, body) => {
      const { retryAfterMs = 0 } = retryHint({ headers: { get: (name) => headers[name] ?? null }, body, nowMs });
      expect(Number.isFinite(retryAfterMs) && retryAfterMs >= 0).toBe(true);
    }),
    { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 1_000) },
  );
});
