/** What every model does when its service fails, whatever the service speaks: the rows of the fault matrix, over real sockets. */
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { type ErrorCode, isMillraceError, type MillraceError } from "../../src/core/errors.ts";
import type { Model } from "../../src/kinds/model.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import type { WireVoice } from "../../src/testing/voices/voice.ts";
import { redirectAnswer } from "../../src/testing/wire-answers.ts";
import { type FaultExpectation, wireFaults } from "../../src/testing/wire-faults.ts";
import { type WireAnswer, type WireServer, wireServer } from "./checked-server.ts";
import { contextOf, failing, input, prompt } from "./openai/support.ts";

const deltas = ["Mince ", "the ", "garlic 👩‍🍳."];

/** Options that every model has. */
export interface FaultyOptions {
  readonly clock?: Clock;
  readonly connectMs?: number;
  readonly firstPartMs?: number;
  readonly idleMs?: number;
  readonly fetch?: typeof fetch;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An API of a model, as its service speaks it. */
export interface FaultyApi {
  readonly name: string;
  readonly service: string;
  /** The key that its models are made with, which must turn up nowhere. */
  readonly apiKey: string;
  readonly path: string;
  model(url: string, options?: FaultyOptions): Model;
  readonly voice: WireVoice;
  /** The clock that rules until the headers come. */
  readonly connectPhase: "connect" | "firstPart";
  /** How long the first content is awaited, in milliseconds, where options decide that. */
  readonly waits?: readonly (readonly [name: string, model: FaultyApi["model"], ms: number])[];
}

/** What goes wrong within a stream. */
export interface StreamFault {
  readonly name: string;
  /** The answer, of which `after` frames are sound. */
  answer(frames: readonly string[], after: number): WireAnswer;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** Bun may drop what came right before the connection broke, and then no byte of the body was seen. */
  readonly codeOfNothing?: ErrorCode;
}

/** What comes instead of a stream. */
export type AnswerFault = readonly [name: string, answer: WireAnswer, code: ErrorCode, more?: Readonly<Record<string, unknown>>];

const isBun = "Bun" in globalThis;

type Told = Extract<FaultExpectation, { readonly shows: "error" }>;

/** The cases of the kit that fail by themselves before the first content, with what tells of them. */
const told = wireFaults.flatMap((fault) => (fault.when === "before content" && fault.expects.shows === "error" && fault.expects.code !== "timeout" ? [{ ...fault, expects: fault.expects }] : []));
const strikesLater = (name: string): boolean => wireFaults.some((fault) => fault.name === name && fault.when === "after content");

/** What breaks whatever the service speaks: the kit's cases, and one that not every runtime tells in the same way. */
const brokenStreams = (voice: WireVoice): StreamFault[] => [
  ...told.filter(({ name }) => strikesLater(name)).map(({ name, answer, expects }) => ({ name, answer: (frames: readonly string[], after: number) => answer(voice, { frames, after, elsewhere: "" }), ...codeOf(expects) })),
  { name: "the body is shorter than announced", answer: (frames, after) => voice.answer(frames, { fault: { kind: "short", after } }), code: "truncated", retryable: true, codeOfNothing: "unavailable" },
];
const codeOf = ({ code, retryable }: Told): Pick<StreamFault, "code" | "retryable"> => ({ code, retryable });

/** What the kit has instead of a stream, but for the redirect, which needs a place to lead to. */
const commonAnswers = (voice: WireVoice): AnswerFault[] =>
  told.filter(({ name }) => !strikesLater(name) && !name.includes("redirect")).map(({ name, answer, expects: { shows: _, code, ...more } }) => [name, answer(voice, { frames: [], after: 0, elsewhere: "" }), code, more]);

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

function faultOf(error: unknown, apiKey: string): MillraceError {
  if (!isMillraceError(error)) throw new Error(`no error of ours: ${shown(error)}`);
  const text = shown(error);
  expect(text).not.toContain(apiKey);
  expect(text).not.toContain(prompt.slice(5, 40));
  return error;
}

/** Every row of the fault matrix, before and after the first content; clocks, leaving, closing. */
export function modelFaults(api: FaultyApi, ownStreamFaults: readonly StreamFault[], ownAnswerFaults: readonly AnswerFault[]): void {
  const { voice } = api;
  const streamFaults = [...brokenStreams(voice), ...ownStreamFaults];
  const answerFaults = [...commonAnswers(voice), ...ownAnswerFaults];
  const isFault = (error: unknown): MillraceError => faultOf(error, api.apiKey);

  describe(`${api.name}: what fails before the first content has its own code`, () => {
    for (const fault of streamFaults) {
      test(fault.name, async () => {
        const answer = fault.answer(voice.frames(deltas), voice.framesBefore);
        server.script(answer);
        const { parts, error } = await failing(api.model(server.url)(input(prompt)));
        expect(parts).toEqual([]);
        expect([fault.code, isBun ? fault.codeOfNothing : undefined]).toContain(isFault(error).code);
        expect(error).toMatchObject({ retryable: fault.retryable, service: api.service });
        expect(server.requests.length).toBe(1);
        if (answer.fault !== undefined && answer.fault.kind !== "truncate") await server.requests[0]?.closed;
      });
    }
    for (const [name, answer, code, more] of answerFaults) {
      test(name, async () => {
        server.script(answer);
        const { parts, error } = await failing(api.model(server.url)(input(prompt)));
        expect(parts).toEqual([]);
        expect(isFault(error)).toMatchObject({ code, service: api.service, ...more });
        expect(server.requests.length).toBe(1);
      });
    }

    test("a server that is not there", async () => {
      const { url } = server;
      await server.close();
      expect(isFault((await failing(api.model(url)(input(prompt)))).error)).toMatchObject({ code: "unavailable", retryable: true });
      server = await wireServer();
    });

    for (const redirect of [301, 302, 303, 307, 308]) {
      test(`a redirect with ${redirect} to another origin, which hears nothing`, async () => {
        await using other = await wireServer({ answer: voice.answer(voice.frames(deltas)) });
        server.script(redirectAnswer(`${other.url}${api.path}`, redirect));
        const { error } = await failing(api.model(server.url)(input(prompt)));
        expect(isFault(error)).toMatchObject({ code: "bad_response", retryable: false });
        expect(other.connections).toBe(0);
      });
    }

    test("an echo of key and prompt is not quoted", async () => {
      server.script(voice.refusal(401, `Incorrect API key provided: ${api.apiKey}. You asked: ${prompt} Bye.`));
      const { error } = await failing(api.model(server.url)(input(prompt)));
      expect(isFault(error).message).toMatch(/answered 401(?: \(request req_1\))?: Incorrect API key provided: ….*Bye\.$/);
    });

    test("a message of a megabyte is cut", async () => {
      server.script(voice.refusal(400, "no. ".repeat(10_000)));
      const { error } = await failing(api.model(server.url)(input(prompt)));
      expect(isFault(error).message.length).toBeLessThan(700);
    });
  });

  describe(`${api.name}: what fails afterwards is interrupted, with the fault as cause and what was delivered`, () => {
    for (const fault of streamFaults) {
      test(fault.name, async () => {
        server.script(fault.answer(voice.frames(deltas), voice.framesBefore + 2));
        const { parts, error } = await failing(api.model(server.url)(input(prompt)));
        expect(parts.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual(deltas.slice(0, 2));
        expect(isFault(error)).toMatchObject({ code: "interrupted", retryable: false, partial: { parts: 2, text: "Mince the ", usage: { partial: true } } });
        expect(isFault((error as MillraceError).cause)).toMatchObject({ code: fault.code, retryable: fault.retryable });
        expect(server.requests.length).toBe(1);
      });
    }

    test("nothing that an error shows holds what the model had said, but for `partial`, which is not enumerable", async () => {
      server.script(voice.answer(voice.frames(["a very long and very private answer", "!"]), { fault: { kind: "cut", after: voice.framesBefore + 1 } }));
      const { error } = await failing(api.model(server.url)(input(prompt)));
      expect(JSON.stringify(error)).not.toContain("private");
      expect(String(error)).not.toContain("private");
    });
  });

  describe(`${api.name}: clocks`, () => {
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
      const pending = failing(api.model(server.url, { clock, [`${api.connectPhase}Ms`]: 5_000 })(input(prompt)));
      const request = await arrives;
      await clock.advance(4_900);
      expect(request.isClosed).toBe(false);
      await clock.advance(200);
      expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: api.connectPhase, retryable: true });
      await request.closed;
      expect(clock.pending).toBe(0);
    });

    test("no content within firstPartMs, pings or not", async () => {
      const clock = fakeClock();
      const seen = watched();
      server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore } }));
      const arrives = server.nextRequest();
      const pending = failing(api.model(server.url, { clock, firstPartMs: 60_000, fetch: seen.fetch })(input(prompt)));
      const request = await arrives;
      await seen.headers;
      for (let at = 0; at < 5; at += 1) {
        await clock.advance(11_000);
        await request.send(voice.ping);
      }
      expect(request.isClosed).toBe(false);
      await clock.advance(6_000);
      expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: "firstPart" });
      await request.closed;
    });

    for (const [name, model, ms] of api.waits ?? []) {
      test(`the first content of ${name} is awaited for ${ms} ms`, async () => {
        const clock = fakeClock();
        const seen = watched();
        server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore } }));
        const arrives = server.nextRequest();
        const pending = failing(model(server.url, { clock, fetch: seen.fetch })(input(prompt)));
        const request = await arrives;
        await seen.headers;
        await clock.advance(ms - 100);
        expect(request.isClosed).toBe(false);
        await clock.advance(200);
        expect(isFault((await pending).error)).toMatchObject({ code: "timeout", phase: "firstPart", message: expect.stringContaining(`${ms} ms`) as string });
      });
    }

    test("no bytes for idleMs, once content has come", async () => {
      const clock = fakeClock();
      server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 1 } }));
      const parts = api.model(server.url, { clock, idleMs: 1_000 })(input(prompt))[Symbol.asyncIterator]();
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
      server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 1 } }));
      const parts = api.model(server.url, { clock, idleMs: 1_000, fetch: spied })(input(prompt))[Symbol.asyncIterator]();
      await parts.next();
      const next = parts.next().catch((error: unknown) => error);
      for (let at = 0; at < 4; at += 1) {
        await clock.advance(900);
        expect(server.requests[0]?.isClosed).toBe(false);
        const before = seen.length;
        await server.requests[0]?.send(voice.ping);
        await vi.waitFor(() => expect(seen.length).toBeGreaterThan(before), { timeout: 20_000 });
      }
      await clock.advance(500);
      expect(isFault(isFault(await next).cause)).toMatchObject({ code: "timeout", phase: "idle", message: expect.stringContaining("4000 ms") as string });
    });

    test("a slow consumer is not a slow provider", async () => {
      const clock = fakeClock();
      server.script(voice.answer(voice.frames(deltas)));
      const parts = api.model(server.url, { clock, idleMs: 1_000, firstPartMs: 2_000 })(input(prompt));
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
      const pending = failing(api.model(server.url, { clock, firstPartMs: 2_000, fetch: seen.fetch })(input(prompt)));
      await seen.headers;
      await clock.advance(2_100);
      expect(isFault((await pending).error)).toMatchObject({ code: "timeout" });
    });
  });

  describe(`${api.name}: leaving`, () => {
    test("a signal that has aborted opens no connection", async () => {
      const reason = { why: "enough" };
      const { error } = await failing(api.model(server.url)(input(prompt), contextOf(AbortSignal.abort(reason))));
      expect(error).toBe(reason);
      expect(server.connections).toBe(0);
    });

    for (const [when, answer] of [
      ["before the headers", (): WireAnswer => ({ fault: { kind: "stall", after: "nothing" } })],
      ["before the first content", () => voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore } })],
      ["between parts", () => voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 2 } })],
      ["inside an event", () => voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 1, inside: true } })],
    ] as const) {
      test(`abort ${when} rejects with the signal's own reason, and the server sees the connection close`, async () => {
        server.script(answer());
        const controller = new AbortController();
        const reason = { why: "enough" };
        const arrives = server.nextRequest();
        const pending = failing(api.model(server.url)(input(prompt), contextOf(controller.signal)));
        const request = await arrives;
        await request.answered;
        controller.abort(reason);
        expect((await pending).error).toBe(reason);
        await request.closed;
      });
    }

    test("abort while a part is in the consumer's hands", async () => {
      server.script(voice.answer(voice.frames(deltas)));
      const controller = new AbortController();
      const reason = new Error("enough");
      const parts = api.model(server.url)(input(prompt), contextOf(controller.signal))[Symbol.asyncIterator]();
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
      const pending = failing(api.model(server.url)(source, contextOf(controller.signal)));
      await Promise.resolve();
      controller.abort(reason);
      expect((await pending).error).toBe(reason);
      expect(closed).toBe(1);
      expect(server.connections).toBe(0);
    });

    for (const count of [1, 2]) {
      test(`break after ${count} parts closes the connection`, async () => {
        server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 2 } }));
        let seen = 0;
        for await (const _ of api.model(server.url)(input(prompt))) if (++seen === count) break;
        await server.requests[0]?.closed;
      });
    }

    test("a turn leaves no listener on the caller's signal", async () => {
      const controller = new AbortController();
      const add = vi.spyOn(controller.signal, "addEventListener");
      const remove = vi.spyOn(controller.signal, "removeEventListener");
      for (let at = 0; at < 3; at += 1) {
        server.script(voice.answer(voice.frames(deltas)));
        for await (const _ of api.model(server.url)(input(prompt), contextOf(controller.signal)));
      }
      expect(add.mock.calls.length).toBeGreaterThan(0);
      expect(remove.mock.calls.length).toBe(add.mock.calls.length);
    });
  });

  describe(`${api.name}: closing`, () => {
    test("close during use ends the turn with closed, and the connection", async () => {
      server.script(voice.answer(voice.frames(deltas), { fault: { kind: "stall", after: voice.framesBefore + 1 } }));
      const model = api.model(server.url);
      const parts = model(input(prompt))[Symbol.asyncIterator]();
      await parts.next();
      const next = parts.next().catch((error: unknown) => error);
      await Promise.all([model.close(), model.close()]);
      expect(isFault(await next)).toMatchObject({ code: "closed" });
      await server.requests[0]?.closed;
      await model.close();
    });

    test("a closed model asks nothing", async () => {
      const model = api.model(server.url);
      await model[Symbol.asyncDispose]();
      expect(isFault((await failing(model(input(prompt)))).error)).toMatchObject({ code: "closed", retryable: false });
      expect(server.connections).toBe(0);
    });

    test("the model shows no key", () => {
      const model = api.model(server.url, { headers: { "x-team": "secret-team-token" } });
      for (const text of [inspect(model, { depth: 10, showHidden: true }), JSON.stringify(model) ?? "", String(model)]) {
        expect(text).not.toContain(api.apiKey);
        expect(text).not.toContain("secret-team-token");
      }
    });
  });
}
