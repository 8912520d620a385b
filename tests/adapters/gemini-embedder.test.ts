import { inspect } from "node:util";
import type { ContentEmbedding } from "@google/genai";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { geminiEmbedder, type GeminiEmbedderOptions } from "../../src/adapters/gemini/index.ts";
import { type ErrorCode, isMillraceError } from "../../src/core/errors.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { htmlAnswer, jsonAnswer, redirectAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireRequest, type WireServer, wireServer } from "./checked-server.ts";
import { errorAnswer, key, prompt, retryIn } from "./gemini/support.ts";

interface Sent {
  readonly requests: readonly {
    readonly model: string;
    readonly content: { readonly parts: readonly { readonly text: string }[] };
    readonly outputDimensionality?: number;
    readonly taskType?: string;
  }[];
}

const sentIn = (request: WireRequest | undefined): Sent["requests"] => (request?.json() as Sent | undefined)?.requests ?? [];
const textsIn = (request: WireRequest | undefined): string[] => sentIn(request).map(({ content }) => content.parts.map(({ text }) => text).join("|"));
/** A vector that tells its text: its length, and 1. */
const vectorOf = (text: string): ContentEmbedding => ({ values: [text.length, 1] }) satisfies ContentEmbedding;
const vectors = (request: WireRequest): WireAnswer => jsonAnswer({ embeddings: textsIn(request).map(vectorOf) });

let server: WireServer;
beforeEach(async () => {
  server = await wireServer({ answer: vectors });
});
afterEach(() => server.close());

const embedder = (options: Partial<GeminiEmbedderOptions> = {}) => geminiEmbedder({ model: "gemini-embedding-test", baseUrl: server.url, apiKey: key, ...options });
const failure = async (promise: Promise<unknown>): Promise<unknown> => promise.then(() => expect.unreachable("it did not fail"), (error: unknown) => error);

describe("what is asked", () => {
  test("one content a text, a hundred in a request, four requests at once, and the order of the texts", async () => {
    const texts = Array.from({ length: 950 }, (_, index) => "x".repeat(1 + (index % 90)));
    const gates: (() => void)[] = [];
    // the first three wait for the fourth, and are answered in the other order
    const waits = async (request: WireRequest): Promise<WireAnswer> => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return vectors(request);
    };
    let waiting = 0;
    const opens = (request: WireRequest): WireAnswer => {
      waiting = gates.length;
      for (const open of gates.toReversed()) open();
      return vectors(request);
    };
    server.script(waits, waits, waits, opens);
    const answer = await embedder().embed(texts);
    expect(answer.map((vector) => vector[0])).toEqual(texts.map((text) => text.length));
    expect(server.requests.map((request) => textsIn(request).length).sort((a, b) => b - a)).toEqual([100, 100, 100, 100, 100, 100, 100, 100, 100, 50]);
    expect(waiting).toBe(3);
    expect(server.requests[0]).toMatchObject({ path: "/v1/models/gemini-embedding-test:batchEmbedContents", headers: { "x-goog-api-key": key } });
  });

  test("models of which the client would make one content of all texts get one content each", async () => {
    expect((await embedder({ model: "gemini-embedding-2" }).embed(["a", "bb"])).map((vector) => vector[0])).toEqual([1, 2]);
    expect(textsIn(server.requests[0])).toEqual(["a", "bb"]);
  });

  test("dimensions and task, and vectors of length 1 where the service has shortened them", async () => {
    const [vector] = await embedder({ dimensions: 2, taskType: "RETRIEVAL_QUERY" }).embed(["xyz"]);
    expect(sentIn(server.requests[0])).toMatchObject([{ outputDimensionality: 2, taskType: "RETRIEVAL_QUERY", model: "models/gemini-embedding-test" }]);
    expect([...(vector ?? [])].map((value) => value.toFixed(4))).toEqual(["0.9487", "0.3162"]);
    await embedder().embed(["xyz"]);
    expect(Object.keys(sentIn(server.requests[1])[0] ?? {}).sort()).toEqual(["content", "model"]);
  });

  test("Vertex AI: one text a request for Gemini's models, many for the others", async () => {
    const instances = (request: WireRequest): { readonly content: string }[] => (request.json() as { instances: { content: string }[] }).instances;
    const predicted = (request: WireRequest): WireAnswer => jsonAnswer({ predictions: instances(request).map(({ content }) => ({ embeddings: vectorOf(content) })) });
    server.script(predicted, predicted, predicted);
    expect((await embedder({ vertex: {}, model: "gemini-embedding-001", concurrency: 1 }).embed(["a", "bb"])).map((vector) => vector[0])).toEqual([1, 2]);
    expect((await embedder({ vertex: {}, model: "text-embedding-005" }).embed(["a", "bb"])).map((vector) => vector[0])).toEqual([1, 2]);
    expect(server.requests.map((request) => instances(request).length)).toEqual([1, 1, 2]);
    const embedded = (request: WireRequest): WireAnswer => jsonAnswer({ embedding: vectorOf((request.json() as { content: { parts: { text: string }[] } }).content.parts[0]?.text ?? "") });
    server.script(embedded, embedded);
    expect((await embedder({ vertex: {}, model: "gemini-embedding-2" }).embed(["a", "bb"])).map((vector) => vector[0])).toEqual([1, 2]);
  });

  test.each([["an empty text", ["a", ""]], ["what is no text", ["a", 5 as unknown as string]]])("%s is invalid_input, before any request", async (_, texts) => {
    expect(await failure(embedder().embed(texts))).toMatchObject({ code: "invalid_input", message: expect.stringContaining("text 1") as string });
    expect(server.connections).toBe(0);
  });
});

describe("what goes wrong", () => {
  const answers: [name: string, answer: WireAnswer, code: ErrorCode, more: object][] = [
    ["fewer vectors than texts", jsonAnswer({ embeddings: [{ values: [1, 2] }] }), "bad_response", {}],
    ["no vectors", jsonAnswer({}), "bad_response", {}],
    ["vectors of several lengths", jsonAnswer({ embeddings: [{ values: [1, 2] }, { values: [1] }] }), "bad_response", {}],
    ["numbers that are none", jsonAnswer({ embeddings: [{ values: [1, null] }, { values: [1, 2] }] }), "bad_response", {}],
    ["an empty vector", jsonAnswer({ embeddings: [{ values: [] }, { values: [] }] }), "bad_response", {}],
    ["an error with status 200", jsonAnswer({ error: { code: 503, message: "busy", status: "UNAVAILABLE" } }), "unavailable", {}],
    ["429", errorAnswer(429, { message: "slow", details: [retryIn("7s")] }), "rate_limited", { retryAfterMs: 7_000, status: 429 }],
    ["429 with Retry-After", errorAnswer(429, { message: "slow" }, { "retry-after": "2" }), "rate_limited", { retryAfterMs: 2_000 }],
    ["401 that quotes the key and the text", errorAnswer(401, { message: `bad key ${key} for ${prompt}` }), "unauthorized", {}],
    ["404", errorAnswer(404, { message: "no such model" }), "not_found", { scope: "dependency" }],
    ["500", errorAnswer(500, { message: "oh" }), "unavailable", { retryable: true }],
    ["a page", htmlAnswer(), "bad_response", {}],
    ["broken JSON", { headers: { "content-type": "application/json" }, frames: ['{"embeddings":[{"val'] }, "bad_response", {}],
    ["a redirect", redirectAnswer("http://127.0.0.1:9/"), "bad_response", { retryable: false }],
    ["a connection that breaks before the headers", { fault: { kind: "cut", after: "nothing" } }, "unavailable", {}],
    ["a connection that breaks in the body", { ...jsonAnswer({ embeddings: [] }), frames: ['{"embeddings":', "[]}"], fault: { kind: "cut", after: 1 } }, "unavailable", {}],
  ];
  test.each(answers)("%s", async (_, answer, code, more) => {
    server.script(answer);
    const error = await failure(embedder().embed([prompt, "b"]));
    expect(error).toMatchObject({ code, service: "gemini", ...more });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(new RegExp(`${key}|grandmother`));
    expect(server.requests.length).toBe(1);
  });

  test("vectors of another length than was asked for", async () => {
    expect(await failure(embedder({ dimensions: 3 }).embed(["a"]))).toMatchObject({ code: "bad_response", message: expect.stringContaining("2 numbers where 3") as string });
  });

  test("the first failure ends the other requests, and nothing more is asked", async () => {
    const stalled: WireAnswer = { fault: { kind: "stall", after: "nothing" } };
    server.script(stalled, stalled, stalled, errorAnswer(500, { message: "oh" }));
    expect(await failure(embedder({ batchSize: 1 }).embed(Array.from({ length: 20 }, () => "a")))).toMatchObject({ code: "unavailable" });
    await Promise.all(server.requests.slice(0, 3).map(({ closed }) => closed));
    expect(server.requests.length).toBe(4);
  });

  test("an answer that does not come is timeout, and its connection closed", async () => {
    const clock = fakeClock();
    const arrives = server.nextRequest();
    server.script({ fault: { kind: "stall", after: "nothing" } });
    const pending = failure(embedder({ clock, firstPartMs: 5_000 }).embed(["a"]));
    const request = await arrives;
    await clock.advance(5_100);
    expect(await pending).toMatchObject({ code: "timeout", retryable: true });
    await request.closed;
    expect(clock.pending).toBe(0);
  });

  test("abort rejects with the signal's own reason, and closes the connection", async () => {
    const controller = new AbortController();
    const reason = { why: "enough" };
    const arrives = server.nextRequest();
    server.script({ fault: { kind: "stall", after: "nothing" } });
    const pending = failure(embedder().embed(["a"], { signal: controller.signal }));
    const request = await arrives;
    controller.abort(reason);
    expect(await pending).toBe(reason);
    await request.closed;
  });

  test("close ends what runs with closed, and its connection", async () => {
    const arrives = server.nextRequest();
    server.script({ fault: { kind: "stall", after: "nothing" } });
    const it = embedder();
    const pending = failure(it.embed(["a"]));
    const request = await arrives;
    await Promise.all([it.close(), it.close()]);
    expect(isMillraceError(await pending, "closed")).toBe(true);
    await request.closed;
    expect(inspect(it, { depth: 10, showHidden: true })).not.toContain(key);
  });
});

test.each([
  ["model", { model: "../x" }],
  ["dimensions", { dimensions: 0 }],
  ["taskType", { taskType: "" }],
  ["batchSize", { batchSize: 0 }],
  ["concurrency", { concurrency: 1.5 }],
  ["baseUrl", { baseUrl: "http://example.com" }],
])("a bad option is refused when the embedder is built: %s", (name, options) => {
  expect(() => embedder(options)).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(name) as string }) as Error);
  expect(() => embedder({ firstPartMs: 0 })).toThrow(expect.objectContaining({ code: "missing_config" }) as Error);
});
