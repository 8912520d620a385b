/**
 * OpenAI: the Responses API, and Chat Completions for every server that speaks it (vLLM, LM Studio, Groq, OpenRouter, Ollama).
 *
 * Kind: model. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { type ModelProtocol, modelTurn } from "../../wire/model-turn.ts";
import { type OpenAIChatClient, type OpenAIResponsesClient, requestOptions } from "../../wire/openai/client.ts";
import { type ChatOptions, checkTurnOptions, firstPartMs, type ResponsesOptions, type TurnOptions, turnSettings } from "../../wire/openai/options.ts";
import { chatProtocol, responsesProtocol } from "../../wire/openai/protocols.ts";
import { connection, type ConnectionOptions } from "./client.ts";

export type { OpenAIChatClient, OpenAIEmbeddingsClient, OpenAIResponsesClient } from "../../wire/openai/client.ts";
export type { ConnectionOptions } from "./client.ts";
export { openaiEmbedder, type OpenAIEmbedderOptions } from "./embedder.ts";

const service = "openai";

/** What both APIs take. */
export interface OpenAICommonOptions<Client> extends ConnectionOptions<Client>, TurnOptions {
  readonly model: string;
}

/** Options of `openai`. */
export interface OpenAIOptions extends OpenAICommonOptions<OpenAIResponsesClient>, ResponsesOptions {}

/** Options of `openaiChat`. */
export interface OpenAIChatOptions extends OpenAICommonOptions<OpenAIChatClient>, ChatOptions {}

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
  const { model } = options;
  const opened = connection(who, options);
  const protocol = responsesProtocol(
    {
      who,
      service,
      model,
      async prepare(signal) {
        const { secrets, client } = await opened.connect(signal);
        return { secrets, send: (body, exchange) => client(exchange).responses.create(body, requestOptions(exchange)) };
      },
    },
    options,
  );
  return made(who, protocol, options, options.reasoning === false ? firstPartMs.plain : firstPartMs.responses, opened.close);
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
  const { model } = options;
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const protocol = chatProtocol(
    {
      who,
      service,
      model,
      async prepare(signal) {
        const { secrets, client } = await opened.connect(signal);
        return { secrets, send: (body, exchange) => client(exchange).chat.completions.create(body, requestOptions(exchange)) };
      },
    },
    options,
  );
  return made(who, protocol, options, firstPartMs.plain, opened.close);
}

// --- what the two share ---

function made<Body>(who: string, protocol: ModelProtocol<Body>, options: OpenAICommonOptions<unknown>, firstMs: number, closeClient: () => Promise<void>): Model {
  const life = lifetime(service, closeClient);
  const settings = turnSettings(options, firstMs, life);
  return modelOf(who, (input, context) => modelTurn(protocol, settings, input, context), life.close);
}

function checkOptions(who: string, options: OpenAICommonOptions<unknown>): void {
  checkTurnOptions(who, options);
  if (typeof options.model !== "string" || options.model === "") throw invalidOption(who, "model", "a name", options.model);
}
