/**
 * A processor as a runnable of LangChain, to stand in its chains and graphs.
 *
 * @module
 */
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import type { AIMessageChunk, BaseMessage, StandardMessageStructure } from "@langchain/core/messages";
import type { Runnable, RunnableConfig } from "@langchain/core/runnables";
import { invalidOption } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { run } from "../../core/run.ts";
import { type ChunkFields, chunkWriter } from "./chunks.ts";
import { inputParts } from "./inputs.ts";
import { loaded } from "./load.ts";

/** What may be handed to it: what a chat model of LangChain takes, and parts. */
export type ProcessorInput = BaseLanguageModelInput | BaseMessage | Part | readonly Part[];

/** Options of `toRunnable`. */
export interface ToRunnableOptions {
  /** What traces call it. @default the processor's name */
  readonly name?: string;
}

/**
 * Makes a runnable of a processor: `pipe`, `stream`, `invoke`, `batch` and the like are LangChain's own.
 *
 * Its output is an assistant's message, streamed part by part: text and JSON of the main stream as content, reasoning and media as
 * standard blocks, tool calls, and of finish parts the sum of the usage and the last reason. Status parts, results of tools and other
 * substreams are left out. In a stream the step has no trace of its own; what it leaves is closed at once instead.
 *
 * Reads:  a prompt, messages, documents, texts or parts. System messages speak as system: whoever calls it vouches for them.
 * Throws: `missing_config` without `@langchain/core`. When called: `invalid_input` for another input, whatever the processor throws, the
 *         very object, and on abort what LangChain makes of the signal's reason.
 * Closes: the run, when the stream is left or cancelled, and on abort.
 *
 * @example
 * import { StringOutputParser } from "@langchain/core/output_parsers";
 * import { ChatPromptTemplate } from "@langchain/core/prompts";
 *
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * const chain = ChatPromptTemplate.fromTemplate("Hello {name}").pipe(await toRunnable(shout)).pipe(new StringOutputParser());
 * console.log(await chain.invoke({ name: "Ada" })); // HELLO ADA
 */
export async function toRunnable(processor: Processor, options: ToRunnableOptions = {}): Promise<Runnable<ProcessorInput, AIMessageChunk>> {
  const who = "toRunnable";
  if (typeof processor !== "function") throw invalidOption(who, "processor", "a processor", processor);
  const { name = processor.name || "millrace" } = options;
  if (typeof name !== "string") throw invalidOption(who, "name", "text", name);
  const [{ AIMessageChunk: Chunk, coerceMessageLikeToMessage }, { Runnable: Base }] = await loaded(who, Promise.all([import("@langchain/core/messages"), import("@langchain/core/runnables")]));
  const chunkOf = (fields: ChunkFields): AIMessageChunk => new Chunk<StandardMessageStructure>(fields);
  const open = (input: ProcessorInput, config: Partial<RunnableConfig> = {}): AsyncGenerator<AIMessageChunk> => {
    const { signal } = config;
    return chunks(who, run(processor, inputParts(who, input, coerceMessageLikeToMessage), signal === undefined ? {} : { signal }), chunkOf);
  };

  class ProcessorRunnable extends Base<ProcessorInput, AIMessageChunk> {
    override lc_namespace = ["millrace"];
    override name = name;

    override invoke(input: ProcessorInput, config?: Partial<RunnableConfig>): Promise<AIMessageChunk> {
      return this._callWithConfig(
        async (given: ProcessorInput, inner?: Partial<RunnableConfig>) => {
          let message: AIMessageChunk | undefined;
          for await (const chunk of open(given, inner)) message = message === undefined ? chunk : message.concat(chunk);
          return message ?? chunkOf({ content: "" });
        },
        input,
        config,
      );
    }

    override _streamIterator(input: ProcessorInput, config?: Partial<RunnableConfig>): AsyncGenerator<AIMessageChunk> {
      return open(input, config);
    }
  }
  return new ProcessorRunnable();
}

/** No generator: it can be left while it waits. */
function chunks(who: string, parts: AsyncIterable<Part>, chunkOf: (fields: ChunkFields) => AIMessageChunk): AsyncGenerator<AIMessageChunk> {
  const writer = chunkWriter(who);
  const iterator = parts[Symbol.asyncIterator]();
  const over: IteratorResult<AIMessageChunk> = { done: true, value: undefined };
  const leave = async (): Promise<IteratorResult<AIMessageChunk>> => {
    await iterator.return?.();
    return over;
  };
  return {
    async next() {
      for (;;) {
        const { done, value } = await iterator.next();
        const fields = done === true ? writer.end() : write(value);
        if (fields !== undefined) return { done: false, value: chunkOf(fields) };
        if (done === true) return over;
      }
    },
    return: leave,
    async throw(error) {
      await leave();
      throw error;
    },
    async [Symbol.asyncDispose]() {
      await leave();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };

  function write(part: Part): ChunkFields | undefined {
    try {
      return writer.write(part);
    } catch (error) {
      void leave().catch(() => {}); // the error that is thrown counts
      throw error;
    }
  }
}
