import { Document } from "@langchain/core/documents";
import { AIMessage, type AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { Runnable, RunnableLambda, RunnableMap } from "@langchain/core/runnables";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { langchain, type ProcessorInput, toRunnable } from "../../src/adapters/langchain/index.ts";
import { debug, errorPart, finish, image, json, status, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import type { Part } from "../../src/core/part.ts";
import type { Processor } from "../../src/core/processor.ts";
import { run } from "../../src/core/run.ts";
import { isTrustedSystem } from "../../src/core/system-brand.ts";
import { each } from "../../src/streams/each.ts";
import { mockModel } from "../../src/testing/mock-model.ts";
import { collect, input } from "./openai/support.ts";

const shout = each((part) => (part.kind === "text" ? part.text.toUpperCase() : part));
const saying = (...parts: readonly Part[]): Processor => async function* () { yield* parts; };
const assistant = { role: "assistant" } as const;
async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
const gathered = async (stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> => (await all(stream)).reduce((message, chunk) => message.concat(chunk));
/** What a processor gets to see. */
async function seen(given: ProcessorInput): Promise<Part[]> {
  const parts: Part[] = [];
  await (await toRunnable(each((part) => void parts.push(part)))).invoke(given);
  return parts;
}

describe("in a chain", () => {
  test("it is a runnable of LangChain's own: invoke, batch, stream and pipe work", async () => {
    const runnable = await toRunnable(shout, { name: "shout" });
    expect([runnable instanceof Runnable, Runnable.isRunnable(runnable), runnable.getName()]).toEqual([true, true, "shout"]);
    expect((await runnable.batch(["a", "b"])).map(({ content }) => content)).toEqual(["A", "B"]);
    const chain = ChatPromptTemplate.fromTemplate("Hello {name}").pipe(runnable).pipe(new StringOutputParser());
    expect(await chain.invoke({ name: "Ada" })).toBe("HELLO ADA");
    expect((await all(await chain.stream({ name: "Ada" }))).join("")).toBe("HELLO ADA");
    const map = RunnableMap.from({ loud: runnable, plain: RunnableLambda.from((said: string) => said) });
    expect(await map.invoke("a")).toMatchObject({ loud: { content: "A" }, plain: "a" });
  });

  test("its stream gives each part when it comes, through what follows too", async () => {
    const processor: Processor = async function* (parts, context) {
      for await (const _ of parts) yield text("one", assistant);
      await new Promise((_, reject) => context?.signal.addEventListener("abort", () => reject(context.signal.reason)));
    };
    for (const stream of [(await toRunnable(processor)).pipe(new StringOutputParser()), await toRunnable(processor)]) {
      const controller = new AbortController();
      const chunks = (await stream.stream("a", { signal: controller.signal }))[Symbol.asyncIterator]();
      expect(await chunks.next()).toMatchObject({ done: false, value: stream instanceof Runnable && "steps" in stream ? "one" : { content: "one" } });
      controller.abort(new Error("enough"));
      await expect(chunks.next()).rejects.toThrow("enough");
    }
  });

  test("the callbacks of a call hear of it by its name", async () => {
    const heard: unknown[] = [];
    const callbacks = [{ handleChainStart: (...[, , , , , , , name]: readonly unknown[]) => void heard.push(name), handleChainEnd: (output: unknown) => void heard.push(output) }];
    await (await toRunnable(shout, { name: "shout" })).invoke("a", { callbacks });
    expect(heard).toMatchObject(["shout", { content: "A" }]);
  });
});

describe("leaving", () => {
  /** Yields, then waits for ever without hearing anything; its input counts. */
  function parked(): { readonly processor: Processor; readonly closed: Promise<void> } {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const processor: Processor = async function* (parts, context) {
      context?.signal.addEventListener("abort", () => resolve());
      yield text("one", assistant);
      await new Promise(() => {});
      yield* parts;
    };
    return { processor, closed };
  }

  test("break closes the processor, also while it waits", async () => {
    const { processor, closed } = parked();
    for await (const chunk of await (await toRunnable(processor)).stream("a")) {
      expect(chunk.content).toBe("one");
      break;
    }
    await closed;
  });

  test("break in a chain runs what the processor has to clean up", async () => {
    const { promise: cleaned, resolve } = Promise.withResolvers<void>();
    const processor: Processor = async function* () {
      try {
        for (;;) yield text("more", assistant);
      } finally {
        resolve();
      }
    };
    const chain = RunnableLambda.from((said: string) => said).pipe(await toRunnable(processor)).pipe(new StringOutputParser());
    for await (const words of await chain.stream("a")) {
      expect(words).toBe("more");
      break;
    }
    await cleaned;
  });

  test("an abort closes the processor and rejects with the reason, in a call and in a stream", async () => {
    for (const how of ["invoke", "stream"] as const) {
      const { processor, closed } = parked();
      const runnable = await toRunnable(processor);
      const controller = new AbortController();
      const reason = new Error("enough");
      const chunks = how === "stream" ? (await runnable.stream("a", { signal: controller.signal }))[Symbol.asyncIterator]() : undefined;
      await chunks?.next();
      const pending = expect(chunks === undefined ? runnable.invoke("a", { signal: controller.signal }) : chunks.next()).rejects.toBe(reason);
      await new Promise((turn) => setTimeout(turn));
      controller.abort(reason);
      await pending;
      await closed;
    }
  });

  test("a signal that has aborted runs nothing", async () => {
    let calls = 0;
    const runnable = await toRunnable(each((part) => (calls++, part)));
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(runnable.invoke("a", { signal })).rejects.toThrow("enough");
    await expect(runnable.stream("a", { signal })).rejects.toThrow("enough");
    expect(calls).toBe(0);
  });

  test("an error of the processor comes out as the very object, after what came before it", async () => {
    const broken = new RangeError("broken");
    const processor: Processor = async function* () {
      yield text("one", assistant);
      throw broken;
    };
    const runnable = await toRunnable(processor);
    await expect(runnable.invoke("a")).rejects.toBe(broken);
    const chunks: unknown[] = [];
    await expect((async () => { for await (const { content } of await runnable.stream("a")) chunks.push(content); })()).rejects.toBe(broken);
    expect(chunks).toEqual(["one"]);
  });

  test("an error part that nobody handled is an error, and closes the run", async () => {
    let cleaned = 0;
    const processor: Processor = async function* () {
      try {
        yield errorPart({ code: "timeout", message: "late", ordinal: 0 });
      } finally {
        cleaned += 1;
      }
    };
    await expect((await toRunnable(processor)).invoke("a")).rejects.toMatchObject({ code: "tool_failed", message: expect.stringContaining("timeout") });
    expect(cleaned).toBe(1);
  });
});

describe("what it is handed", () => {
  test("messages become parts of their roles, with media, calls and results", async () => {
    const parts = await seen([
      new SystemMessage("Be brief."),
      new HumanMessage({ content: [{ type: "text", text: "Look" }, { type: "image_url", image_url: { url: "data:image/png;base64,AQI=" } }] }),
      new AIMessage({ content: [{ type: "reasoning", reasoning: "Hm." }, { type: "text", text: "One moment." }], tool_calls: [{ id: "c", name: "f", args: { a: 1 } }] }),
      new ToolMessage({ tool_call_id: "c", content: "no", status: "error" }),
      ["human", "And now?"],
    ]);
    expect(parts).toMatchObject([
      { kind: "text", role: "system", text: "Be brief." },
      { kind: "text", role: "user", text: "Look" },
      { role: "user", mimeType: "image/png" },
      { kind: "text", role: "assistant", substream: "reasoning", text: "Hm." },
      { kind: "text", role: "assistant", substream: "", text: "One moment." },
      { kind: "toolCall", id: "c", name: "f", arguments: { a: 1 } },
      { kind: "toolResult", id: "c", name: "f", result: "no", isError: true },
      { kind: "text", role: "user", text: "And now?" },
    ]);
    expect(parts.map(isTrustedSystem).slice(0, 2)).toEqual([true, false]);
  });

  test("texts, parts, documents, messages as objects and lists of them are taken as they are", async () => {
    const part = text("p", { metadata: { n: 1 } });
    expect(await seen("a")).toMatchObject([{ kind: "text", role: "user", text: "a" }]);
    expect((await seen([part, image(Uint8Array.of(1))]))[0]).toBe(part);
    expect(await seen([{ role: "assistant", content: "b" }] as ProcessorInput)).toMatchObject([{ role: "assistant", text: "b" }]);
    expect(await seen([new Document({ pageContent: "d", metadata: { source: "a.md" } })] as never)).toMatchObject([{ text: "d", metadata: { source: "a.md" } }]);
    expect(await seen([])).toEqual([]);
  });

  test.each([[5], [null], [{ question: "?" }], [["a", 5]]])("%j is refused", async (given) => {
    await expect((await toRunnable(shout)).invoke(given as never)).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("toRunnable") });
    await expect((await toRunnable(shout)).stream(given as never)).rejects.toMatchObject({ code: "invalid_input" });
  });
});

describe("what it gives", () => {
  test("one message: content, calls, the sum of the usage and the last reason; what is about the run is left out", async () => {
    const runnable = await toRunnable(
      saying(
        status("working"),
        debug("d"),
        toolCall({ id: "c", name: "f", arguments: { a: 1 } }),
        toolCall({ id: "d", name: "g", arguments: {} }),
        finish({ reason: "tool_calls", model: "m-1", usage: { inputTokens: 10, outputTokens: 2, cacheReadTokens: 4 } }),
        toolResult({ id: "c", name: "f", result: "x" }),
        text("Hel", assistant),
        text("lo ", assistant),
        json({ n: 1 }, assistant),
        text("draft", { ...assistant, substream: "draft" }),
        finish({ reason: "stop", model: "m-1", usage: { inputTokens: 20, outputTokens: 3, reasoningTokens: 1 } }),
      ),
    );
    for (const message of [await runnable.invoke("a"), await gathered(await runnable.stream("a"))]) {
      expect(message.content).toBe('Hello {"n":1}');
      expect(message.tool_calls).toMatchObject([{ id: "c", name: "f", args: { a: 1 } }, { id: "d", name: "g", args: {} }]);
      expect(message.tool_call_chunks).toMatchObject([{ index: 0 }, { index: 1 }]);
      expect(message.usage_metadata).toMatchObject({ input_tokens: 30, output_tokens: 5, total_tokens: 35, input_token_details: { cache_read: 4 }, output_token_details: { reasoning: 1 } });
      expect(message.response_metadata).toMatchObject({ finish_reason: "stop", model_name: "m-1" });
    }
    expect((await (await toRunnable(saying())).invoke("a")).content).toBe("");
  });

  test("reasoning and media are standard blocks, which add up", async () => {
    const reasoning = { ...assistant, substream: "reasoning" };
    const parts = [text("Let ", reasoning), text("me.", reasoning), text("Look", assistant), text(": ", assistant), image(Uint8Array.of(1, 2), "image/png", assistant), uri("https://a.example/b.pdf", "application/pdf", assistant)];
    const { contentBlocks } = await (await toRunnable(saying(...parts))).invoke("a");
    expect(contentBlocks).toMatchObject([
      { type: "reasoning", reasoning: "Let me." },
      { type: "text", text: "Look: " },
      { type: "image", mimeType: "image/png", data: "AQI=" },
      { type: "file", mimeType: "application/pdf", url: "https://a.example/b.pdf" },
    ]);
  });
});

describe("there and back", () => {
  test("a model keeps its answer, its usage and its end", async () => {
    const answer = [{ reasoning: "Hm." }, "Hel", "lo", { toolCall: { name: "f", arguments: { a: [1, null] }, id: "c" } }] as const;
    const model = mockModel([answer, answer]);
    const asked = [text("Be brief.", { role: "system" }), text("hi")];
    const plain = (parts: readonly Part[]): unknown => parts.map(({ metadata: _, ...part }) => part);
    const there = await run(model, asked).collect();
    const back = await run(langchain(await toRunnable(model), { input: "messages", requireFinish: true }), asked).collect();
    expect(plain(back)).toEqual(plain(there));
    expect(plain(model.calls[1]?.input ?? [])).toEqual(plain(asked));
  });

  test("any mixture of texts, reasoning, media and calls comes back as it was, but that calls come last", async () => {
    const words = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
    /** Keys that reach a prototype are refused. */
    const isTaken = (value: unknown): boolean => !/"(?:__proto__|constructor|prototype)":/.test(JSON.stringify(value));
    const part: fc.Arbitrary<Part> = fc.oneof(
      words.map((content) => text(content, assistant)),
      words.map((content) => text(content, { ...assistant, substream: "reasoning" })),
      fc.uint8Array({ minLength: 1, maxLength: 9 }).map((content) => image(content, "image/png", assistant)),
      fc.record({ a: fc.jsonValue({ maxDepth: 2 }).filter(isTaken) as fc.Arbitrary<never> }).map((args) => toolCall({ id: crypto.randomUUID(), name: "f", arguments: args })),
    );
    const plain = (parts: readonly Part[]): unknown => {
      const bare = parts.map(({ metadata: _, ...rest }) => JSON.parse(JSON.stringify(rest)) as Part);
      return [...bare.filter(({ kind }) => kind !== "toolCall"), ...bare.filter(({ kind }) => kind === "toolCall")];
    };
    const property = fc.asyncProperty(fc.array(part, { maxLength: 12 }), async (parts) => {
      const back = await collect(langchain(await toRunnable(saying(...parts)))(input("a")));
      expect(plain(back.slice(0, -1))).toEqual(plain(parts));
    });
    await fc.assert(property, { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) });
  });
});

test("what is no processor is refused", async () => {
  await expect(toRunnable({} as never)).rejects.toMatchObject({ code: "invalid_input" });
  await expect(toRunnable(shout, { name: 5 as never })).rejects.toMatchObject({ code: "invalid_input" });
});
