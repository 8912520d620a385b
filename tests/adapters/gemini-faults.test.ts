import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type ErrorCode, isMillraceError, type MillraceError } from "../../src/core/errors.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { htmlAnswer, jsonAnswer, redirectAnswer, sseAnswer, sseFrame } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireServer, wireServer } from "../../src/testing/wire-server.ts";
import { because, before, contextOf, errorAnswer, failing, frames, type GoogleError, inBand, input, key, model as modelAt, path, prompt, quotaPerDay, retryIn } from "./gemini/support.ts";

const deltas = ["Mince ", "the ", "garlic 👩‍🍳."];

interface Fault {
  readonly name: string;
  /** The answer, of which `after` frames are sound. */
  answer(frames: readonly string[], after: number): WireAnswer;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** Bun may drop what came right before the connection broke, and then no byte of the body was seen. */
  readonly codeOfNothing?: ErrorCode;
}

const isBun = "Bun" in globalThis;

/** An answer that does not end: whoever has seen enough of it must close the connection. */
const open = (frames: readonly string[]): WireAnswer => sseAnswer(frames, { fault: { kind: "stall", after: frames.length } });

const streamFaults: readonly Fault[] = [
  { name: "the connection breaks", answer: (frames, after) => sseAnswer(frames, { fault: { kind: "cut", after } }), code: "unavailable", retryable: true },
  { name: "the stream ends between events", answer: (frames, after) => sseAnswer(frames, { fault: { kind: "truncate", after } }), code: "truncated", retryable: true },
  { name: "the stream ends inside an event", answer: (frames, after) => sseAnswer(frames, { fault: { kind: "truncate", after, inside: true } }), code: "truncated", retryable: true },
  { name: "the body is shorter than announced", answer: (frames, after) => sseAnswer(frames, { fault: { kind: "short", after } }), code: "truncated", retryable: true, codeOfNothing: "unavailable" },
  {
    name: "an event reports that the server is overloaded",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ code: 503, status: "UNAVAILABLE", message: "try later" })]),
    code: "unavailable",
    retryable: true,
  },
  {
    name: "an event reports an error by name alone, which the client takes for an empty answer",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ status: "RESOURCE_EXHAUSTED", message: "slow down" }), ...frames.slice(after)]),
    code: "rate_limited",
    retryable: true,
  },
  {
    name: "an event is named error, which the client does not look at",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('{"message":"try later"}', "error"), ...frames.slice(after)]),
    code: "unavailable",
    retryable: true,
  },
  {
    name: "an event reports a rate limit",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ code: 429, status: "RESOURCE_EXHAUSTED", message: "slow down" })]),
    code: "rate_limited",
    retryable: true,
  },
  {
    name: "an event reports that the day's quota is spent",
    answer: (frames, after) => open([...frames.slice(0, after), inBand({ code: 429, status: "RESOURCE_EXHAUSTED", message: "pay first", details: [quotaPerDay, retryIn("12s")] })]),
    code: "rate_limited",
    retryable: false,
  },
  {
    name: "an event reports an error in an array",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('[{"error":{"code":500,"message":"oh","status":"INTERNAL"}}]')]),
    code: "unavailable",
    retryable: true,
  },
  {
    name: "an event holds broken JSON",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame('{"type":'), ...frames.slice(after)]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "an event is no object",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame("42"), ...frames.slice(after)]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "something follows the end marker in its own line",
    answer: (frames, after) => open([...frames.slice(0, after), sseFrame("[DONE]x")]),
    code: "bad_response",
    retryable: true,
  },
  {
    name: "an event has more than 65 MiB",
    answer: (frames, after) => open([...frames.slice(0, after), `data: "${"x".repeat(69_000_000)}"\n\n`]),
    code: "too_large",
    retryable: false,
  },
];

const status = (code: number, error: GoogleError = { message: "no" }, headers = {}): WireAnswer => errorAnswer(code, error, headers);

const answerFaults: readonly (readonly [name: string, answer: WireAnswer, code: ErrorCode, more?: Readonly<Record<string, unknown>>])[] = [
  ["400", status(400, { message: "no", status: "INVALID_ARGUMENT" }), "invalid_input", { status: 400, retryable: false }],
  ["400 of a key that is no good", status(400, { message: "no", status: "INVALID_ARGUMENT", details: [because("API_KEY_INVALID")] }), "unauthorized", { status: 400, scope: "dependency" }],
  ["401", status(401), "unauthorized", { status: 401, scope: "dependency" }],
  ["403", status(403, { message: "no", status: "PERMISSION_DENIED" }), "unauthorized"],
  ["403 of a service that is switched off", status(403, { message: "no", status: "PERMISSION_DENIED", details: [because("SERVICE_DISABLED")] }), "missing_config"],
  ["404, of a model that is not there", status(404, { message: "no such model", status: "NOT_FOUND" }), "not_found", { scope: "dependency" }],
  ["405, of a wrong base URL", status(405), "missing_config"],
  ["408", status(408), "timeout", { retryable: true }],
  ["409", status(409), "conflict"],
  ["413", status(413), "too_large"],
  ["429 with Retry-After", status(429, { message: "slow" }, { "retry-after": "1" }), "rate_limited", { retryAfterMs: 1_000, retryable: true }],
  ["429 with RetryInfo", status(429, { message: "slow", details: [retryIn("34.4s")] }), "rate_limited", { retryAfterMs: 34_400, retryable: true }],
  ["429 of a day's quota", status(429, { message: "pay", details: [quotaPerDay, retryIn("34s")] }), "rate_limited", { retryable: false }],
  ["429 of an account without billing", status(429, { message: "pay", details: [because("BILLING_DISABLED")] }), "rate_limited", { retryable: false }],
  ["499, of a call that the service gave up", status(499, { message: "gave up", status: "CANCELLED" }), "unavailable", { status: 499, retryable: true }],
  ["500", status(500), "unavailable", { status: 500, retryable: true }],
  ["503 that asks not to come again", status(503, { message: "no" }, { "x-should-retry": "false" }), "unavailable", { retryable: false }],
  ["504", status(504, { message: "late", status: "DEADLINE_EXCEEDED" }), "unavailable"],
  ["502 with a page", { ...htmlAnswer(), status: 502 }, "unavailable", { status: 502 }],
  ["503 with broken JSON", { status: 503, headers: { "content-type": "application/json" }, frames: ['{"error":'] }, "unavailable", { status: 503 }],
  ["429 in an array", jsonAnswer([{ error: { code: 429, message: "slow" } }], { status: 429 }), "rate_limited", { status: 429 }],
  ["200 with a page", htmlAnswer(), "bad_response", { status: 200 }],
  ["200 with a JSON error", jsonAnswer({ error: { code: 503, message: "overloaded", status: "UNAVAILABLE" } }), "unavailable", {}],
  ["200 with a JSON error in an array", jsonAnswer([{ error: { code: 429, message: "slow", details: [retryIn("2s")] } }]), "rate_limited", { retryAfterMs: 2_000 }],
  ["200 with other JSON", jsonAnswer({ hello: 1 }), "bad_response", {}],
  ["200 without a content type", { frames: ["data: {}\n\n"] }, "bad_response", {}],
  ["200 without a body", sseAnswer([]), "truncated", { retryable: true }],
  ["a double content encoding", sseAnswer([], { headers: { "content-encoding": "gzip, gzip" } }), "too_large", {}],
  ["a broken connection before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", { retryable: true }],
  ["what is not HTTP", { fault: { kind: "garbage" } }, "bad_response", {}],
];

let server: WireServer;
const printed: unknown[][] = [];
beforeEach(async () => {
  server = await wireServer();
  for (const level of ["log", "warn", "error", "info", "debug"] as const) vi.spyOn(console, level).mockImplementation((...values) => void printed.push(values));
});
afterEach(async () => {
  await server.close();
  vi.restoreAllMocks();
  expect(printed.splice(0)).toEqual([]); // nothing of it all goes to the console
});

/** Everything that an error shows to anybody who looks. */
function shown(error: unknown): string {
  return [String(error), error instanceof Error ? error.stack : "", JSON.stringify(error), inspect(error, { depth: 10, showHidden: true })].join("\n");
}

function isFault(error: unknown): MillraceError {
  expect(isMillraceError(error)).toBe(true);
  const text = shown(error);
  expect(text).not.toContain(key);
  expect(text).not.toContain(prompt.slice(5, 40));
  return error as MillraceError;
}

describe("gemini: what fails before the first content has its own code", () => {
  for (const fault of streamFaults) {
    test(fault.name, async () => {
      server.script(fault.answer(frames(deltas), before));
      const { parts, error } = await failing(modelAt(server.url)(input(prompt)));
      expect(parts).toEqual([]);
      expect([fault.code, isBun ? fault.codeOfNothing : undefined]).toContain(isFault(error).code);
      expect(error).toMatchObject({ retryable: fault.retryable, service: "gemini" });
      expect(server.requests.length).toBe(1);
      if (!fault.name.startsWith("the stream ends")) await server.requests[0]?.closed;
    });
  }
  for (const [name, answer, code, more] of answerFaults) {
    test(name, async () => {
      server.script(answer);
      const { parts, error } = await failing(modelAt(server.url)(input(prompt)));
      expect(parts).toEqual([]);
      expect(isFault(error)).toMatchObject({ code, service: "gemini", ...more });
      expect(server.requests.length).toBe(1);
    });
  }

  test("a server that is not there", async () => {
    const { url } = server;
    await server.close();
    expect(isFault((await failing(modelAt(url)(input(prompt)))).error)).toMatchObject({ code: "unavailable", retryable: true });
    server = await wireServer();
  });

  for (const redirect of [301, 302, 303, 307, 308]) {
    test(`a redirect with ${redirect} to another origin, which hears nothing`, async () => {
      await using other = await wireServer({ answer: sseAnswer(frames(deltas)) });
      server.script(redirectAnswer(`${other.url}${path}`, redirect));
      const { error } = await failing(modelAt(server.url)(input(prompt)));
      expect(isFault(error)).toMatchObject({ code: "bad_response", retryable: false });
      expect(other.connections).toBe(0);
    });
  }

  test("an echo of key and prompt is not quoted", async () => {
    server.script(status(401, { message: `Incorrect API key provided: ${key}. You asked: ${prompt} Bye.` }));
    const { error } = await failing(modelAt(server.url)(input(prompt)));
    expect(isFault(error).message).toMatch(/answered 401: Incorrect API key provided: ….*Bye\.$/);
  });

  test("a message of a megabyte is cut", async () => {
    server.script(status(400, { message: "no. ".repeat(10_000) }));
    const { error } = await failing(modelAt(server.url)(input(prompt)));
    expect(isFault(error).message.length).toBeLessThan(700);
  });
});

describe("gemini: what fails afterwards is interrupted, with the fault as cause and what was delivered", () => {
  for (const fault of streamFaults) {
    test(fault.name, async () => {
      server.script(fault.answer(frames(deltas), before + 2));
      const { parts, error } = await failing(modelAt(server.url)(input(prompt)));
      expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual(deltas.slice(0, 2));
      expect(isFault(error)).toMatchObject({ code: "interrupted", retryable: false, partial: { parts: 2, text: "Mince the ", usage: { partial: true } } });
      expect(isFault((error as MillraceError).cause)).toMatchObject({ code: fault.code, retryable: fault.retryable });
      expect(server.requests.length).toBe(1);
    });
  }

  test("nothing that an error shows holds what the model had said, but for `partial`, which is not enumerable", async () => {
    server.script(sseAnswer(frames(["a very long and very private answer", "!"]), { fault: { kind: "cut", after: before + 1 } }));
    const { error } = await failing(modelAt(server.url)(input(prompt)));
    expect(JSON.stringify(error)).not.toContain("private");
    expect(String(error)).not.toContain("private");
  });
});

describe("gemini: clocks", () => {
  /** A fetch that says when the headers came. */
  const watched = (): { readonly fetch: typeof fetch; readonly headers: Promise<void> } => {
    const { promise, resolve } = Promise.withResolvers<void>();
    return {
      headers: promise,
      fetch: async (...args) => {
        const response = await fetch(...args);
        setImmediate(resolve);
        return response;
      },
    };
  };

  test("no headers within connectMs", async () => {
    const clock = fakeClock();
    server.script({ fault: { kind: "stall", after: "nothing" } });
    const arrives = server.nextRequest();
    const pending = failing(modelAt(server.url, { clock, connectMs: 5_000 })(input(prompt)));
    const request = await arrives;
    await clock.advance(4_900);
    expect(request.isClosed).toBe(false);
    await clock.advance(200);
    expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: "connect", retryable: true });
    await request.closed;
    expect(clock.pending).toBe(0);
  });

  test("no content within firstPartMs, pings or not", async () => {
    const clock = fakeClock();
    const seen = watched();
    server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before } }));
    const arrives = server.nextRequest();
    const pending = failing(modelAt(server.url, { clock, firstPartMs: 60_000, fetch: seen.fetch })(input(prompt)));
    const request = await arrives;
    await seen.headers;
    for (let at = 0; at < 5; at += 1) {
      await clock.advance(11_000);
      await request.send(": ping\n\n");
    }
    expect(request.isClosed).toBe(false);
    await clock.advance(6_000);
    expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: "firstPart" });
    await request.closed;
  });

  test.each([
    ["a model that may think", {}, 300_000],
    ["one that may not", { thinking: false as const }, 60_000],
  ])("the first content of %s is awaited for as long as that takes", async (_, options, ms) => {
    const clock = fakeClock();
    const seen = watched();
    server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before } }));
    const arrives = server.nextRequest();
    const pending = failing(modelAt(server.url, { clock, fetch: seen.fetch, ...options })(input(prompt)));
    const request = await arrives;
    await seen.headers;
    await clock.advance(ms - 100);
    expect(request.isClosed).toBe(false);
    await clock.advance(200);
    expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: "firstPart" });
  });

  test("no bytes for idleMs, once content has come", async () => {
    const clock = fakeClock();
    server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 1 } }));
    const parts = modelAt(server.url, { clock, idleMs: 1_000 })(input(prompt))[Symbol.asyncIterator]();
    expect(await parts.next()).toMatchObject({ value: { text: "Mince " } });
    const next = parts.next().catch((error: unknown) => error);
    await clock.advance(900);
    expect(server.requests[0]?.isClosed).toBe(false);
    await clock.advance(200);
    const error = isFault(await next);
    expect(error).toMatchObject({ code: "interrupted", partial: { parts: 1 } });
    expect(isFault(error.cause)).toMatchObject({ code: "timeout", phase: "idle" });
    await server.requests[0]?.closed;
    expect(clock.pending).toBe(0);
  });

  test("pings keep an answer alive for four times idleMs and no longer", async () => {
    const clock = fakeClock();
    const seen: string[] = [];
    const spied: typeof fetch = async (...args) => {
      const response = await fetch(...args);
      const counted = response.body?.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, controller) {
          seen.push("bytes");
          controller.enqueue(bytes);
        },
      }));
      return new Response(counted ?? null, response);
    };
    server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 1 } }));
    const parts = modelAt(server.url, { clock, idleMs: 1_000, fetch: spied })(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    const next = parts.next().catch((error: unknown) => error);
    for (let at = 0; at < 4; at += 1) {
      await clock.advance(900);
      expect(server.requests[0]?.isClosed).toBe(false);
      const before = seen.length;
      await server.requests[0]?.send(": ping\n\n");
      await vi.waitFor(() => expect(seen.length).toBeGreaterThan(before), { timeout: 20_000 });
    }
    await clock.advance(500);
    expect(isFault(isFault(await next).cause)).toMatchObject({ code: "timeout", phase: "idle", message: expect.stringContaining("4000 ms") as string });
  });

  test("a slow consumer is not a slow provider", async () => {
    const clock = fakeClock();
    server.script(sseAnswer(frames(deltas)));
    const parts = modelAt(server.url, { clock, idleMs: 1_000, firstPartMs: 2_000 })(input(prompt));
    const texts: string[] = [];
    for await (const part of parts) {
      if (part.kind === "text") texts.push(part.text);
      await clock.advance(60_000);
    }
    expect(texts).toEqual(deltas);
  });

  test("a stalled error body does not hide the status for ever", async () => {
    const clock = fakeClock();
    const seen = watched();
    server.script({ status: 503, headers: { "content-type": "application/json" }, frames: ['{"error":', "}"], fault: { kind: "stall", after: 1 } });
    const pending = failing(modelAt(server.url, { clock, firstPartMs: 2_000, fetch: seen.fetch })(input(prompt)));
    await seen.headers;
    await clock.advance(2_100);
    expect(isFault((await pending).error)).toMatchObject({ code: "timeout" });
  });
});

describe("gemini: leaving", () => {
  test("a signal that has aborted opens no connection", async () => {
    const reason = { why: "enough" };
    const { error } = await failing(modelAt(server.url)(input(prompt), contextOf(AbortSignal.abort(reason))));
    expect(error).toBe(reason);
    expect(server.connections).toBe(0);
  });

  for (const [when, answer] of [
    ["before the headers", (): WireAnswer => ({ fault: { kind: "stall", after: "nothing" } })],
    ["before the first content", () => sseAnswer(frames(deltas), { fault: { kind: "stall", after: before } })],
    ["between parts", () => sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 2 } })],
    ["inside an event", () => sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 1, inside: true } })],
  ] as const) {
    test(`abort ${when} rejects with the signal's own reason, and the server sees the connection close`, async () => {
      server.script(answer());
      const controller = new AbortController();
      const reason = { why: "enough" };
      const arrives = server.nextRequest();
      const pending = failing(modelAt(server.url)(input(prompt), contextOf(controller.signal)));
      const request = await arrives;
      await request.answered;
      controller.abort(reason);
      expect((await pending).error).toBe(reason);
      await request.closed;
    });
  }

  test("abort while a part is in the consumer's hands", async () => {
    server.script(sseAnswer(frames(deltas)));
    const controller = new AbortController();
    const reason = new Error("enough");
    const parts = modelAt(server.url)(input(prompt), contextOf(controller.signal))[Symbol.asyncIterator]();
    await parts.next();
    controller.abort(reason);
    await expect(parts.next()).rejects.toBe(reason);
    await expect(parts.next()).resolves.toMatchObject({ done: true });
  });

  test("abort during the reading of the input", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let closed = 0;
    const source = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: async () => ({ done: true as const, value: void (closed += 1) }) }) };
    const pending = failing(modelAt(server.url)(source, contextOf(controller.signal)));
    await Promise.resolve();
    controller.abort(reason);
    expect((await pending).error).toBe(reason);
    expect(closed).toBe(1);
    expect(server.connections).toBe(0);
  });

  for (const count of [1, 2]) {
    test(`break after ${count} parts closes the connection`, async () => {
      server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 2 } }));
      let seen = 0;
      for await (const _ of modelAt(server.url)(input(prompt))) if (++seen === count) break;
      await server.requests[0]?.closed;
    });
  }

  test("a turn leaves no listener on the caller's signal", async () => {
    const controller = new AbortController();
    const add = vi.spyOn(controller.signal, "addEventListener");
    const remove = vi.spyOn(controller.signal, "removeEventListener");
    for (let at = 0; at < 3; at += 1) {
      server.script(sseAnswer(frames(deltas)));
      for await (const _ of modelAt(server.url)(input(prompt), contextOf(controller.signal)));
    }
    expect(add.mock.calls.length).toBeGreaterThan(0);
    expect(remove.mock.calls.length).toBe(add.mock.calls.length);
  });
});

describe("gemini: closing", () => {
  test("close during use ends the turn with closed, and the connection", async () => {
    server.script(sseAnswer(frames(deltas), { fault: { kind: "stall", after: before + 1 } }));
    const model = modelAt(server.url);
    const parts = model(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    const next = parts.next().catch((error: unknown) => error);
    await Promise.all([model.close(), model.close()]);
    expect(isFault(await next)).toMatchObject({ code: "closed" });
    await server.requests[0]?.closed;
    await model.close();
  });

  test("a closed model asks nothing", async () => {
    const model = modelAt(server.url);
    await model[Symbol.asyncDispose]();
    expect(isFault((await failing(model(input(prompt)))).error)).toMatchObject({ code: "closed", retryable: false });
    expect(server.connections).toBe(0);
  });

  test("the model shows no key", () => {
    const model = modelAt(server.url, { headers: { "x-team": "secret-team-token" } });
    for (const text of [inspect(model, { depth: 10, showHidden: true }), JSON.stringify(model) ?? "", String(model)]) {
      expect(text).not.toContain(key);
      expect(text).not.toContain("secret-team-token");
    }
  });
});
