/**
 * LangChain: its models, chains, retrievers, embeddings and tools in pipelines, and pipelines in its chains.
 *
 * Kinds: model, embedder. Client: objects of `@langchain/core` 1 (optional peer) that the caller makes; nothing of it is imported but
 * by `toRunnable`.
 * Source: the declarations of @langchain/core 1.4
 *
 * @module
 */
import type { ModelTool, OutputSchema, ToolChoice } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { asking } from "../../wire/asking.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../../wire/model-options.ts";
import { type ModelProtocol, modelTurn } from "../../wire/model-turn.ts";
import { spokenParts, type SystemParts } from "../../wire/turn-input.ts";
import { runnableReader } from "./answer.ts";
import { type Bound, bound, jsonChunks } from "./bound.ts";
import { runnableError } from "./errors.ts";
import { keptOf, toMessages, wordsIn } from "./messages.ts";
import { type LangChainRunnable, modelWithin, type RunnableCall, saidBy } from "./runnable.ts";

export { langchainRetriever, type LangChainRetriever } from "./documents.ts";
export { langchainEmbedder, type LangChainEmbedderOptions, type LangChainEmbeddings } from "./embedder.ts";
export type { LangChainRunnable, RunnableCall } from "./runnable.ts";
export { type LangChainTool, langchainTools, type RunnableTool } from "./tools.ts";
export { type ProcessorInput, toRunnable, type ToRunnableOptions } from "./to-runnable.ts";

const service = "langchain";

/** Options of `langchain`. */
export interface LangChainOptions {
  /**
   * What the runnable is given: messages; messages as the state of a graph, `{ messages }`; the text of the main stream; or what a
   * function makes of the parts, where undefined means that there is nothing to ask.
   *
   * @default "messages" for chat models and what begins with one, else "text"
   */
  readonly input?: "messages" | "state" | "text" | ((parts: readonly Part[]) => unknown);
  /** False asks with `invoke`: for what streams values that grow, as a JSON parser does. @default true */
  readonly stream?: boolean;
  /** Goes with every call: `configurable`, `callbacks`, `tags`, `streamMode` and the like. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** System text, ahead of all messages. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Tools that the model may call; calls come out as parts, and running them is not done here. */
  readonly tools?: readonly ModelTool[];
  readonly toolChoice?: ToolChoice;
  /** JSON that the answer must be; it comes as text, and without tools in one piece. */
  readonly output?: OutputSchema;
  /**
   * An answer that ends without a reason is `truncated`; false takes any end for a good one, as of models that give no reasons.
   *
   * @default true for chat models and what ends with one
   */
  readonly requireFinish?: boolean;
  /** An answer that was cut is `truncated` and one that was withheld `refused`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Milliseconds to the first content; to the whole answer where it comes in one piece. @default 60_000 */
  readonly firstPartMs?: number;
  /** Milliseconds between chunks, once content has come. @default 30_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Asks a chat model of LangChain, or any other of its runnables. Make models with `maxRetries: 0`: theirs would repeat what `retry` repeats.
 *
 * Reads:  the whole input, as one turn. For messages: text, JSON, media in memory or by address, tool calls and results, and what the
 *         model itself wants back of its reasoning; consecutive parts of one role are one message. `status`, `debug`, `sources`,
 *         finish and error parts are not sent.
 * Yields: text as it comes; reasoning on substream `reasoning`, media, annotations as JSON on `sources`, tool calls once whole, results of
 *         tools that an agent ran; documents as text parts with their metadata, other values as JSON; one finish part last, with
 *         reason, usage and model.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot give and for tools or JSON that the runnable cannot be
 *         asked for, `truncated` without a reason for the end, `timeout` with its phase, the code of the status that the client behind
 *         it met, and what else the runnable throws; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the stream, on end, break, throw and abort, and the signal that the runnable was given; `close()` ends what runs with `closed`.
 *
 * @example
 * import { FakeListChatModel } from "@langchain/core/utils/testing";
 *
 * const model = langchain(new FakeListChatModel({ responses: ["Hello there."], generationInfo: { finish_reason: "stop" } }));
 * console.log(await run(model, "Hi").text()); // Hello there.
 */
export function langchain(runnable: LangChainRunnable, options: LangChainOptions = {}): Model {
  checkOptions(runnable, options);
  const { input = saidBy(modelWithin(runnable, "input"), "_modelType") === "base_chat_model" ? "messages" : "text", stream = true, config = {} } = options;
  const { system, systemParts = "refuse", strictFinish = false, firstPartMs = 60_000, idleMs = 30_000, clock = systemClock } = options;
  const speaker = modelWithin(runnable, "output");
  const model = saidBy(speaker, "_llmType") ?? "";
  const requireFinish = options.requireFinish ?? saidBy(speaker, "_modelType") === "base_chat_model";

  /** What it is given; undefined when there is nothing to say. */
  const given = (parts: readonly Part[]): unknown => {
    const spoken = spokenParts(service, parts, systemParts, (part) => keptOf(part, model) !== undefined);
    if (!spoken.some(({ speaker }) => speaker !== "system")) return undefined;
    if (typeof input === "function") return input(spoken.map(({ part }) => part));
    if (input === "text") return spoken.filter(({ part }) => part.substream === "").map(({ part }) => wordsIn(service, part)).join("");
    const messages = [...(system === undefined ? [] : [{ role: "system", content: system }]), ...toMessages(service, spoken, model)];
    return input === "state" ? { messages } : messages;
  };
  const protocol: ModelProtocol<Bound & { readonly input: unknown }> = {
    service,
    toBody(parts, asked) {
      const body = given(parts);
      return body === undefined ? undefined : { ...bound(service, runnable, asking(service, options, asked)), input: body };
    },
    prepare: async () => ({ secrets: [], send: ({ input: body, ...it }, { signal }) => opened(it, body, { ...config, signal }, stream) }),
    reader: () => runnableReader({ service, model, requireFinish, strictFinish }),
    errorOf: (error, redact) => runnableError(service, error, redact),
  };
  const life = lifetime(service, () => Promise.resolve());
  // Nothing connects here: all up to the first content is one wait.
  return modelOf(service, (parts, context) => modelTurn(protocol, { connectMs: firstPartMs, firstPartMs, idleMs, clock, system, life }, parts, context), life.close);
}

/** The chunks of an answer. A stream that comes when nobody waits for it any more is closed. */
async function opened({ runnable, json }: Bound, input: unknown, call: RunnableCall, stream: boolean): Promise<AsyncIterable<unknown>> {
  const body = input as never; // of the type that the runnable takes, which only the caller knows
  if (json !== undefined) return iterated(jsonChunks(await runnable.invoke(body, call), json));
  if (!stream) return iterated([await runnable.invoke(body, call)]);
  const chunks = await runnable.stream(body, call);
  if (call.signal?.aborted === true) void Promise.resolve(chunks[Symbol.asyncIterator]().return?.()).catch(() => {});
  return chunks;
}

async function* iterated(values: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* values;
}

function checkOptions(runnable: unknown, options: LangChainOptions): void {
  if (typeof fieldOf(runnable, "invoke") !== "function" || typeof fieldOf(runnable, "stream") !== "function") {
    throw invalidOption(service, "runnable", "an object with invoke and stream", runnable);
  }
  checkSystemOptions(service, options);
  const { input, system, firstPartMs, idleMs } = options;
  if (input !== undefined && typeof input !== "function" && !["messages", "state", "text"].includes(input)) {
    throw invalidOption(service, "input", "messages, state, text or a function", input);
  }
  if (system !== undefined && (input === "text" || typeof input === "function")) throw invalidOption(service, "input", "messages or state, as there is a system", input);
  for (const name of ["stream", "requireFinish", "strictFinish"] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== "boolean") throw invalidOption(service, name, "true or false", value);
  }
  checkMilliseconds(service, { firstPartMs, idleMs });
}
