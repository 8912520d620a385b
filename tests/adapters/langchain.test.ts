import { AIMessage, type BaseMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { JsonOutputParser, StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { type Runnable, RunnableLambda } from "@langchain/core/runnables";
import { FakeListChatModel, FakeRetriever, FakeStreamingChatModel } from "@langchain/core/utils/testing";
import { Document } from "@langchain/core/documents";
import { describe, expect, test } from "vitest";
import { langchain, type LangChainOptions, langchainRetriever } from "../../src/adapters/langchain/index.ts";
import { asks } from "../../src/core/asks.ts";
import { codec } from "../../src/core/codec.ts";
import { bytes, image, json, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import { MillraceError } from "../../src/core/errors.ts";
import type { Part } from "../../src/core/part.ts";
import { run } from "../../src/core/run.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { chunkOf, ending, piece, said, ScriptedChatModel, Service, type Step } from "./langchain/support.ts";
import { collect, contextOf, failing, input, key, prompt } from "./openai/support.ts";

/** Asks once; gives the parts, the failure, and what the service was asked. */
async function ask(steps: readonly Step[], parts: readonly (Part | string)[] = [prompt], options: LangChainOptions = {}) {
  const service = new Service().script(...steps);
  const all: Part[] = [];
  let error: unknown;
  try {
    for await (const part of langchain(new ScriptedChatModel(service), options)(input(...parts))) all.push(part);
  } catch (caught) {
    error = caught;
  }
  return { parts: all, error, messages: service.requests[0]?.messages ?? [], options: service.requests[0]?.options ?? {}, requests: service.requests };
}

const textsOf = (parts: readonly Part[], substream = ""): string[] => parts.flatMap((part) => (part.kind === "text" && part.substream === substream ? [part.text] : []));
const endOf = (parts: readonly Part[]): Part | undefined => parts.at(-1);
const briefly = ({ type, content }: BaseMessage): unknown => [type, content];
/** As kept between two turns. */
const kept = (parts: readonly Part[]): Part[] => parts.map((part) => codec.decode(JSON.parse(JSON.stringify(codec.encode(part))) as never));

describe("the end of an answer", () => {
  test("comes from whatever place the package of the service puts it in, in our words", async () => {
    const ends: readonly (readonly [Step, string, string])[] = [
      [ending("stop"), "stop", "stop"],
      [{ content: "", response_metadata: { finishReason: "MAX_TOKENS" } }, "length", "MAX_TOKENS"],
      [{ content: "", additional_kwargs: { stop_reason: "end_turn" } }, "stop", "end_turn"],
      [{ content: "", response_metadata: { messageStop: { stopReason: "guardrail_intervened" } } }, "content_filter", "guardrail_intervened"],
      [{ content: "", response_metadata: { done_reason: "length" } }, "length", "length"],
      [{ content: "", response_metadata: { status: "completed" } }, "stop", "completed"],
      [{ content: "", response_metadata: { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } } }, "length", "max_output_tokens"],
      [ending("pause_turn"), "pause", "pause_turn"],
      [ending("a word of the future"), "other", "a word of the future"],
    ];
    for (const [end, reason, rawReason] of ends) expect(endOf((await ask([...said("a"), end])).parts)).toMatchObject({ kind: "finish", reason, rawReason });
    expect((await ask([...said("a"), { content: "", response_metadata: { status: "in_progress" } }])).error).toMatchObject({ cause: { code: "truncated" } });
  });

  test("brings usage, added up over the chunks that hold some, counts that are none left out", async () => {
    const first: Step = { content: "a", usage_metadata: { input_tokens: 10, output_tokens: 1, total_tokens: 11, input_token_details: { cache_read: 4, cache_creation: 2 } } };
    const last = ending("stop", { input_tokens: Number.NaN, output_tokens: 6, total_tokens: 6, output_token_details: { reasoning: 3 } });
    const { parts } = await ask([first, last]);
    expect(endOf(parts)).toMatchObject({ usage: { inputTokens: 10, outputTokens: 7, cacheReadTokens: 4, cacheWriteTokens: 2, reasoningTokens: 3 }, model: "scripted-1" });
  });

  test("may be missing where that is said, and its chunk may be followed by the usage", async () => {
    expect(endOf((await ask(said("a"), [prompt], { requireFinish: false })).parts)).toMatchObject({ reason: "stop", rawReason: "" });
    const usage: Step = { content: "", usage_metadata: { input_tokens: 1, output_tokens: 2, total_tokens: 3 } };
    expect(endOf((await ask([...said("a"), { content: "", response_metadata: { finish_reason: "stop" } }, usage])).parts)).toMatchObject({ usage: { inputTokens: 1, outputTokens: 2 } });
  });

  test("is what counts: an error behind it does no harm", async () => {
    const { parts, error } = await ask([...said("a"), ending(), new Error("late")]);
    expect([textsOf(parts), endOf(parts)?.kind, error]).toEqual([["a"], "finish", undefined]);
  });

  test("under strictFinish a cut answer is truncated, a withheld one refused", async () => {
    for (const [reason, code] of [["length", "truncated"], ["content_filter", "refused"]] as const) {
      expect((await ask([...said("a"), ending(reason)], [prompt], { strictFinish: true })).error).toMatchObject({ code: "interrupted", cause: { code } });
    }
  });
});

describe("what an answer holds", () => {
  test("a pair of surrogates that was cut in two becomes whole, a lone one U+FFFD", async () => {
    expect(textsOf((await ask([...said("a\ud83d", "\udc69b", "c\ud800"), ending()])).parts)).toEqual(["a", "\u{1f469}b", "c", "\ufffd"]);
  });

  test("tool calls go out whole, at the end, however their pieces interleave", async () => {
    const { parts } = await ask([
      ...said("One moment."),
      piece(0, "", { id: "a", name: "weather" }),
      piece(1, '{"n":', { id: "b", name: "count" }),
      piece(0, '{"city":'),
      piece(1, "9007199254740993}"),
      piece(0, '"Oslo"}'),
      piece(2, "", { id: "c", name: "now" }),
      ending("tool_calls"),
    ]);
    expect(parts).toMatchObject([
      { kind: "text", text: "One moment." },
      { kind: "toolCall", id: "a", name: "weather", arguments: { city: "Oslo" } },
      { kind: "toolCall", id: "b", name: "count", metadata: { langchain: { arguments: '{"n":9007199254740993}' } } },
      { kind: "toolCall", id: "c", name: "now", arguments: {} },
      { kind: "finish", reason: "tool_calls" },
    ]);
  });

  test("calls that are all numbered 0, or not at all, are told apart by their ids", async () => {
    for (const index of [0, undefined]) {
      const { parts } = await ask([piece(index, '{"a":1}', { id: "x", name: "f" }), piece(index, '{"a":', { id: "y", name: "f" }), piece(index, "2}"), ending("tool_use")]);
      expect(parts).toMatchObject([{ id: "x", arguments: { a: 1 } }, { id: "y", arguments: { a: 2 } }, { reason: "tool_calls" }]);
    }
  });

  test("calls without ids get some, which never repeat; arguments that do not parse stay text", async () => {
    const { parts } = await ask([{ content: "", tool_calls: [{ name: "f", args: {} }, { name: "f", args: {} }] }, piece(undefined, '{"a":', { name: "g" }), ending("tool_calls")]);
    const calls = parts.filter((part) => part.kind === "toolCall");
    expect(new Set(calls.map(({ id }) => id)).size).toBe(3);
    expect(calls.at(-1)?.arguments).toBe('{"a":');
  });

  test("a message that comes whole gives its calls too, those with arguments that LangChain could not parse as text", async () => {
    const message = new AIMessage({ content: "a", tool_calls: [{ id: "x", name: "f", args: { a: 1 } }], invalid_tool_calls: [{ id: "y", name: "g", args: '{"a":', error: "no JSON" }] });
    const runnable = { invoke: async () => message, stream: async () => { throw new Error("is not asked for"); } };
    expect(await run(langchain(runnable, { stream: false }), "hi").collect()).toMatchObject([{ text: "a" }, { id: "x", arguments: { a: 1 } }, { id: "y", name: "g", arguments: '{"a":' }, { kind: "finish" }]);
  });

  test("an answer that is cut within a call gives no call, nor does one that was withheld", async () => {
    const cut = await ask([piece(0, "{}", { id: "a", name: "f" }), ending("length")]);
    expect([cut.parts, cut.error]).toMatchObject([[], { code: "truncated" }]);
    const open = await ask([piece(0, "{}", { id: "a", name: "f" })]);
    expect([open.parts, open.error]).toMatchObject([[], { code: "truncated" }]);
    expect((await ask([piece(0, "{}", { id: "a", name: "f" }), ending("safety")])).parts.map(({ kind }) => kind)).toEqual(["finish"]);
  });

  test.each(["__proto__", "constructor", ""])("a tool named %j is a bad answer", async (name) => {
    expect((await ask([piece(0, "{}", { id: "a", name }), ending("tool_calls")])).error).toMatchObject({ code: "bad_response" });
  });

  test("blocks come out as texts, reasoning, media and sources, in the form of LangChain or of the service", async () => {
    const { parts } = await ask([
      { content: [{ type: "reasoning", reasoning: "Let me see.", index: 0 }] },
      { content: [{ type: "text", text: "Look: ", annotations: [{ type: "citation", url: "https://a.example" }] }] },
      { content: [{ type: "image", mimeType: "image/png", data: "iVBORw==" }, { type: "file", url: "https://a.example/b.pdf", mimeType: "application/pdf" }] },
      { content: [{ type: "image_url", image_url: { url: "https://a.example/c.png" } }] },
      ending(),
    ]);
    expect(parts.slice(0, -1)).toMatchObject([
      { kind: "text", substream: "reasoning", text: "Let me see." },
      { kind: "text", substream: "", text: "Look: " },
      { kind: "json", substream: "sources", value: { url: "https://a.example" } },
      { kind: "bytes", mimeType: "image/png", bytes: Uint8Array.of(137, 80, 78, 71) },
      { kind: "uri", uri: "https://a.example/b.pdf", mimeType: "application/pdf" },
      { kind: "uri", uri: "https://a.example/c.png" },
    ]);
    expect([...new Set(parts.map(({ role }) => role))]).toEqual(["assistant"]);
  });

  test("reasoning and refusals that a service keeps beside the content are found", async () => {
    const metadata = { response_metadata: { model_provider: "deepseek" } };
    const thought = await ask([{ content: "", additional_kwargs: { reasoning_content: "Hm." }, ...metadata }, ...said("Yes."), ending()]);
    expect([textsOf(thought.parts, "reasoning"), textsOf(thought.parts)]).toEqual([["Hm."], ["Yes."]]);
    const no = await ask([{ content: "", additional_kwargs: { refusal: "I won't." }, response_metadata: { model_provider: "openai" } }, ending()]);
    expect([textsOf(no.parts), endOf(no.parts)]).toMatchObject([["I won't."], { reason: "refusal", rawReason: "stop" }]);
  });
});

describe("what a service wants back of its reasoning", () => {
  const thinking: readonly Step[] = [
    { content: [{ type: "thinking", thinking: "Let ", index: 0 }], response_metadata: { model_provider: "anthropic" } },
    { content: [{ type: "thinking", thinking: "me.", index: 0 }], response_metadata: { model_provider: "anthropic" } },
    { content: [{ type: "thinking", signature: "c2ln", index: 0 }], response_metadata: { model_provider: "anthropic" } },
    { content: [{ type: "redacted_thinking", data: "b3BhcXVl", index: 0 }], response_metadata: { model_provider: "anthropic" } },
    { content: [{ type: "text", text: "Yes", index: 2 }] },
    { content: [{ type: "text", text: ".", index: 2 }], additional_kwargs: { signatures: ["s1"] } },
    piece(3, "{}", { id: "c1", name: "now" }),
    ending("tool_use"),
  ];

  test("goes back whole and in its place, with the answer and the calls it led to", async () => {
    const { parts } = await ask(thinking);
    expect(textsOf(parts, "reasoning").join("")).toBe("Let me.");
    const { messages } = await ask([ending()], [prompt, ...kept(parts), toolResult({ id: "c1", name: "now", result: { hour: 12 } })]);
    expect(messages.map(briefly)).toEqual([
      ["human", prompt],
      ["ai", [{ type: "thinking", thinking: "Let me.", signature: "c2ln", index: 0 }, { type: "redacted_thinking", data: "b3BhcXVl", index: 0 }, { type: "text", text: "Yes." }]],
      ["tool", '{"hour":12}'],
    ]);
    expect(messages[1]).toMatchObject({ tool_calls: [{ id: "c1", name: "now", args: {} }], additional_kwargs: { signatures: ["s1"] } });
    expect(messages[2]).toMatchObject({ tool_call_id: "c1", name: "now", status: "success" });
  });

  test("does not go to another service's model", async () => {
    const { parts } = await ask(thinking);
    const model = new FakeListChatModel({ responses: ["ok"] });
    const seen: unknown[] = [];
    const spy = Object.assign(model, { _streamResponseChunks: undefined, _generate: async (messages: BaseMessage[]) => (seen.push(...messages.map(briefly)), { generations: [{ text: "ok", message: new AIMessage("ok") }] }) });
    await collect(langchain(spy, { requireFinish: false, stream: false })(input(prompt, ...kept(parts), toolResult({ id: "c1", name: "now", result: "noon" }))));
    expect(seen).toEqual([["human", prompt], ["ai", "Yes."], ["tool", "noon"]]);
  });

  test("in LangChain's standard form goes back as that", async () => {
    const standard = { response_metadata: { output_version: "v1" } };
    const { parts } = await ask([{ content: [{ type: "reasoning", reasoning: "Hm.", index: 0, extras: { id: "rs_1" } }], ...standard }, { content: [{ type: "text", text: "Yes." }], ...standard }, ending()]);
    const { messages } = await ask([ending()], [prompt, ...kept(parts), "And now?"]);
    expect(messages[1]?.contentBlocks).toEqual([{ type: "reasoning", reasoning: "Hm.", index: 0, extras: { id: "rs_1" } }, { type: "text", text: "Yes." }]);
    expect(messages[1]?.response_metadata).toEqual({ output_version: "v1" });
  });
});

describe("what is asked", () => {
  test("consecutive parts of one role are one message, with their media as standard blocks", async () => {
    const { messages } = await ask(
      [ending()],
      [
        text("Be kind.", { role: "system" }),
        "look",
        image(Uint8Array.of(1, 2)),
        uri("https://a.example/a.wav", "audio/wav"),
        bytes(Uint8Array.of(3), "application/pdf", { metadata: { file: { name: "a.pdf" } } }),
        text("Hel", { role: "assistant" }),
        text("lo", { role: "assistant" }),
        json({ a: [1] }),
        "and?",
        text("tool says", { role: "tool" }),
      ],
      { system: "Be brief." },
    );
    expect(messages.map(briefly)).toEqual([
      ["system", "Be brief."],
      ["system", "Be kind."],
      [
        "human",
        [
          { type: "text", text: "look" },
          { type: "image", mimeType: "image/png", data: "AQI=" },
          { type: "audio", mimeType: "audio/wav", url: "https://a.example/a.wav" },
          { type: "file", mimeType: "application/pdf", metadata: { filename: "a.pdf" }, data: "Aw==" },
        ],
      ],
      ["ai", "Hello"],
      ["human", [{ type: "text", text: '{"a":[1]}' }, { type: "text", text: "and?" }, { type: "text", text: "tool says" }]],
    ]);
    expect(messages[2]?.response_metadata).toEqual({ output_version: "v1" });
  });

  test("failed results say so, and arguments that are no object go back within one", async () => {
    const { messages } = await ask([ending()], [prompt, toolCall({ id: "c", name: "f", arguments: '{"a":' }), toolResult({ id: "c", name: "f", result: "no", isError: true })]);
    expect(messages.slice(1)).toMatchObject([{ tool_calls: [{ id: "c", name: "f", args: { arguments: '{"a":' } }] }, { content: "no", status: "error" }]);
  });

  test.each([
    ["an address that no service can fetch", uri("file:///etc/passwd", "image/png")],
    ["an image in what the model said", image(Uint8Array.of(1), "image/png", { role: "assistant" })],
  ])("%s is refused before anything is asked", async (_, part) => {
    expect(await ask([ending()], [prompt, part])).toMatchObject({ error: { code: "invalid_input", service: "langchain" }, requests: [] });
  });

  test("tools and the choice among them are bound for the turn, those of the options first", async () => {
    const tool = (name: string) => ({ name, description: `It is ${name}.`, parameters: { properties: { a: { type: "string" } } } });
    const service = new Service().script(ending()).script(ending());
    const model = langchain(new ScriptedChatModel(service), { tools: [tool("one")] });
    await run(asks(model, { tools: [tool("two")], toolChoice: "required" }), prompt).collect();
    await run(asks(model, { toolChoice: { name: "one" } }), prompt).collect();
    const schema = { type: "object", properties: { a: { type: "string" } } };
    expect(service.requests.map(({ options }) => [options.tools, options.tool_choice])).toEqual([
      [[{ name: "one", description: "It is one.", schema }, { name: "two", description: "It is two.", schema }], "any"],
      [[{ name: "one", description: "It is one.", schema }], "one"],
    ]);
  });

  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

  test("JSON is asked for by withStructuredOutput, and comes as text with the end of its message", async () => {
    const service = new Service().script({ content: "", tool_calls: [{ id: "c", name: "place", args: { city: "Oslo" } }] }, ending("tool_calls"));
    const parts = await run(asks(langchain(new ScriptedChatModel(service)), { output: { name: "place", schema } }), prompt).collect();
    expect(parts).toMatchObject([{ kind: "text", text: '{"city":"Oslo"}' }, { kind: "finish", reason: "stop", usage: { inputTokens: 3, outputTokens: 5 }, model: "scripted-1" }]);
    expect(service.requests.length).toBe(1);
    expect(JSON.stringify(service.requests[0]?.options.tools)).toContain('"city"');
  });

  test("JSON beside tools is asked for as LangChain's own agents do, and comes as it is made", async () => {
    const { parts, options } = await ask([...said('{"city":', '"Oslo"}'), ending()], [prompt], { tools: [{ name: "f", parameters: {} }], output: { name: "place", schema } });
    expect([textsOf(parts), options.response_format]).toEqual([['{"city":', '"Oslo"}'], { type: "json_schema", json_schema: { name: "place", schema, strict: true } }]);
  });

  test("a model that can be held to a schema is, unless that is not wanted", async () => {
    const seen: unknown[] = [];
    const model = Object.assign(new FakeListChatModel({ responses: [] }), { withStructuredOutput: (_: unknown, options: { strict?: boolean }) => (seen.push(options.strict), RunnableLambda.from(() => ({ city: "Oslo" }))) });
    for (const strict of [undefined, false]) {
      const parts = await run(langchain(model, { output: { name: "place", schema, ...(strict === undefined ? {} : { strict }) } }), prompt).collect();
      expect(parts).toMatchObject([{ text: '{"city":"Oslo"}' }, { reason: "stop" }]);
    }
    expect(seen).toEqual([true, false]);
  });

  test("an answer of which no JSON could be made comes as it is", async () => {
    const { parts } = await ask([...said("Oslo, I th"), ending("length")], [prompt], { output: { name: "place", schema } });
    expect(parts).toMatchObject([{ text: "Oslo, I th" }, { reason: "length" }]);
  });

  test("a runnable that cannot be asked for tools or JSON says so, and is not asked", async () => {
    let calls = 0;
    const plain = langchain(RunnableLambda.from((said: string) => (calls++, said)));
    for (const asked of [{ tools: [{ name: "f", parameters: {} }] }, { output: { name: "o", schema } }]) {
      await expect(run(asks(plain, asked), "a").text()).rejects.toMatchObject({ code: "invalid_input", message: expect.stringMatching(/bindTools|withStructuredOutput/) });
    }
    expect(calls).toBe(0);
  });

  test("config goes with the call, but never instead of the signal", async () => {
    const seen: unknown[] = [];
    const runnable = RunnableLambda.from((said: string, config) => (seen.push(config?.configurable, config?.signal), said));
    const controller = new AbortController();
    await run(langchain(runnable, { config: { configurable: { thread_id: "t" }, signal: controller.signal } }), "a").text();
    expect(seen[0]).toMatchObject({ thread_id: "t" });
    expect(seen[1]).not.toBe(controller.signal);
  });
});

describe("other runnables", () => {
  test("a chain takes the text and gives text as it comes, and any end of it is a good one", async () => {
    const chain = ChatPromptTemplate.fromTemplate("Say {input}").pipe(new FakeListChatModel({ responses: ["abc"] })).pipe(new StringOutputParser());
    const parts = await run(langchain(chain, { input: ([part]) => ({ input: part?.kind === "text" ? part.text : "" }) }), "it").collect();
    expect(textsOf(parts)).toEqual(["a", "b", "c"]);
    expect(endOf(parts)).toMatchObject({ kind: "finish", reason: "stop", rawReason: "" });
    const lambda = RunnableLambda.from((said: string) => said.toUpperCase());
    expect(await run(langchain(lambda), ["a", json({ b: 1 }), text("c", { substream: "draft" })]).text()).toBe('A{"B":1}');
  });

  test("what begins and ends with a chat model, however it is wrapped, is taken for one", async () => {
    const service = new Service().script(...said("a")).script(...said("b"));
    const model = new ScriptedChatModel(service);
    for (const runnable of [model.withConfig({ tags: ["t"] }).withRetry({ stopAfterAttempt: 1 }), RunnableLambda.from((said: string) => said).pipe(model)] as const) {
      const { error } = await failing(langchain(runnable as Runnable)(input(text("a", { role: "assistant" }), "hi")));
      expect(error).toMatchObject({ cause: { code: "truncated" } });
    }
    expect(service.requests.map(({ messages }) => messages.map(briefly))).toEqual([[["ai", "a"], ["human", "hi"]], [["human", "ahi"]]]);
  });

  test("values come as JSON; those that grow are asked for with stream: false", async () => {
    const chain = new FakeListChatModel({ responses: ['{"a":1}'] }).pipe(new JsonOutputParser());
    const of = async (stream: boolean): Promise<unknown[]> => (await run(langchain(chain, { stream }), "hi").collect()).flatMap((part) => (part.kind === "json" ? [part.value] : []));
    expect(await of(false)).toEqual([{ a: 1 }]);
    expect((await of(true)).length).toBeGreaterThan(1);
  });

  test("documents come as text parts of the user's with their metadata", async () => {
    const output = [new Document({ pageContent: "foo", metadata: { source: "a.md", loc: { line: 1 } }, id: "d1" }), new Document({ pageContent: "bar" })];
    const parts = await run(langchain(new FakeRetriever({ output })), "query").collect();
    expect(parts).toMatchObject([
      { kind: "text", text: "foo", role: "user", metadata: { source: "a.md", loc: { line: 1 }, langchain: { id: "d1" } } },
      { kind: "text", text: "bar", role: "user", metadata: {} },
      { kind: "finish" },
    ]);
    const found = await run(langchainRetriever(new FakeRetriever({ output })), ["query", image(Uint8Array.of(1)), text("  ")]).collect();
    expect(found.map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual(["foo", "bar", "query", "bytes", "  "]);
  });

  test("a retriever's answer that is no list of documents is a bad one", async () => {
    for (const output of ["foo", [{ text: "foo" }], [{ pageContent: "foo" }, null]]) {
      await expect(run(langchainRetriever({ invoke: async () => output }), "query").text()).rejects.toMatchObject({ code: "bad_response" });
    }
  });

  test("an agent's stream of messages comes as turns, each with its end, and the results of tools", async () => {
    const agent = {
      invoke: async () => undefined,
      async stream(given: { readonly messages: readonly { readonly content?: unknown }[] }) {
        const place = { langgraph_node: "agent" };
        return (async function* () {
          expect(given.messages).toEqual([{ role: "user", content: "weather?" }]);
          yield [chunkOf(piece(0, '{"city":"Oslo"}', { id: "c", name: "weather" })), place];
          yield [chunkOf(ending("tool_calls")), place];
          yield [new ToolMessage({ tool_call_id: "c", name: "weather", content: "-3" }), { langgraph_node: "tools" }];
          yield [chunkOf({ content: "Cold." }), place];
          yield [chunkOf(ending()), place];
        })();
      },
    };
    expect(await run(langchain(agent, { input: "state" }), "weather?").collect()).toMatchObject([
      { kind: "toolCall", id: "c", arguments: { city: "Oslo" } },
      { kind: "finish", reason: "tool_calls" },
      { kind: "toolResult", id: "c", name: "weather", result: "-3", isError: false },
      { kind: "text", text: "Cold." },
      { kind: "finish", reason: "stop" },
    ]);
  });

  test("what is neither text, message, document nor JSON is a bad answer, as is another's message", async () => {
    for (const value of [new Map(), undefined, 1n, new HumanMessage("me"), new SystemMessage("me"), new ToolMessage({ tool_call_id: "", content: "a" }), chunkOf({ content: [{ type: "odd", at: new Map() }] })]) {
      const runnable = { invoke: async () => value, stream: async () => (async function* () { yield value; })() };
      expect((await failing(langchain(runnable)(input("a")))).error).toMatchObject({ code: "bad_response", service: "langchain" });
    }
  });
});

describe("failures and leaving", () => {
  const http = (status: number, more: object = {}): Error => Object.assign(new Error(`${status} no, ${key}: ${prompt}`), { status, ...more });

  test.each([
    ["a status, and the hint in its headers", http(429, { headers: new Headers({ "retry-after": "2" }) }), { code: "rate_limited", status: 429, retryAfterMs: 2000 }],
    ["a status within its response", Object.assign(new Error("x"), { response: { status: 503 } }), { code: "unavailable", status: 503 }],
    ["a model that is not there", http(404), { code: "not_found", scope: "dependency" }],
    ["LangChain's own code", Object.assign(new Error("x"), { lc_error_code: "MODEL_RATE_LIMIT" }), { code: "rate_limited" }],
    ["a connection that failed", Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error("x"), { code: "ECONNRESET" }) }), { code: "unavailable" }],
  ])("%s gives the code, and no message shows key or prompt", async (_, thrown, expected) => {
    const before = await ask([thrown]);
    expect(before.error).toMatchObject({ ...expected, service: "langchain" });
    const after = await ask([...said("a", "b"), thrown]);
    expect(after.error).toMatchObject({ code: "interrupted", partial: { parts: 2, text: "ab" }, cause: expected });
    for (const { error } of [before, after]) {
      const { message, cause } = error as MillraceError;
      for (const shown of [message, String(cause), String((cause as Error).cause)]) expect([shown.includes(key), shown.includes(prompt)]).toEqual([false, false]);
    }
    expect(before.requests.length).toBe(1);
  });

  test("an error of the program, or of ours, comes out as the very object", async () => {
    for (const thrown of [new RangeError("a bug"), new MillraceError("circuit_open", "open")]) expect((await ask([thrown])).error).toBe(thrown);
  });

  test("usage that was heard of is in the error of an answer that broke off", async () => {
    const { error } = await ask([{ content: "a", usage_metadata: { input_tokens: 9, output_tokens: 0, total_tokens: 9 } }]);
    expect(error).toMatchObject({ partial: { parts: 1, usage: { inputTokens: 9, outputTokens: 0, partial: true } } });
  });

  test.each([
    ["firstPart", ["stall"], { code: "timeout", phase: "firstPart" }, 1_000],
    ["firstPart, though empty chunks come", [...said(""), "stall"], { code: "timeout", phase: "firstPart" }, 1_000],
    ["idle", [...said("a"), "stall"], { code: "interrupted", cause: { code: "timeout", phase: "idle" } }, 500],
  ] as const)("a stall is a timeout of phase %s, and closes the stream", async (_, steps, expected, ms) => {
    const clock = fakeClock();
    const service = new Service().script(...steps);
    const failed = failing(langchain(new ScriptedChatModel(service), { firstPartMs: 1_000, idleMs: 500, clock })(input(prompt)));
    await service.answered(0);
    await clock.advance(ms);
    expect((await failed).error).toMatchObject(expected);
    await service.requests[0]?.closed;
    expect(clock.pending).toBe(0);
  });

  test("an abort does not wait for a runnable that does not hear it, and closes its stream when that comes at last", async () => {
    const reason = { why: "enough" };
    for (const late of ["stream", "chunk"] as const) {
      const controller = new AbortController();
      const { promise, resolve } = Promise.withResolvers<void>();
      let closed = 0;
      const chunks: AsyncIterable<string> = {
        [Symbol.asyncIterator]: () => ({ next: async () => (late === "chunk" ? promise.then(() => ({ value: "a" })) : { value: "a" }), return: async () => (closed++, { value: undefined, done: true }) }),
      };
      const runnable = { invoke: async () => "a", stream: async () => (late === "stream" ? promise.then(() => chunks) : chunks) };
      const pending = langchain(runnable)(input("a"), contextOf(controller.signal))[Symbol.asyncIterator]().next();
      await new Promise((turn) => setTimeout(turn));
      controller.abort(reason);
      await expect(pending).rejects.toBe(reason);
      resolve();
      await new Promise((turn) => setTimeout(turn));
      expect([late, closed]).toEqual([late, 1]);
    }
  });

  test("options that are none are refused when the model is built", () => {
    const model = new FakeStreamingChatModel({});
    const wrong: readonly LangChainOptions[] = [{ input: "words" as never }, { system: 1 as never }, { systemParts: "keep" as never }, { stream: 1 as never }, { system: "s", input: "text" }];
    for (const options of wrong) expect(() => langchain(model, options)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    for (const options of [{ firstPartMs: 0 }, { idleMs: Number.NaN }]) expect(() => langchain(model, options)).toThrow(expect.objectContaining({ code: "missing_config" }));
    for (const runnable of [undefined, {}, { invoke: () => {} }]) expect(() => langchain(runnable as never)).toThrow(expect.objectContaining({ code: "invalid_input" }));
  });
});
