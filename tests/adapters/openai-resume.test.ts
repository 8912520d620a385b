import type { ResponseCreateParamsStreaming, ResponseStreamEvent } from "openai/resources/responses/responses";
import { describe, expect, test } from "vitest";
import { azureOpenai } from "../../src/adapters/azure-openai/index.ts";
import { openai, type OpenAIOptions } from "../../src/adapters/openai/index.ts";
import { codec } from "../../src/core/codec.ts";
import { text } from "../../src/core/constructors.ts";
import type { Part } from "../../src/core/part.ts";
import type { Processor } from "../../src/core/processor.ts";
import { resumptionOf } from "../../src/core/resumable.ts";
import { run } from "../../src/core/run.ts";
import { retry } from "../../src/resilience/retry.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { jsonAnswer, responsesFrames, sseAnswer } from "../../src/testing/wire-answers.ts";
import { type WireAnswer, type WireFault, type WireRequest, type WireServer, wireServer } from "../../src/testing/wire-server.ts";
import { answered, callEvents, completed, imageEvents, messageEvents, numbered, opening, reasoningEvents, response } from "./openai/responses-fixture.ts";
import { collect, contextOf, failing, input, key, prompt } from "./openai/support.ts";

/** Reasoning, text that is cut within a character, an image, two calls. */
const everything: readonly ResponseStreamEvent[] = numbered([
  ...opening,
  ...reasoningEvents,
  ...messageEvents(["Hel", "\ud83d", "\udc69lo", "!\ud83d"], 1),
  ...imageEvents("AQID", ["AQ==", "AQI="], {}, 2),
  ...callEvents({ id: "fc_1", callId: "call_1", name: "f", args: "{}" }, 3),
  ...callEvents({ id: "fc_2", callId: "call_2", name: "g", args: "{}" }, 4),
  completed,
]);
const cut = (after: number, inside = false): WireFault => ({ kind: "cut", after, inside });
const stall = (after: number): WireFault => ({ kind: "stall", after });
const startOf = ({ path }: WireRequest): number => Number(new URL(path, "http://localhost").searchParams.get("starting_after") ?? -1);
const framesFrom = (events: readonly ResponseStreamEvent[], after: number): string[] => responsesFrames(events.filter(({ sequence_number }) => sequence_number > after));

/** Keeps an answer as the service does. Its streams have these faults, in turn; then they have none. */
function keeping(events: readonly ResponseStreamEvent[], ...faults: readonly WireFault[]): (request: WireRequest) => WireAnswer {
  const left = [...faults];
  return (request) => {
    if (request.path.endsWith("/cancel")) return jsonAnswer(response({ status: "cancelled" }));
    const fault = left.shift();
    return sseAnswer(framesFrom(events, startOf(request)), fault === undefined ? {} : { fault });
  };
}

const modelAt = ({ url }: WireServer, options: Partial<OpenAIOptions> = {}) => openai({ model: "gpt-test", baseUrl: `${url}/v1`, apiKey: key, resumable: true, ...options } as OpenAIOptions);
const resuming = (model: Processor): Processor => retry(model, { attempts: 4, baseMs: 0, afterCommit: "resume" });
const askedOf = ({ requests }: WireServer): string[] => requests.map(({ method, path }) => `${method} ${path.replace(/\?.*/, "")}`);
const cancelled = "POST /v1/responses/resp_1/cancel";

/** What a run gave, without what says where each part stands, and how it failed. */
async function outcome(processor: Processor): Promise<{ readonly parts: unknown[]; readonly error: unknown }> {
  const parts: unknown[] = [];
  try {
    for await (const part of run(processor, prompt)) parts.push(plain(part));
    return { parts, error: undefined };
  } catch (error) {
    return { parts, error };
  }
}

function plain(part: Part): unknown {
  const { cursor: _, ...about } = part.metadata.openai as { readonly cursor?: unknown };
  return { ...part, metadata: { ...part.metadata, openai: about } };
}

describe("an answer that may be gone on with", () => {
  test("is made in the background and kept; any other is not", async () => {
    await using server = await wireServer({ answer: keeping(everything) });
    await collect(modelAt(server)(input(prompt)));
    expect(server.requests[0]?.json()).toMatchObject({ store: true, background: true, stream: true } satisfies Partial<ResponseCreateParamsStreaming>);
    const others = await collect(modelAt(server, { resumable: false })(input(prompt)));
    expect(server.requests[1]?.json()).toMatchObject({ store: false });
    expect(server.requests[1]?.json()).not.toHaveProperty("background");
    expect(JSON.stringify(others)).not.toContain("cursor");
    expect(resumptionOf(modelAt(server, { resumable: false }))).toBeUndefined();
  });

  const [call, refusal] = [callEvents({ id: "fc_1", callId: "call_1", name: "f", args: "{}" }, 0), { type: "response.refusal.delta", item_id: "msg_0", output_index: 0, content_index: 0, delta: "No." } as const];
  test.each([
    ["everything", "tool_calls", everything],
    ["a call, then text", "tool_calls", numbered([...opening, ...call, ...messageEvents(["a", "b"]), completed])],
    ["a refusal, then text", "refusal", numbered([...opening, refusal, ...messageEvents(["a", "b"]), completed])],
  ])("goes on wherever it was cut, twice: every part comes once, with the same end, and nothing is asked again (%s)", async (_, reason, events) => {
    await using whole = await wireServer({ answer: keeping(events) });
    const expected = (await collect(modelAt(whole)(input(prompt)))).map(plain);
    expect(expected.at(-1)).toMatchObject({ kind: "finish", reason });
    let resumed = 0;
    for (let after = 0; after < events.length; after += 1) {
      await using server = await wireServer({ answer: keeping(events, cut(after, after % 2 === 0), cut(after % 5, after % 3 === 0)) });
      const { parts, error } = await outcome(resuming(modelAt(server)));
      expect([after, error]).toEqual([after, undefined]);
      expect(parts).toEqual(expected);
      const goings = askedOf(server).filter((one) => one === "GET /v1/responses/resp_1").length;
      resumed += goings;
      if (goings > 1) expect(askedOf(server)).not.toContain(cancelled);
      // before the first part there is nothing to go on behind
      if (after > 5) expect(askedOf(server).filter((one) => one === "POST /v1/responses").length).toBe(1);
    }
    expect(resumed).toBeGreaterThan(events.length);
  });

  test("stays truncated where a call was cut, though it was gone on with behind that", async () => {
    const [added, delta] = call;
    const ended = { type: "response.incomplete", response: response({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }) } as const;
    const cutCall = { type: "response.output_item.done", output_index: 0, item: { type: "function_call", id: "fc_1", call_id: "call_1", name: "f", arguments: "{}", status: "incomplete" } } as const;
    for (const end of [[], [cutCall]]) {
      const events = numbered([...opening, ...(added && delta ? [added, delta] : []), ...end, ...messageEvents(["a", "b"], 1), ended]);
      await using server = await wireServer({ answer: keeping(events, cut(events.length - 3)) });
      const { parts, error } = await outcome(resuming(modelAt(server)));
      expect(parts.length).toBe(2);
      expect(error).toMatchObject({ code: "interrupted", cause: { code: "truncated" } });
      expect(server.requests.at(-1)?.method).toBe("GET");
    }
  });

  test("goes on behind the last event at which nothing was half read", async () => {
    const events = answered(["Hel", "lo\ud83d", "\udc69", "!"]);
    const deltas = events.filter(({ type }) => type === "response.output_text.delta").map(({ sequence_number }) => sequence_number);
    for (const [read, from] of [[0, (deltas[0] ?? 0) - 1], [1, deltas[0]], [2, deltas[0]], [3, deltas[2]]] as const) {
      await using server = await wireServer({ answer: keeping(events, cut((deltas[read] ?? 0) + 1)) });
      expect((await outcome(resuming(modelAt(server)))).error).toBeUndefined();
      expect(server.requests.slice(1).map(startOf)).toEqual([from]);
      expect(new URL(server.requests[1]?.path ?? "", server.url).searchParams.get("stream")).toBe("true");
    }
  });

  test("goes on behind a part that went through JSON, at another model of the same service", async () => {
    await using server = await wireServer({ answer: keeping(everything, cut(9)) });
    const { parts } = await failing(modelAt(server)(input(prompt)));
    const [last = text("")] = parts.slice(-1).map((part) => codec.decode(JSON.parse(JSON.stringify(codec.encode(part))) as never));
    const { numberOf, resume } = resumptionOf(modelAt(server)) ?? {};
    const rest = await collect(resume?.(last) ?? input());
    const whole = await collect(modelAt(server)(input(prompt)));
    expect(rest.filter((part) => (numberOf?.(part) ?? Infinity) >= parts.length).map(plain)).toEqual(whole.slice(parts.length).map(plain));
    expect(whole.map((part) => numberOf?.(part))).toEqual([...whole.slice(0, -1).keys(), undefined]);
  });

  test("has its images there: they go back by their ids alone", async () => {
    await using server = await wireServer({ answer: keeping(everything) });
    const parts = await collect(modelAt(server)(input(prompt)));
    await collect(modelAt(server)(input(prompt, ...parts.filter(({ kind }) => kind === "bytes"), "make it blue")));
    const sent = server.requests[1]?.json() as ResponseCreateParamsStreaming;
    expect(sent.input?.[1]).toEqual({ type: "image_generation_call", id: "ig_1" });
  });

  test("does not go on behind a part of anybody else", async () => {
    await using server = await wireServer();
    const resumption = resumptionOf(modelAt(server));
    for (const cursor of [undefined, {}, { response: "resp_1", after: 1, before: 0 }, { response: "", after: 1, before: 0, part: 0 }, { response: "r", after: -2, before: 0, part: 0 }]) {
      const part = text("a", { metadata: { openai: { cursor } } });
      expect(resumption?.numberOf(part)).toBeUndefined();
      expect(() => resumption?.resume(part)).toThrow(expect.objectContaining({ code: "invalid_input" }) as Error);
    }
    expect(server.connections).toBe(0);
  });

  test("is kept by Azure as well", async () => {
    for (const [apiVersion, path] of [["v1", "/responses/resp_1"], ["2025-04-01-preview", "/responses/resp_1"]] as const) {
      await using server = await wireServer({ answer: keeping(everything, cut(8)) });
      const model = azureOpenai({ baseUrl: server.url, apiVersion, deployment: "d", api: "responses", apiKey: key, resumable: true });
      expect((await outcome(resuming(model))).error).toBeUndefined();
      expect(server.requests[1]).toMatchObject({ method: "GET", path: expect.stringContaining(path) as string });
    }
  });
});

describe("events that are missing", () => {
  const without = (lost: number): ResponseStreamEvent[] => everything.filter((_, at) => at !== lost);

  test("are bad_response, and come when the answer is gone on with", async () => {
    const lost = everything.findLastIndex(({ type }) => type === "response.output_text.delta");
    await using server = await wireServer({ answer: sseAnswer(responsesFrames(without(lost))) });
    expect((await failing(modelAt(server)(input(prompt)))).error).toMatchObject({ code: "interrupted", cause: { code: "bad_response", message: expect.stringContaining(`event ${lost + 1}`) as string } });
    await using kept = await wireServer({ answer: keeping(everything) });
    kept.script(sseAnswer(responsesFrames(without(lost))));
    const { parts, error } = await outcome(resuming(modelAt(kept)));
    expect(error).toBeUndefined();
    expect(parts.length).toBe((await collect(modelAt(kept)(input(prompt)))).length);
  });

  test("do not come twice where the service begins earlier than it was asked to", async () => {
    await using server = await wireServer({ answer: sseAnswer(responsesFrames(everything)) });
    server.script(keeping(everything, cut(12)));
    const { parts, error } = await outcome(resuming(modelAt(server)));
    expect(error).toBeUndefined();
    expect(parts).toEqual((await collect(modelAt(server)(input(prompt)))).map(plain));
  });

  test("without numbers there are none to miss: that is bad_response, but for errors", async () => {
    const bare = everything.map(({ sequence_number: _, ...event }) => event);
    await using server = await wireServer();
    server.script(sseAnswer(responsesFrames(bare)), sseAnswer(responsesFrames([{ type: "error", code: "rate_limit_exceeded", message: "slow" } as { type: string }])));
    expect((await failing(modelAt(server)(input(prompt)))).error).toMatchObject({ code: "bad_response" });
    expect((await failing(modelAt(server)(input(prompt)))).error).toMatchObject({ code: "rate_limited" });
    // the official client throws those by itself, others hand them on
    const reported = async () => (async function* () { yield { type: "error", code: "rate_limit_exceeded", message: "slow" }; })();
    const model = openai({ model: "m", resumable: true, client: { responses: { create: reported, retrieve: reported, cancel: reported } } });
    expect((await failing(model(input(prompt)))).error).toMatchObject({ code: "rate_limited" });
  });
});

describe("an answer that nobody wants any more is cancelled", () => {
  const events = answered(["Hel", "lo"]);
  const [first] = events.flatMap(({ type }, at) => (type === "response.output_text.delta" ? [at + 1] : []));

  test("when it is left", async () => {
    await using server = await wireServer({ answer: keeping(events, stall(first ?? 0)) });
    const cancels = server.nextRequest(2);
    for await (const _ of run(modelAt(server), prompt)) break;
    await cancels;
    expect(askedOf(server)).toEqual(["POST /v1/responses", cancelled]);
  });

  test("when it is aborted, which does not wait for that", async () => {
    await using server = await wireServer({ answer: keeping(events, stall(first ?? 0)) });
    const clock = fakeClock();
    const controller = new AbortController();
    const reason = { why: "enough" };
    const parts = run(modelAt(server, { clock }), prompt, { signal: controller.signal })[Symbol.asyncIterator]();
    await parts.next();
    const next = parts.next().catch((error: unknown) => error);
    server.script({ fault: { kind: "stall", after: "nothing" } });
    const cancels = server.nextRequest();
    controller.abort(reason);
    expect(await next).toBe(reason);
    const request = await cancels;
    expect(request.path).toBe("/v1/responses/resp_1/cancel");
    await clock.advance(5_100); // it is not waited for longer
    await request.closed;
    expect(clock.pending).toBe(0);
  });

  test("when the model is closed", async () => {
    await using server = await wireServer({ answer: keeping(events, stall(first ?? 0)) });
    const model = modelAt(server);
    const cancels = server.nextRequest(2);
    const parts = model(input(prompt))[Symbol.asyncIterator]();
    await parts.next();
    const next = parts.next().catch((error: unknown) => error);
    await model.close();
    expect(await next).toMatchObject({ code: "closed" });
    expect((await cancels).path).toBe("/v1/responses/resp_1/cancel");
  });

  test("when it broke off before there was anything to go on behind", async () => {
    await using server = await wireServer({ answer: keeping(events, cut(2)) });
    const cancels = server.nextRequest(2);
    expect((await failing(modelAt(server)(input(prompt)))).error).toMatchObject({ code: "unavailable" });
    expect((await cancels).path).toBe("/v1/responses/resp_1/cancel");
  });

  test("not when it broke off later, nor when it is whole, nor when it is not kept", async () => {
    await using server = await wireServer({ answer: keeping(events, cut(first ?? 0)) });
    await failing(modelAt(server)(input(prompt)));
    for await (const part of modelAt(server)(input(prompt))) if (part.kind === "finish") break;
    for await (const _ of modelAt(server, { resumable: false })(input(prompt), contextOf(new AbortController().signal))) break;
    await collect(modelAt(server)(input(prompt)));
    expect(askedOf(server)).toEqual(Array.from({ length: 4 }, () => "POST /v1/responses"));
  });
});

test.each([
  ["a client without retrieve", { client: { responses: { create: () => {}, cancel: () => {} } } }, "retrieve"],
  ["a client without cancel", { client: { responses: { create: () => {}, retrieve: () => {} } } }, "cancel"],
  ["what is neither true nor false", { resumable: "yes" }, "resumable"],
])("a bad option is refused when the model is built: %s", (_, options, named) => {
  const build = (): unknown => openai({ model: "m", resumable: true, ...options } as unknown as OpenAIOptions);
  expect(build).toThrow(expect.objectContaining({ code: "invalid_input", message: expect.stringContaining(named) as string }) as Error);
});
