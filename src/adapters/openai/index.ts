/**
 * OpenAI: the Responses API, and Chat Completions for every server that speaks it (vLLM, LM Studio, Groq, OpenRouter, Ollama).
 *
 * Kind: model. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference
 *
 * @module
 */
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import { type Model, modelOf, type ModelTool } from "../../kinds/model.ts";
import { compact } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { type ModelProtocol, modelTurn, type TurnSettings } from "../../wire/model-turn.ts";
import { chatReader } from "../../wire/openai/chat-events.ts";
import { type ChatRequest, toChatRequest } from "../../wire/openai/chat-request.ts";
import { bodyError, clientError, reportedError, type Reporting } from "../../wire/openai/errors.ts";
import { responsesReader } from "../../wire/openai/responses-events.ts";
import { type ResponsesRequest, toResponsesRequest } from "../../wire/openai/responses-request.ts";
import type { SystemParts } from "../../wire/turn-input.ts";
import { connection, type ConnectionOptions, type OpenAIChatClient, type OpenAIResponsesClient, requestOptions } from "./client.ts";

export type { ConnectionOptions, OpenAIChatClient, OpenAIEmbeddingsClient, OpenAIResponsesClient } from "./client.ts";
export { openaiEmbedder, type OpenAIEmbedderOptions } from "./embedder.ts";

const service = "openai";

/** JSON that the answer must be. */
export interface OutputSchema {
  readonly name: string;
  /** JSON Schema. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Hold the model to the schema, of which only a part is allowed then. @default true */
  readonly strict?: boolean;
}

/** What both APIs take. */
export interface OpenAICommonOptions<Client> extends ConnectionOptions<Client> {
  readonly model: string;
  /** System text, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Tokens, reasoning included. */
  readonly maxOutputTokens?: number;
  /** From 0 to 2; models that reason take none. */
  readonly temperature?: number;
  /** From 0 to 1. */
  readonly topP?: number;
  /** Tools that the model may call; calls come out as parts, and running them is not done here. */
  readonly tools?: readonly ModelTool[];
  /** @default what the service does: "auto" where there are tools */
  readonly toolChoice?: "auto" | "none" | "required" | { readonly name: string };
  /** Makes the answer JSON of a schema. */
  readonly output?: OutputSchema;
  /** An answer that was cut is `truncated`, one that was withheld is `refused`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Fields of the request that have no option here; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Milliseconds from sending to headers; a large request gets 1 s more for each 128 kB. @default 10_000 */
  readonly connectMs?: number;
  /** Milliseconds to the first content. @default 60_000; 300_000 where the model may reason first */
  readonly firstPartMs?: number;
  /** Milliseconds between bytes, once content has come; four times that between content. @default 30_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** Options of `openai`. */
export interface OpenAIOptions extends OpenAICommonOptions<OpenAIResponsesClient> {
  /** How hard to think, and whether to tell of it; false for models that cannot. @default what the model does by itself */
  readonly reasoning?: false | { readonly effort?: string; readonly summary?: "auto" | "concise" | "detailed" };
}

/** Options of `openaiChat`. */
export interface OpenAIChatOptions extends OpenAICommonOptions<OpenAIChatClient> {
  /** False for servers that refuse `stream_options`. @default true */
  readonly usage?: boolean;
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
}

/**
 * Asks a model through the Responses API; nothing is stored there.
 *
 * Reads:  the whole input, as one turn: text, JSON, images, PDFs and other files, tool calls and results, its own reasoning.
 *         Consecutive parts of one role are one message. `status`, `debug`, `sources`, finish and error parts are not sent.
 * Yields: text as it comes; reasoning on substream `reasoning`, citations as JSON on `sources`, tool calls once whole, a refusal
 *         as text with `metadata.openai.refusal`; one finish part last, with reason, usage and model. Role `assistant`.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, `missing_config` without package or key,
 *         `unauthorized`, `not_found`, `rate_limited` with `retryAfterMs`, `unavailable`, `timeout` with its phase, `bad_response`,
 *         `truncated`; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const model = openai({ model: "gpt-5-mini", system: "Answer in one sentence." });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 */
export function openai(options: OpenAIOptions): Model {
  const who = "openai";
  checkOptions(who, options);
  const { model, system, systemParts = "refuse", tools, toolChoice, output, reasoning, extra = {} } = options;
  const opened = connection(who, options);
  const fields: { readonly [K in keyof Omit<ResponsesRequest, "input">]: ResponsesRequest[K] | undefined } = {
    model,
    stream: true,
    store: false,
    stream_options: { include_obfuscation: false },
    include: reasoning === false ? undefined : ["reasoning.encrypted_content"], // a model without reasoning refuses the question
    instructions: system,
    max_output_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    reasoning: reasoning === false || reasoning === undefined ? undefined : compact<{ effort?: string; summary?: string }>({ effort: reasoning.effort, summary: reasoning.summary }),
    tools: tools?.map((tool) => ({ type: "function", strict: false, ...tool })),
    tool_choice: typeof toolChoice === "object" ? { type: "function", name: toolChoice.name } : toolChoice,
    text: output && { format: { type: "json_schema", strict: true, ...output } },
  };
  const protocol: ModelProtocol<ResponsesRequest> = {
    service,
    toBody: (parts) => toResponsesRequest(parts, { who, systemParts, fields, extra }),
    async prepare(signal) {
      const { secrets, client } = await opened.connect(signal);
      return { secrets, send: (body, exchange) => client(exchange).responses.create(body, requestOptions(exchange)) };
    },
    reader: (redact) => responsesReader({ service, strictFinish: options.strictFinish ?? false, errorOf: (error) => reportedError(error, { service, model, redact }) }),
    errorOf: (error, redact) => errorOf(error, { service, model, redact }),
  };
  return made(who, protocol, options, reasoning === false ? 60_000 : 300_000, opened.close);
}

/**
 * Asks a model through Chat Completions: OpenAI's, or any server that speaks it, at `baseUrl`.
 *
 * Reads:  as `openai`, and audio (wav, mp3); reasoning is not sent back. The key may be absent where the server asks for none.
 * Yields: as `openai`; tool calls come at the end, when they are known to be whole.
 * Throws: as `openai`.
 * Closes: as `openai`.
 *
 * @example
 * const local = openaiChat({ model: "qwen3", baseUrl: "http://127.0.0.1:8000/v1" });
 * console.log(await run(local, "Say hello.").text());
 */
export function openaiChat(options: OpenAIChatOptions): Model {
  const who = "openaiChat";
  checkOptions(who, options);
  const { model, system, systemParts = "refuse", tools, toolChoice, output, usage = true, extra = {} } = options;
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const fields: { readonly [K in keyof Omit<ChatRequest, "messages">]: ChatRequest[K] | undefined } = {
    model,
    stream: true,
    stream_options: usage ? { include_usage: true } : undefined,
    max_completion_tokens: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    stop: options.stop,
    tools: tools?.map((tool) => ({ type: "function", function: tool })),
    tool_choice: typeof toolChoice === "object" ? { type: "function", function: { name: toolChoice.name } } : toolChoice,
    response_format: output && { type: "json_schema", json_schema: { strict: true, ...output } },
  };
  const protocol: ModelProtocol<ChatRequest> = {
    service,
    toBody: (parts) => toChatRequest(parts, { who, system, systemParts, fields, extra }),
    async prepare(signal) {
      const { secrets, client } = await opened.connect(signal);
      return { secrets, send: (body, exchange) => client(exchange).chat.completions.create(body, requestOptions(exchange)) };
    },
    reader: (redact) => chatReader({ service, strictFinish: options.strictFinish ?? false, errorOf: (error) => reportedError(error, { service, model, redact }) }),
    errorOf: (error, redact) => errorOf(error, { service, model, redact }),
  };
  return made(who, protocol, options, 60_000, opened.close);
}

// --- what the two share ---

function made<Body>(who: string, protocol: ModelProtocol<Body>, options: OpenAICommonOptions<unknown>, firstPartMs: number, closeClient: () => Promise<void>): Model {
  const life = lifetime(service, closeClient);
  const settings: TurnSettings = {
    connectMs: options.connectMs ?? 10_000,
    firstPartMs: options.firstPartMs ?? firstPartMs,
    idleMs: options.idleMs ?? 30_000,
    clock: options.clock ?? systemClock,
    fetch: options.fetch,
    system: options.system,
    life,
  };
  return modelOf(who, (input, context) => modelTurn(protocol, settings, input, context), life.close);
}

function errorOf(error: unknown, reporting: Reporting): MillraceError | undefined {
  return error instanceof Error ? clientError(error, reporting) : bodyError(error, reporting);
}

function checkOptions(who: string, options: OpenAICommonOptions<unknown>): void {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  if (typeof options.model !== "string" || options.model === "") throw invalidOption(who, "model", "a name", options.model);
  if (options.system !== undefined && typeof options.system !== "string") throw invalidOption(who, "system", "text", options.system);
  const { systemParts = "refuse", maxOutputTokens, temperature, topP } = options;
  if (systemParts !== "refuse" && systemParts !== "demote") throw invalidOption(who, "systemParts", "refuse or demote", systemParts);
  if (maxOutputTokens !== undefined) wholeNumber(who, "maxOutputTokens", maxOutputTokens, 1);
  if (temperature !== undefined && !(temperature >= 0 && temperature <= 2)) throw invalidOption(who, "temperature", "a number from 0 to 2", temperature);
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw invalidOption(who, "topP", "a number from 0 to 1", topP);
  for (const name of ["connectMs", "firstPartMs", "idleMs"] as const) {
    const ms = options[name];
    if (ms !== undefined && !(Number.isFinite(ms) && ms > 0)) {
      throw new MillraceError("missing_config", `${who}: ${name} must be a number of milliseconds above 0, got ${String(ms)}`);
    }
  }
}
