/**
 * The AI SDK: any language model of its providers as a processor, and any processor as one of its language models.
 *
 * Kind: model; embedder. Client: a model of a provider package (`@ai-sdk/openai`, …), of specification v4 or v3; no package is loaded.
 * Source: `@ai-sdk/provider` 4, src/language-model/v4
 *
 * | part | in the prompt |
 * | --- | --- |
 * | text, JSON | `text`; neighbours of an answer are one, as far as their provider said the same of them |
 * | role `system`, made by this program | a `system` message, where it stands |
 * | role `tool` | the user's words |
 * | bytes, address | `file`, `filename` from `metadata.file.name`; addresses that the model does not fetch: `invalid_input` |
 * | tool call, tool result | `tool-call`; `tool-result` |
 * | reasoning of an assistant | `reasoning`, `reasoning-file` |
 * | JSON on `sources`: tools the provider ran, `custom` | as it came |
 * | metadata | `providerOptions`: of an assistant's parts all that is an object, of others that under the names in `providers` |
 *
 * | stream part | part |
 * | --- | --- |
 * | `text-delta`, `reasoning-delta` | text; on `reasoning` |
 * | `text-end`, `reasoning-end` with data | `""` behind the block, with that as metadata |
 * | `tool-call` | tool call, before the finish part if its input is empty or no JSON; one that the provider ran itself: JSON on `sources` |
 * | `file`, `reasoning-file` | bytes or address |
 * | `source`, `custom`, `tool-result`, `tool-approval-request`, citations of a text | JSON on `sources` |
 * | `stream-start` | its warnings on `status` |
 * | `finish` | finish part; id, time and raw usage in `metadata.aiSdk` |
 * | `error` | thrown by its kind |
 * | `providerMetadata` of any of them | metadata, unchanged |
 *
 * | `finishReason` | reason |
 * | --- | --- |
 * | `stop`, `length`, `tool-calls`, `content-filter` | `stop`, `length` (within a tool call: `truncated`), `tool_calls`, `content_filter` |
 * | with raw `refusal`, `pause_turn` | `refusal`, `pause` |
 * | `interrupted`, or `other` without a raw reason | `truncated`: providers end so when their service does not say why |
 * | `error` | `unavailable` |
 * | `other` | `other` |
 *
 * @module
 */
import type { Asked, ModelTool, OutputSchema, ToolChoice } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { reportedError, thrownError } from "../../wire/ai-sdk/errors.ts";
import { sdkReader, streamParts } from "../../wire/ai-sdk/events.ts";
import { checkAddresses, type PromptMessage, toPrompt } from "../../wire/ai-sdk/prompt.ts";
import type { ProviderData, SpecificationVersion } from "../../wire/ai-sdk/shapes.ts";
import { asking } from "../../wire/asking.ts";
import { compact } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../../wire/model-options.ts";
import { type ModelProtocol, modelTurn } from "../../wire/model-turn.ts";
import type { SystemParts } from "../../wire/turn-input.ts";

export { aiSdkEmbedder, type AiSdkEmbedderOptions, type AiSdkEmbeddingModel } from "./embedder.ts";
export { toAiSdk, type AiSdkLanguageModel, type ToAiSdkOptions } from "./to-ai-sdk.ts";

const service = "ai-sdk";

/** What a model is called with; settings that are not given are left out. */
export interface AiSdkCall {
  readonly prompt: readonly unknown[];
  readonly abortSignal?: AbortSignal;
}

/** What is called of a language model: `LanguageModelV4`, or `LanguageModelV3`. */
export interface AiSdkModel {
  readonly specificationVersion: SpecificationVersion;
  readonly provider: string;
  readonly modelId: string;
  readonly supportedUrls: PromiseLike<Readonly<Record<string, readonly RegExp[]>>> | Readonly<Record<string, readonly RegExp[]>>;
  doStream(options: AiSdkCall): PromiseLike<{ readonly stream: ReadableStream<unknown> }>;
}

/** How hard a model thinks, in the SDK's words; of specification v4. */
export type AiSdkReasoning = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";

/** Options of `aiSdk`. */
export interface AiSdkOptions {
  /** System text, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  /** From 0 to 1. */
  readonly topP?: number;
  readonly seed?: number;
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
  /** @default the model's own */
  readonly reasoning?: AiSdkReasoning;
  /** Tools that the model may call; calls come out as parts, and running them is not done here. */
  readonly tools?: readonly ModelTool[];
  /** Tools that the provider runs itself, as its package makes them. */
  readonly providerTools?: readonly Readonly<Record<string, unknown>>[];
  readonly toolChoice?: ToolChoice;
  /** Makes the answer JSON, of a schema if there is one. */
  readonly output?: "json" | OutputSchema;
  /** What the SDK has no word for, by name of provider: `{ anthropic: { effort: "low" } }`. */
  readonly providerOptions?: ProviderData;
  /** Names under which parts' metadata is for the provider. @default what `provider` of the model says before its first dot */
  readonly providers?: readonly string[];
  /** Sent with each request, where the provider's package does so. */
  readonly headers?: Readonly<Record<string, string>>;
  /** An answer that was cut is `truncated`, one that was refused is `refused`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Milliseconds to the first content. @default 60_000; 300_000 with `reasoning` */
  readonly firstPartMs?: number;
  /** Milliseconds between stream parts, once content has come; four times that between content. @default 30_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** What is sent, but for the signal. */
interface SdkRequest {
  readonly prompt: PromptMessage[];
}

/**
 * Makes a processor of a language model of the AI SDK.
 *
 * Reads:  the whole input, as one turn: text, JSON, files, tool calls and results, the model's own reasoning and what its provider
 *         ran. Consecutive parts of one role are one message. `status`, `debug`, other sources, finish and error parts are not sent.
 * Yields: text as it comes; reasoning on substream `reasoning`; tool calls once whole; files; sources as JSON on `sources`; one
 *         finish part last, with reason, usage and model. Role `assistant`. Warnings on `status`.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, the code of an HTTP status with
 *         `retryAfterMs`, `unavailable`, `timeout` with its phase, `bad_response`, `truncated` without a `finish` that says why;
 *         afterwards `interrupted` around that, with `partial`. What is no error of the SDK's comes out as it is. Never a retry: wrap it.
 * Closes: the stream, which it cancels and aborts on break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));
 * const model = aiSdk(toAiSdk(shout, { modelId: "shout" })); // or a model of a provider: openai("gpt-5-mini")
 * console.log(await run(model, "hello").text()); // HELLO
 */
export function aiSdk(model: AiSdkModel, options: AiSdkOptions = {}): Model {
  const who = "aiSdk";
  checkModel(who, model);
  checkOptions(who, model, options);
  const { provider, modelId, specificationVersion: version } = model;
  const { system, systemParts = "refuse", strictFinish = false, firstPartMs = options.reasoning === undefined ? 60_000 : 300_000, idleMs = 30_000 } = options;
  const providers = new Set(options.providers ?? [provider.split(".")[0] ?? provider]);
  const protocol: ModelProtocol<SdkRequest> = {
    service,
    toBody(parts, asked) {
      const prompt = toPrompt(parts, { who, version, system, systemParts, providers });
      return prompt === undefined ? undefined : { ...fieldsOf(who, options, asked), prompt };
    },
    prepare: () =>
      Promise.resolve({
        secrets: Object.values(options.headers ?? {}),
        async send(body, { signal }) {
          checkAddresses(who, body.prompt, await model.supportedUrls);
          signal.throwIfAborted();
          return streamParts(model.doStream({ ...body, abortSignal: signal }), signal);
        },
      }),
    reader: (redact) => sdkReader({ service, modelId, strictFinish, errorOf: (error) => reportedError(error, { service, model: modelId, redact }) }),
    errorOf: (error, redact) => thrownError(error, { service, model: modelId, redact }),
  };
  const life = lifetime(service, () => Promise.resolve());
  const settings = { connectMs: firstPartMs, firstPartMs, idleMs, clock: options.clock ?? systemClock, system, life };
  return modelOf(who, (input, context) => modelTurn(protocol, settings, input, context), life.close);
}

/** The settings of a call. */
function fieldsOf(who: string, options: AiSdkOptions, asked: Asked): object {
  const { maxOutputTokens, temperature, topP, seed, stop, reasoning, providerTools = [], providerOptions, headers } = options;
  const { tools = [], toolChoice, output } = asking(who, options, asked);
  const all = [...tools.map(({ name, description, parameters }) => ({ type: "function", name, ...(description === undefined ? {} : { description }), inputSchema: parameters })), ...providerTools];
  return compact<object>({
    maxOutputTokens,
    temperature,
    topP,
    seed,
    stopSequences: stop === undefined ? undefined : [...stop],
    reasoning,
    tools: all.length === 0 ? undefined : all,
    toolChoice: toolChoice === undefined ? undefined : typeof toolChoice === "object" ? { type: "tool", toolName: toolChoice.name } : { type: toolChoice },
    responseFormat: output === undefined ? undefined : { type: "json", ...(output === "json" ? {} : { schema: output.schema, name: output.name }) },
    providerOptions,
    headers,
  } as object);
}

function checkModel(who: string, model: AiSdkModel): void {
  if (typeof model !== "object" || model === null || typeof model.doStream !== "function") throw invalidOption(who, "model", "a language model of the AI SDK", model);
  const { specificationVersion: version, provider, modelId } = model;
  if (version !== "v3" && version !== "v4") throw invalidOption(who, "model", "of specification v3 or v4", version);
  if (typeof provider !== "string" || typeof modelId !== "string") throw invalidOption(who, "model", "one with a provider and a modelId", provider);
}

function checkOptions(who: string, { specificationVersion: version }: AiSdkModel, options: AiSdkOptions): void {
  checkSystemOptions(who, options);
  const { output, temperature, topP, reasoning, providers, firstPartMs, idleMs } = options;
  if (output !== undefined && output !== "json" && typeof output?.schema !== "object") throw invalidOption(who, "output", "json or an object with a schema", output);
  if (options.maxOutputTokens !== undefined) wholeNumber(who, "maxOutputTokens", options.maxOutputTokens, 1);
  if (options.seed !== undefined) wholeNumber(who, "seed", options.seed, 0);
  if (temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0)) throw invalidOption(who, "temperature", "a number from 0", temperature);
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw invalidOption(who, "topP", "a number from 0 to 1", topP);
  if (reasoning !== undefined && version === "v3") throw invalidOption(who, "reasoning", "left to providerOptions for a model of specification v3", reasoning);
  if (providers !== undefined && !Array.isArray(providers)) throw invalidOption(who, "providers", "a list of names", providers);
  checkMilliseconds(who, { firstPartMs, idleMs });
}
