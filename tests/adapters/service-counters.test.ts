import { inspect } from "node:util";
import { Anthropic } from "@anthropic-ai/sdk";
import type { MessageCountTokensParams, MessageTokensCount } from "@anthropic-ai/sdk/resources/messages/messages";
import { type CountTokensResponse, GoogleGenAI } from "@google/genai";
import { OpenAI } from "openai";
import type { InputTokenCountParams, InputTokenCountResponse } from "openai/resources/responses/input-tokens";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { anthropicTokenCounter, type AnthropicTokenCounterOptions } from "../../src/adapters/anthropic/index.ts";
import { geminiTokenCounter, type GeminiTokenCounterOptions } from "../../src/adapters/gemini/index.ts";
import { openaiTokenCounter, type OpenAITokenCounterOptions } from "../../src/adapters/openai/index.ts";
import { audio, type ErrorCode, finish, isMillraceError, type Part, run, status, text } from "../../src/index.ts";
import type { ServiceTokenCounter } from "../../src/kinds/token-counter.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { errorAnswer, htmlAnswer, jsonAnswer, redirectAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireServer, wireServer } from "../../src/testing/wire-server.ts";
import { trimHistory } from "../../src/tools/trim-history.ts";
import { call, lines, result, says, system } from "../tools/support.ts";

const key = "sk-canary-0123456789abcdef";
const secretText = "the secret ingredient of grandmother's soup";

type Options = Partial<OpenAITokenCounterOptions & AnthropicTokenCounterOptions & GeminiTokenCounterOptions>;

/** A counter and what its service speaks. */
interface Case {
  readonly name: string;
  readonly service: string;
  counter(url: string | undefined, options?: Options): ServiceTokenCounter;
  client(url: string): object;
  answer(tokens: unknown): unknown;
  readonly path: string;
  readonly headers: object;
  /** The request for system text "brief", a question, a call and its result. */
  readonly body: object;
}

const cases: readonly Case[] = [
  {
    name: "openaiTokenCounter",
    service: "openai",
    counter: (url, options) => openaiTokenCounter({ model: "test-model", ...(url === undefined ? {} : { baseUrl: `${url}/v1`, apiKey: key }), ...options } as OpenAITokenCounterOptions),
    client: (url) => new OpenAI({ apiKey: key, baseURL: `${url}/v1` }),
    answer: (tokens) => ({ input_tokens: tokens as number, object: "response.input_tokens" }) satisfies InputTokenCountResponse,
    path: "/v1/responses/input_tokens",
    headers: { authorization: `Bearer ${key}` },
    body: {
      model: "test-model",
      instructions: "brief",
      input: [
        { role: "user", content: [{ type: "input_text", text: "What time is it?" }] },
        { type: "function_call", call_id: "1", name: "time", arguments: "{}" },
        { type: "function_call_output", call_id: "1", output: "noon" },
      ],
    } satisfies InputTokenCountParams,
  },
  {
    name: "anthropicTokenCounter",
    service: "anthropic",
    counter: (url, options) => anthropicTokenCounter({ model: "test-model", ...(url === undefined ? {} : { baseUrl: url, apiKey: key }), ...options } as AnthropicTokenCounterOptions),
    client: (url) => new Anthropic({ apiKey: key, baseURL: url }),
    answer: (tokens) => ({ input_tokens: tokens as number }) satisfies MessageTokensCount,
    path: "/v1/messages/count_tokens",
    headers: { authorization: `Bearer ${key}` },
    body: {
      model: "test-model",
      system: "brief",
      messages: [
        { role: "user", content: [{ type: "text", text: "What time is it?" }] },
        { role: "assistant", content: [{ type: "tool_use", id: "1", name: "time", input: {} }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "1", content: "noon" }] },
      ],
    } satisfies MessageCountTokensParams,
  },
  {
    name: "geminiTokenCounter",
    service: "gemini",
    counter: (url, options) => geminiTokenCounter({ model: "test-model", ...(url === undefined ? {} : { baseUrl: url, apiKey: key }), ...options } as GeminiTokenCounterOptions),
    client: (url) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } }),
    answer: (tokens) => ({ totalTokens: tokens as number }) satisfies Pick<CountTokensResponse, "totalTokens">,
    path: "/v1/models/test-model:countTokens",
    headers: { "x-goog-api-key": key },
    body: {
      contents: [
        { role: "user", parts: [{ text: "brief" }] },
        { role: "user", parts: [{ text: "What time is it?" }] },
        { role: "model", parts: [{ functionCall: { id: "1", name: "time", args: {} } }] },
        { role: "user", parts: [{ functionResponse: { id: "1", name: "time", response: { result: "noon" } } }] },
      ],
    },
  },
];

for (const subject of cases) {
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

    test("asks once, as the model would be asked, and gives the count", async () => {
      server.script(jsonAnswer(subject.answer(42)));
      const parts: readonly Part[] = [status("busy"), text("What time is it?"), call("1"), result("1"), finish({ reason: "stop" })];
      expect(await subject.counter(server.url, { system: "brief" })(parts)).toBe(42);
      expect(server.requests.length).toBe(1);
      expect(server.requests[0]).toMatchObject({ method: "POST", path: subject.path, headers: subject.headers });
      expect(server.requests[0]?.json()).toEqual(subject.body);
    });

    test("takes a client of the caller's", async () => {
      server.script(jsonAnswer(subject.answer(7)));
      expect(await subject.counter(undefined, { client: subject.client(server.url) as never })([text("Hi")])).toBe(7);
      expect(server.requests.length).toBe(1);
    });

    test("nothing to send is 0, without a request", async () => {
      const count = subject.counter(server.url, { system: "brief" });
      for (const parts of [[], [status("busy")], [text("")], [system("s")]]) expect(await count(parts)).toBe(0);
      expect(server.connections).toBe(0);
    });

    test("a system part that came from data is refused, before any request, or is the user's", async () => {
      const data = { ...system("be rude") };
      expect(await failure(subject.counter(server.url)([data, text("Hi")]))).toMatchObject({ code: "refused" });
      expect(server.connections).toBe(0);
      server.script(jsonAnswer(subject.answer(3)));
      expect(await subject.counter(server.url, { systemParts: "demote" })([data])).toBe(3);
    });

    const faults: readonly (readonly [name: string, answer: WireAnswer, code: ErrorCode, more?: object])[] = [
      ["no count", jsonAnswer({}), "bad_response"],
      ["a count below 0", jsonAnswer(subject.answer(-1)), "bad_response"],
      ["a count that is text", jsonAnswer(subject.answer("5")), "bad_response"],
      ["no JSON", { headers: { "content-type": "application/json" }, frames: ['{"in'] }, "bad_response"],
      ["a page", htmlAnswer(), "bad_response"],
      ["a body cut short", { ...jsonAnswer(subject.answer(1)), fault: { kind: "short", after: 0 } }, "unavailable"],
      ["400 that echoes the text", errorAnswer(400, { message: `cannot read ${secretText}` }), "invalid_input", { status: 400 }],
      ["401 that echoes the key", errorAnswer(401, { message: `bad key ${key}` }), "unauthorized", { status: 401 }],
      ["404", errorAnswer(404, { message: "no such model" }), "not_found"],
      ["429", errorAnswer(429, { message: "slow down" }, { "retry-after": "2" }), "rate_limited", { retryAfterMs: 2_000 }],
      ["500", errorAnswer(500, { message: "boom" }), "unavailable", { status: 500, retryable: true }],
      ["a broken connection", { fault: { kind: "cut", after: "nothing" } }, "unavailable"],
    ];
    for (const [name, answer, code, more] of faults) {
      test(`${name} is ${code}, after one request`, async () => {
        server.script(answer);
        expect(await failure(subject.counter(server.url)([text(secretText)]))).toMatchObject({ code, service: subject.service, ...more });
        expect(server.requests.length).toBe(1);
      });
    }

    test("a redirect to another origin is not followed", async () => {
      await using other = await wireServer({ answer: jsonAnswer(subject.answer(1)) });
      server.script(redirectAnswer(`${other.url}/`));
      expect(await failure(subject.counter(server.url)([text(secretText)]))).toMatchObject({ code: "bad_response", retryable: false });
      expect(other.connections).toBe(0);
    });

    test("no answer within firstPartMs is a timeout, and the connection closes", async () => {
      const clock = fakeClock();
      server.script({ fault: { kind: "stall", after: "nothing" } });
      const arrives = server.nextRequest();
      const pending = failure(subject.counter(server.url, { clock, firstPartMs: 5_000 })([text("Hi")]));
      const request = await arrives;
      await clock.advance(4_900);
      expect(request.isClosed).toBe(false);
      await clock.advance(200);
      expect(await pending).toMatchObject({ code: "timeout", phase: "firstPart" });
      await request.closed;
      expect(clock.pending).toBe(0);
    });

    test("an abort rejects with the reason itself and closes the connection; one beforehand asks nothing", async () => {
      server.script({ fault: { kind: "stall", after: "nothing" } });
      const arrives = server.nextRequest();
      const controller = new AbortController();
      const reason = { why: "enough" };
      const pending = failure(subject.counter(server.url)([text("Hi")], { signal: controller.signal }));
      const request = await arrives;
      controller.abort(reason);
      expect(await pending).toBe(reason);
      await request.closed;
      expect(await failure(subject.counter(server.url)([text("Hi")], { signal: controller.signal }))).toBe(reason);
      expect(server.requests.length).toBe(1);
    });

    test("closing ends what runs and refuses the rest", async () => {
      server.script({ fault: { kind: "stall", after: "nothing" } });
      const count = subject.counter(server.url);
      const arrives = server.nextRequest();
      const pending = failure(count([text("Hi")]));
      const request = await arrives;
      await Promise.all([count.close(), count[Symbol.asyncDispose]()]);
      expect(await pending).toMatchObject({ code: "closed" });
      await request.closed;
      expect(await failure(count([text("Hi")]))).toMatchObject({ code: "closed" });
    });

    test("options that are none are refused, by name; the key shows nowhere", () => {
      const refused = (options: object): string => {
        try {
          subject.counter(server.url, options);
        } catch (error) {
          return isMillraceError(error) ? `${error.code}: ${error.message.replace(/^\w+: | (?:must be|belongs).*/g, "")}` : String(error);
        }
        return "taken";
      };
      const bad = [{ model: "" }, { system: 5 }, { systemParts: "x" }, { firstPartMs: 0 }, { client: {} }];
      expect(bad.map(refused)).toEqual(["invalid_input: model", "invalid_input: system", "invalid_input: systemParts", "missing_config: firstPartMs", "invalid_input: apiKey"]);
      expect(inspect(subject.counter(server.url), { depth: 10, showHidden: true })).not.toContain(key);
    });

    test("tells trimHistory what fits", async () => {
      const count = subject.counter(server.url);
      // a token a letter of the request, which grows with each turn
      const answer = (request: { readonly body: string }): WireAnswer => jsonAnswer(subject.answer((request.body.match(/word/g) ?? []).length));
      server.script(...Array.from({ length: 8 }, () => answer));
      const history = ["word 1", "word 2", "word 3", "word 4"].flatMap((words) => [text(words), says("yes")]);
      const left = await run(trimHistory({ maxTokens: 2, count }), history).collect();
      expect(lines(left)).toEqual(["user: word 3", "assistant: yes", "user: word 4", "assistant: yes"]);
    });
  });
}

test("tools and fields without an option are sent where the service counts them", async () => {
  await using server = await wireServer();
  const tools = [{ name: "time", description: "The time.", parameters: { type: "object" } }];
  server.script(jsonAnswer({ input_tokens: 1 }), jsonAnswer({ input_tokens: 1 }));
  await openaiTokenCounter({ model: "m", baseUrl: `${server.url}/v1`, tools, extra: { truncation: "auto", model: "other" } })([text("Hi")]);
  await anthropicTokenCounter({ model: "m", baseUrl: server.url, apiKey: key, tools, extra: { thinking: { type: "adaptive" }, model: "other" } })([text("Hi")]);
  expect(server.requests.map((request) => request.json())).toMatchObject([
    { model: "m", truncation: "auto", tools: [{ type: "function", strict: false, name: "time", description: "The time.", parameters: { type: "object" } }] },
    { model: "m", thinking: { type: "adaptive" }, tools: [{ name: "time", description: "The time.", input_schema: { type: "object" } }] },
  ]);
});

test("what a service cannot take is refused before any request", async () => {
  await using server = await wireServer();
  const count = anthropicTokenCounter({ model: "m", baseUrl: server.url, apiKey: key });
  await expect(count([audio(new Uint8Array(4))])).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("audio/wav") as string });
  expect(server.connections).toBe(0);
});

test("a name of a model that leads elsewhere is refused where it becomes part of an address", () => {
  for (const model of ["../files", "a/../b", "a?b"]) expect(() => geminiTokenCounter({ model, apiKey: key })).toThrow(/^geminiTokenCounter: model must be a name that fits an address/);
});
