/** A chat model of LangChain's own base class over a service that is an object of this process. */
import { BaseChatModel, type BaseChatModelCallOptions, type BindToolsInput } from "@langchain/core/language_models/chat_models";
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import { AIMessage, AIMessageChunk, type BaseMessage, type ToolCallChunk, type UsageMetadata } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import type { ModelRequest } from "../../../src/testing/contracts/model-bench.ts";

/** Fields of a chunk; LangChain's own type for them knows no usage. */
export interface Fields {
  readonly content: string | Record<string, unknown>[];
  readonly tool_call_chunks?: ToolCallChunk[];
  readonly tool_calls?: AIMessage["tool_calls"];
  readonly additional_kwargs?: Record<string, unknown>;
  readonly response_metadata?: Record<string, unknown>;
  readonly usage_metadata?: UsageMetadata;
}

/** What a service does next: a chunk, an error, or nothing until it is left, which it may fail to hear. */
export type Step = Fields | Error | "stall" | "deaf";

/** How a chunk ends an answer, with what it took. */
export const ending = (finish_reason = "stop", usage: UsageMetadata = { input_tokens: 3, output_tokens: 5, total_tokens: 8 }): Fields => ({
  content: "",
  response_metadata: { finish_reason, model_name: "scripted-1" },
  usage_metadata: usage,
});
/** A piece of a tool call. */
export const piece = (index: number | undefined, args: string, call: { readonly id?: string; readonly name?: string } = {}): Fields => ({
  content: "",
  tool_call_chunks: [{ type: "tool_call_chunk", args, ...(index === undefined ? {} : { index }), ...call }],
});
export const said = (...deltas: readonly string[]): Fields[] => deltas.map((content) => ({ content }));

export const chunkOf = (fields: Fields): AIMessageChunk => new AIMessageChunk(fields as ConstructorParameters<typeof AIMessageChunk>[0]);

/** The service: as many answers as were scripted, one a request. */
export class Service {
  readonly requests: (ModelRequest & { readonly messages: readonly BaseMessage[]; readonly options: Readonly<Record<string, unknown>> })[] = [];
  readonly scripts: ((body: string) => readonly Step[])[] = [];
  readonly #waiting = new Map<number, (request: ModelRequest) => void>();

  script(...steps: readonly Step[]): this {
    this.scripts.push(() => steps);
    return this;
  }

  async *ask(messages: readonly BaseMessage[], { signal, ...options }: { readonly signal?: AbortSignal }): AsyncGenerator<Fields, void, undefined> {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const { tools, tool_choice, response_format } = options as Record<string, unknown>;
    const body = JSON.stringify({ messages: messages.map((message) => message.toDict()), tools, tool_choice, response_format });
    const request = { body, closed, messages, options };
    this.#waiting.get(this.requests.push(request) - 1)?.(request);
    try {
      for (const step of this.scripts.shift()?.(body) ?? ["stall" as const]) {
        if (step instanceof Error) throw step;
        if (step === "deaf") await new Promise(() => {});
        else if (step === "stall") await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
        else yield step;
      }
    } finally {
      close();
    }
  }

  async answered(index: number): Promise<ModelRequest> {
    return this.requests[index] ?? new Promise((resolve) => this.#waiting.set(index, resolve));
  }
}

interface ScriptedOptions extends BaseChatModelCallOptions {
  readonly tools?: readonly BindToolsInput[];
}

export class ScriptedChatModel extends BaseChatModel<ScriptedOptions> {
  readonly service: Service;

  constructor(service: Service) {
    super({ maxRetries: 0 });
    this.service = service;
  }

  _llmType(): string {
    return "scripted";
  }

  override bindTools(tools: BindToolsInput[], kwargs: Partial<ScriptedOptions> = {}): Runnable<BaseLanguageModelInput, AIMessageChunk, ScriptedOptions> {
    return this.withConfig({ ...kwargs, tools });
  }

  override async *_streamResponseChunks(messages: BaseMessage[], options: this["ParsedCallOptions"]): AsyncGenerator<ChatGenerationChunk> {
    for await (const fields of this.service.ask(messages, options)) {
      yield new ChatGenerationChunk({ text: typeof fields.content === "string" ? fields.content : "", message: chunkOf(fields) });
    }
  }

  async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"]): Promise<ChatResult> {
    let whole: AIMessageChunk | undefined;
    for await (const fields of this.service.ask(messages, options)) whole = whole === undefined ? chunkOf(fields) : whole.concat(chunkOf(fields));
    const { content = "", tool_calls = [], response_metadata = {}, usage_metadata } = whole ?? {};
    const message = new AIMessage({ content, tool_calls, response_metadata });
    return { generations: [{ text: message.text, message: Object.assign(message, { usage_metadata }) }] };
  }
}
