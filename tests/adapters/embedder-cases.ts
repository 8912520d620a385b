/** What every embedder behind HTTP does: the contract of the kind, limits, order, faults, leaving. */
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Embedder } from "../../src/kinds/embedder.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { embedderContract } from "../../src/testing/contracts/embedder.ts";
import { mockEmbedder } from "../../src/testing/mock-embedder.ts";
import { htmlAnswer, jsonAnswer, redirectAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireRequest, type WireServer, wireServer } from "./checked-server.ts";
import { key } from "./openai/support.ts";

/** Options that every embedder has. */
export interface EmbedderCaseOptions {
  readonly dimensions?: number;
  readonly concurrency?: number;
  readonly firstPartMs?: number;
  readonly clock?: Clock;
}

/** An embedder and what its service speaks. */
export interface EmbedderCase {
  readonly name: string;
  readonly service: string;
  readonly maxInputs: number;
  embedder(url: string, options?: EmbedderCaseOptions): Embedder;
  /** The answer with these vectors. */
  answer(vectors: readonly unknown[]): unknown;
  refusal(status: number, message: string, headers?: Readonly<Record<string, string>>): WireAnswer;
  /** What a request looks like for these texts. */
  request(texts: readonly string[], options: { readonly dimensions?: number }): { readonly path: string; readonly body: object; readonly headers: object };
}

const secretText = "the secret ingredient of grandmother's soup";

export function embedderCases(subject: EmbedderCase): void {
  const { service } = subject;
  const backend = mockEmbedder();
  const textsOf = (request: WireRequest): string[] => (request.json() as { readonly input: string[] }).input;
  const embeds = async (request: WireRequest): Promise<WireAnswer> => jsonAnswer(subject.answer((await backend.embed(textsOf(request))).map((vector) => [...vector])));

  embedderContract({ describe, it }, {
    name: subject.name,
    dimensions: undefined,
    meaningless: "the service behind it is made up",
    manyTexts: subject.maxInputs + 100,
    async open() {
      const server = await wireServer({ answer: embeds });
      const embedder = subject.embedder(server.url);
      const close = async (): Promise<void> => {
        await embedder.close();
        await server.close();
      };
      return { ...embedder, close, [Symbol.asyncDispose]: close };
    },
  });

  describe(subject.name, () => {
    let server: WireServer;
    beforeEach(async () => {
      server = await wireServer();
    });
    afterEach(() => server.close());

    const failure = async (promise: Promise<unknown>): Promise<unknown> => {
      const error: unknown = await promise.then(
        () => expect.unreachable("nothing failed"),
        (caught: unknown) => caught,
      );
      for (const shown of [String(error), inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error)]) {
        expect(shown).not.toContain(key);
        expect(shown).not.toContain(secretText);
      }
      return error;
    };

    test("asks once, and gives the vectors as they came", async () => {
      server.script(jsonAnswer(subject.answer([[1, 0.5], [0, -1]])));
      const vectors = await subject.embedder(server.url, { dimensions: 2 }).embed(["a", "b"]);
      expect(vectors).toEqual([Float32Array.of(1, 0.5), Float32Array.of(0, -1)]);
      const expected = subject.request(["a", "b"], { dimensions: 2 });
      expect(server.requests.length).toBe(1);
      expect(server.requests[0]).toMatchObject({ method: "POST", path: expected.path, headers: expected.headers });
      expect(server.requests[0]?.json()).toEqual(expected.body);
    });

    test("sends no more texts or characters at once than fit, and keeps the order although later requests are answered first", async () => {
      const texts = Array.from({ length: subject.maxInputs * 2 + 1 }, (_, index) => `t${index}`);
      const held = Promise.withResolvers<void>();
      server.script(async (request) => {
        await held.promise;
        return embeds(request);
      }, embeds, async (request) => {
        held.resolve();
        return embeds(request);
      });
      const vectors = await subject.embedder(server.url, { concurrency: 2 }).embed(texts);
      expect(vectors).toEqual((await backend.embed(texts)).map((vector) => Float32Array.from(vector)));
      expect(server.requests.map((request) => textsOf(request).length).sort((a, b) => a - b)).toEqual([1, subject.maxInputs, subject.maxInputs]);
      server.script(embeds, embeds);
      await subject.embedder(server.url, { concurrency: 1 }).embed(["x".repeat(150_000), "y".repeat(100_000), "z"]);
      expect(server.requests.slice(3).map((request) => textsOf(request).length)).toEqual([1, 2]);
    });

    test("an empty text is invalid_input before any request, also where others fill one", async () => {
      expect(await failure(subject.embedder(server.url).embed(["a", ""]))).toMatchObject({ code: "invalid_input", message: expect.stringContaining("text 1") as string });
      expect(server.connections).toBe(0);
    });

    const faults: readonly (readonly [name: string, answer: WireAnswer, code: ErrorCode, more?: object])[] = [
      ["fewer vectors than texts", jsonAnswer(subject.answer([[1, 2]])), "bad_response"],
      ["more vectors than texts", jsonAnswer(subject.answer([[1], [2], [3]])), "bad_response"],
      ["vectors of two lengths", jsonAnswer(subject.answer([[1, 2], [1]])), "bad_response"],
      ["a vector of nothing", jsonAnswer(subject.answer([[], []])), "bad_response"],
      ["a vector with a hole", jsonAnswer(subject.answer([[1, null], [1, 2]])), "bad_response"],
      ["a vector with a text in it", jsonAnswer(subject.answer([[1, 2], [1, "2"]])), "bad_response"],
      ["what is no vector", jsonAnswer(subject.answer([7, null])), "bad_response"],
      ["no JSON", { headers: { "content-type": "application/json" }, frames: ['{"da'] }, "bad_response"],
      ["a page", htmlAnswer(), "bad_response"],
      ["a body cut short", { ...jsonAnswer(subject.answer([[1], [2]])), fault: { kind: "short", after: 0 } }, "unavailable"],
      ["an error with a 200", { ...subject.refusal(200, "server busy") }, "unavailable"],
      ["401 that echoes key and text", subject.refusal(401, `bad key ${key} for ${secretText}`), "unauthorized", { status: 401 }],
      ["404", subject.refusal(404, 'model "m" not found'), "not_found"],
      ["429", subject.refusal(429, "slow down", { "retry-after": "2" }), "rate_limited", { retryAfterMs: 2_000 }],
      ["500", subject.refusal(500, "boom"), "unavailable", { status: 500, retryable: true }],
      ["a broken connection", { fault: { kind: "cut", after: "nothing" } }, "unavailable"],
    ];
    for (const [name, answer, code, more] of faults) {
      test(`${name} is an error, after one request`, async () => {
        server.script(answer);
        expect(await failure(subject.embedder(server.url).embed([secretText, "b"]))).toMatchObject({ code, service, ...more });
        expect(server.requests.length).toBe(1);
      });
    }

    test("vectors of another length than asked for are a bad answer", async () => {
      server.script(jsonAnswer(subject.answer([[1, 2, 3]])));
      expect(await failure(subject.embedder(server.url, { dimensions: 2 }).embed(["a"]))).toMatchObject({ code: "bad_response", message: expect.stringContaining("3 numbers where 2") as string });
    });

    test("a redirect to another origin is not followed", async () => {
      await using other = await wireServer({ answer: embeds });
      server.script(redirectAnswer(`${other.url}/`));
      expect(await failure(subject.embedder(server.url).embed([secretText]))).toMatchObject({ code: "bad_response", retryable: false });
      expect(other.connections).toBe(0);
    });

    test("no answer within firstPartMs is a timeout, and the connection closes", async () => {
      const clock = fakeClock();
      server.script({ fault: { kind: "stall", after: "nothing" } });
      const arrives = server.nextRequest();
      const pending = failure(subject.embedder(server.url, { clock, firstPartMs: 5_000 }).embed(["a"]));
      const request = await arrives;
      await clock.advance(4_900);
      expect(request.isClosed).toBe(false);
      await clock.advance(200);
      expect(await pending).toMatchObject({ code: "timeout", phase: "firstPart" });
      await request.closed;
      expect(clock.pending).toBe(0);
    });

    test("an abort rejects with the reason itself, and closes every connection", async () => {
      const silent: WireAnswer = { fault: { kind: "stall", after: "nothing" } };
      server.script(silent, silent);
      const arrive = Promise.all([server.nextRequest(1), server.nextRequest(2)]);
      const controller = new AbortController();
      const reason = { why: "enough" };
      const pending = failure(subject.embedder(server.url, { concurrency: 2 }).embed(["x".repeat(150_000), "y".repeat(150_000)], { signal: controller.signal }));
      const requests = await arrive;
      controller.abort(reason);
      expect(await pending).toBe(reason);
      await Promise.all(requests.map((request) => request.closed));
    });

    test("the first failure ends the other requests", async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.script({ fault: { kind: "stall", after: "nothing" } }, async () => {
        await promise;
        return subject.refusal(500, "boom");
      });
      const first = server.nextRequest(1);
      const both = server.nextRequest(2);
      const pending = failure(subject.embedder(server.url, { concurrency: 2 }).embed(["x".repeat(150_000), "y".repeat(150_000)]));
      const stalled = await first;
      await both;
      resolve();
      expect(await pending).toMatchObject({ code: "unavailable", status: 500 });
      await stalled.closed;
    });

    test("closing ends what runs", async () => {
      server.script({ fault: { kind: "stall", after: "nothing" } });
      const embedder = subject.embedder(server.url);
      const arrives = server.nextRequest();
      const pending = failure(embedder.embed(["a"]));
      const request = await arrives;
      await Promise.all([embedder.close(), embedder.close()]);
      expect(await pending).toMatchObject({ code: "closed" });
      await request.closed;
    });

    test.each([
      ["dimensions", 0, "invalid_input"],
      ["concurrency", 1.5, "invalid_input"],
      ["firstPartMs", Number.NaN, "missing_config"],
    ] as const)("a bad %s is refused when the embedder is built", (name, value, code) => {
      expect(() => subject.embedder(server.url, { [name]: value })).toThrow(expect.objectContaining({ code, message: expect.stringContaining(name) as string }) as Error);
    });

    test("it shows no key", () => {
      expect(inspect(subject.embedder(server.url), { depth: 10, showHidden: true })).not.toContain(key);
    });
  });
}
