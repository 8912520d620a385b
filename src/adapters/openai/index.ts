/**
 * OpenAI: the Responses API, and Chat Completions for every server that speaks it (vLLM, LM Studio, Groq, OpenRouter, Ollama).
 *
 * Kind: model. Client: `openai` 7 (6 fits too), an optional peer that is loaded at first use.
 * Source: platform.openai.com/docs/api-reference
 *
 * | part | Responses | Chat Completions |
 * | --- | --- | --- |
 * | text, JSON | `input_text`, `output_text`; deltas of an answer are joined | `text` |
 * | image (png, jpeg, webp, gif): bytes, https, data | `input_image` | `image_url` |
 * | other files: bytes, data | `input_file`, named by `metadata.file.name` | `file` |
 * | other files: https | `input_file` by `file_url` | `invalid_input` |
 * | an upload: `uri("openai-file:ID", type)` | `file_id` of either | `file_id` of a file |
 * | audio (wav, mp3) in memory | `invalid_input` | `input_audio` |
 * | tool call, tool result | `function_call`, `function_call_output` | `tool_calls`, role `tool` |
 * | media of role `tool` behind the result that `metadata.toolResult.id` names | within the output | the user's, behind the results |
 * | reasoning, tools the service ran, images it made | as they came, unchanged | not sent; an image is `invalid_input` |
 *
 * | event of Responses | part |
 * | --- | --- |
 * | `output_text.delta`; `refusal.delta` | text; with `metadata.openai.refusal` |
 * | `reasoning_text.delta`, `reasoning_summary_text.delta`; the item | text on `reasoning`; `""` with `metadata.openai.item` |
 * | `function_call` | tool call, once whole; raw text in `metadata.openai.arguments` |
 * | `image_generation_call.partial_image`; the item | bytes on `partial`; bytes with `metadata.openai.item`, which is the item without the image |
 * | annotations; any other item | JSON on `sources`; `metadata.openai.item` is true on items |
 * | `completed` | finish part: `stop`, `tool_calls`, `refusal` |
 * | `incomplete` | finish part: `length`, `content_filter`; cut within a tool call: `truncated` |
 * | `failed`, `error` | thrown by its code |
 *
 * @module
 */
import { invalidOption } from "../../core/errors.ts";
import { resumable } from "../../core/resumable.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { modelTurn } from "../../wire/model-turn.ts";
import type { OpenAIChatClient, OpenAIResponsesClient } from "../../wire/openai/client.ts";
import { type ChatOptions, checkResponsesOptions, checkTurnOptions, type ResponsesOptions, responsesSettings, type TurnOptions, turnSettings } from "../../wire/openai/options.ts";
import { chatProtocol } from "../../wire/openai/protocols.ts";
import { checkResponsesClient, responsesTurns } from "../../wire/openai/responses-turns.ts";
import { connection, type ConnectionOptions } from "./client.ts";

export type { OpenAIChatClient, OpenAICountingClient, OpenAIEmbeddingsClient, OpenAIResponsesClient } from "../../wire/openai/client.ts";
export type { ConnectionOptions } from "./client.ts";
export { openaiEmbedder, type OpenAIEmbedderOptions } from "./embedder.ts";
export { openaiTokenCounter, type OpenAITokenCounterOptions } from "./token-counter.ts";

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
 * Asks a model through the Responses API; nothing is stored there, unless answers are to be resumable.
 *
 * Reads:  the whole input, as one turn: text, JSON, images, PDFs and other files, tool calls and results, its own reasoning,
 *         images and tools the service ran. Consecutive parts of one role are one message. `status`, `debug`, `partial`, other
 *         sources, finish and error parts are not sent.
 * Yields: text as it comes; reasoning on substream `reasoning`; images whole, and what there is of them before on `partial`;
 *         citations, and tools the service ran, as JSON on `sources`; tool calls once whole, a refusal as text with
 *         `metadata.openai.refusal`; one finish part last, with reason, usage and model. Role `assistant`.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, `missing_config` without package or key,
 *         `unauthorized`, `not_found`, `rate_limited` with `retryAfterMs`, `unavailable`, `timeout` with its phase, `bad_response`,
 *         `truncated`; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`. A resumable answer that is left,
 *         aborted or closed is cancelled; one that broke off behind its first part is made to its end, for whoever goes on with it.
 *
 * @example
 * const model = openai({ model: "gpt-5-mini", system: "Answer in one sentence." });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 *
 * @example
 * const patient = retry(openai({ model: "gpt-5", resumable: true }), { afterCommit: "resume" });
 * console.log(await run(patient, "Write a novel.").text());
 */
export function openai(options: OpenAIOptions): Model {
  const who = "openai";
  checkResponsesOptions(who, options);
  checkResponsesClient(who, options.client, options);
  const model = checkedModel(who, options.model);
  const opened = connection(who, options);
  const life = lifetime(service, opened.close);
  const { turn, resumption } = responsesTurns({ who, service, model, connect: opened.connect }, options, responsesSettings(options, life));
  const asking = modelOf(who, turn, life.close);
  return resumption === undefined ? asking : resumable(asking, resumption);
}

/**
 * Asks a model through Chat Completions: OpenAI's, or any server that speaks it, at `baseUrl`.
 *
 * Reads:  text, JSON, images, files and audio (wav, mp3), tool calls and results; reasoning is not sent back. The key may be absent where
 *         the server asks for none.
 * Yields: as `openai`, but for images; tool calls come at the end, when they are known to be whole.
 * Throws: as `openai`.
 * Closes: as `openai`.
 *
 * @example
 * const local = openaiChat({ model: "qwen3", baseUrl: "http://127.0.0.1:8000/v1" });
 * console.log(await run(local, "Say hello.").text());
 */
export function openaiChat(options: OpenAIChatOptions): Model {
  const who = "openaiChat";
  checkTurnOptions(who, options);
  const model = checkedModel(who, options.model);
  const opened = connection(who, options, options.baseUrl === undefined ? undefined : "none");
  const life = lifetime(service, opened.close);
  const protocol = chatProtocol({ who, service, model, connect: opened.connect }, options);
  const settings = turnSettings(options, life);
  return modelOf(who, (input, context) => modelTurn(protocol, settings, input, context), life.close);
}

function checkedModel(who: string, model: unknown): string {
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  return model;
}
