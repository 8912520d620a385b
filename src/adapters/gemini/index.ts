/**
 * Gemini: the Gemini API, and Vertex AI.
 *
 * Kind: model. Client: `@google/genai` 3, an optional peer that is loaded at first use.
 * Source: ai.google.dev/api/generate-content, cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
 *
 * | part | goes out as |
 * | --- | --- |
 * | text, JSON | `text`, role `user` or `model`; deltas of an answer are joined |
 * | image, audio, video, PDF, text file in memory | `inlineData`, with `metadata.gemini.videoMetadata`; JSON as text |
 * | the same by address: https, gs | `fileData` |
 * | tool call, tool result | `functionCall`, `functionResponse` with the id of the call; results that are no object as `{ result }`, errors as `{ error }` |
 * | media of role `tool` behind the result that `metadata.toolResult.id` names | `parts` of its `functionResponse` |
 * | system, `system` | `systemInstruction` |
 * | a thought, anything with a signature, code that was run | as it came |
 *
 * | comes in | becomes |
 * | --- | --- |
 * | `text` | text; with `thought`, on substream `reasoning` |
 * | `thoughtSignature` | `metadata.gemini.thoughtSignature` of the part it is on; of an empty one on `reasoning` where it stands alone |
 * | `functionCall` | tool call, once whole; `metadata.gemini.arguments` is the text of its arguments |
 * | `inlineData`, `fileData` | bytes, uri |
 * | `executableCode`, `codeExecutionResult`, `toolCall`, `toolResponse` | JSON on `sources`, and an empty part on `reasoning` that takes it back |
 * | `groundingMetadata`, `citationMetadata`, `urlContextMetadata` | JSON on `sources` |
 * | `STOP`; `MAX_TOKENS`; `CONTINUATION` | `stop`, `tool_calls` where there was a call; `length`; `pause` |
 * | `SAFETY`, `RECITATION`, `BLOCKLIST`, `PROHIBITED_CONTENT`, `SPII`, `MODEL_ARMOR`, `IMAGE_…` of those, `blockReason` | `content_filter` |
 * | `MALFORMED_FUNCTION_CALL`, `UNEXPECTED_TOOL_CALL`, `MALFORMED_RESPONSE`; `MISSING_THOUGHT_SIGNATURE` | throws `bad_response`; `invalid_input` |
 * | any other reason | `other` |
 *
 * @module
 */
import type { Asked, ModelTool, OutputSchema, ToolChoice } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { asking } from "../../wire/asking.ts";
import { type GeminiEvent, geminiReader } from "../../wire/gemini/answer-reader.ts";
import { bodyError, clientError } from "../../wire/gemini/errors.ts";
import { type GuardedAnswer, guardedAnswer } from "../../wire/gemini/guarded-answer.ts";
import { type GeminiRequest, type GeminiSettings, toGeminiRequest } from "../../wire/gemini/request.ts";
import { streamEvent } from "../../wire/gemini/stream-event.ts";
import { compact } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../../wire/model-options.ts";
import { type ModelProtocol, modelTurn, type TurnSettings } from "../../wire/model-turn.ts";
import type { SystemParts } from "../../wire/turn-input.ts";
import { connection, type ConnectionOptions, type GeminiClient } from "./client.ts";
import { checkModel } from "./model-name.ts";

export type { ConnectionOptions, GeminiClient, GeminiCountingClient, GeminiEmbeddingsClient, VertexOptions } from "./client.ts";
export { geminiEmbedder, type GeminiEmbedderOptions } from "./embedder.ts";
export { geminiTokenCounter, type GeminiTokenCounterOptions } from "./token-counter.ts";

const service = "gemini";

/** An image comes in one event: 4,096 by 4,096 pixels that do not compress take 48 MiB, 64 in base64. */
const maxEventBytes = 68_157_440;

/** One kind of harm, and how much of it is let by. */
export interface SafetySetting {
  /** `HARM_CATEGORY_HARASSMENT`, `HARM_CATEGORY_DANGEROUS_CONTENT`, … */
  readonly category: string;
  /** `BLOCK_NONE`, `BLOCK_ONLY_HIGH`, … */
  readonly threshold: string;
}

/** How hard to think, and whether to tell of it. */
export interface ThinkingOptions {
  /** Tell of the thoughts, in short. @default what the service does */
  readonly include?: boolean;
  /** Tokens; -1 leaves it to the model. */
  readonly budget?: number;
  /** For the models that take a level instead: "minimal", "low", "medium", "high". */
  readonly level?: string;
}

/** Options of `gemini`. */
export interface GeminiOptions extends ConnectionOptions<GeminiClient> {
  readonly model: string;
  /** System text, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Tokens, thoughts included. */
  readonly maxOutputTokens?: number;
  /** From 0 to 2. */
  readonly temperature?: number;
  /** From 0 to 1. */
  readonly topP?: number;
  readonly topK?: number;
  readonly seed?: number;
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
  /** Tools that the model may call; calls come out as parts, and running them is not done here. */
  readonly tools?: readonly ModelTool[];
  /** @default what the service does: "auto" where there are tools */
  readonly toolChoice?: ToolChoice;
  /** Tools that the service runs by itself: `{ googleSearch: {} }`, `{ codeExecution: {} }`, … */
  readonly serverTools?: readonly Readonly<Record<string, unknown>>[];
  /** Makes the answer JSON of a schema. */
  readonly output?: Pick<OutputSchema, "schema">;
  /** False asks for no thinking, which some models refuse. @default what the model does by itself */
  readonly thinking?: false | ThinkingOptions;
  /** What may be in the answer, for models that make more than text: "TEXT", "IMAGE", "AUDIO". */
  readonly modalities?: readonly string[];
  /** @default what the service does */
  readonly safety?: readonly SafetySetting[];
  /** An answer that was cut is `truncated`, one that was withheld is `refused`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Fields of the client's `config` that have no option here; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Milliseconds from sending to headers, which may come with the first content; a large request gets 1 s more for each 128 kB. @default 30_000 */
  readonly connectMs?: number;
  /** Milliseconds to the first content. @default 300_000, as models may think first; 60_000 where `thinking` is false */
  readonly firstPartMs?: number;
  /** Milliseconds between bytes, once content has come; four times that between content. @default 30_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Asks a Gemini model.
 *
 * Reads:  the whole input, as one turn: text, JSON, images, audio, video, PDFs and text files, tool calls and results, its own
 *         thoughts. Consecutive parts of one role are one message. `status`, `debug`, `partial`, `sources`, finish and error
 *         parts are not sent.
 * Yields: text as it comes; thoughts on substream `reasoning`; images and other media as bytes; grounding, citations and code that
 *         was run as JSON on `sources`; tool calls once whole; one finish part last, with reason, usage and model. Role `assistant`.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, `missing_config` without package or key,
 *         `unauthorized`, `not_found`, `rate_limited` with `retryAfterMs`, `unavailable`, `timeout` with its phase, `bad_response`,
 *         `truncated`; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const model = gemini({ model: "gemini-2.5-flash", system: "Answer in one sentence." });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 */
export function gemini(options: GeminiOptions): Model {
  const who = "gemini";
  checkOptions(who, options);
  const { model, system, systemParts = "refuse", extra = {}, strictFinish = false, thinking } = options;
  const opened = connection(who, options);
  const settings: Omit<GeminiSettings, "fields"> = { who, model, system, systemParts, extra };
  const protocol: ModelProtocol<GeminiRequest> = {
    service,
    toBody: (parts, asked) => toGeminiRequest(parts, { ...settings, fields: fieldsOf(options, asked) }),
    async prepare(signal) {
      const { secrets, client, options: optionsOf } = await opened.connect(signal);
      let guarded: GuardedAnswer | undefined;
      return {
        secrets,
        async send(request, exchange, redact) {
          guarded = guardedAnswer(exchange, "text/event-stream", { service, model, redact });
          const config = { ...request.config, ...optionsOf(exchange, guarded.fetch) };
          return eventsOf(await client.models.generateContentStream({ ...request, config }));
        },
        eventOf: (event, redact) => streamEvent(event, guarded?.reporting ?? { service, model, redact }),
      };
    },
    reader: (redact) => geminiReader({ service, strictFinish, errorOf: (chunk) => bodyError(chunk, { service, model, redact }) }),
    errorOf: (error, redact) => clientError(error, { service, model, redact }),
  };
  const life = lifetime(service, opened.close);
  const turn: TurnSettings = {
    connectMs: options.connectMs ?? 30_000,
    firstPartMs: options.firstPartMs ?? (thinking === false ? 60_000 : 300_000),
    idleMs: options.idleMs ?? 30_000,
    clock: options.clock ?? systemClock,
    fetch: opened.fetch,
    maxEventBytes,
    system,
    life,
  };
  return modelOf(who, (input, context) => modelTurn(protocol, turn, input, context), life.close);
}

/** The chunks of a client that does not ask by our `fetch`. */
async function* eventsOf(chunks: AsyncIterable<unknown>): AsyncGenerator<GeminiEvent> {
  for await (const chunk of chunks) yield { chunk, rawArguments: [] };
}

function fieldsOf(options: GeminiOptions, asked: Asked): GeminiSettings["fields"] {
  const { serverTools = [], modalities, safety } = options;
  const { tools = [], toolChoice, output } = asking<Pick<OutputSchema, "schema">>("gemini", options, asked);
  const declared = tools.map(({ name, description, parameters }) => compact<object>({ name, description, parametersJsonSchema: parameters } as object));
  const all = [...serverTools, ...(declared.length === 0 ? [] : [{ functionDeclarations: declared }])];
  return {
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    maxOutputTokens: options.maxOutputTokens,
    stopSequences: options.stop,
    seed: options.seed,
    responseMimeType: output && "application/json",
    responseJsonSchema: output?.schema,
    responseModalities: modalities,
    safetySettings: safety,
    tools: all.length === 0 ? undefined : all,
    toolConfig: toolConfigOf(toolChoice),
    thinkingConfig: thinkingConfigOf(options.thinking),
    automaticFunctionCalling: { disable: true },
    automaticContinuation: false,
  };
}

function toolConfigOf(choice: GeminiOptions["toolChoice"]): object | undefined {
  if (choice === undefined) return undefined;
  const mode = typeof choice === "object" || choice === "required" ? "ANY" : choice.toUpperCase();
  return { functionCallingConfig: { mode, ...(typeof choice === "object" ? { allowedFunctionNames: [choice.name] } : {}) } };
}

function thinkingConfigOf(thinking: GeminiOptions["thinking"]): object | undefined {
  if (thinking === undefined) return undefined;
  if (thinking === false) return { thinkingBudget: 0 };
  const { include, budget, level } = thinking;
  return compact<object>({ includeThoughts: include, thinkingBudget: budget, thinkingLevel: level?.toUpperCase() } as object);
}

function checkOptions(who: string, options: GeminiOptions): void {
  checkSystemOptions(who, options);
  checkModel(who, options.model);
  const { maxOutputTokens, temperature, topP, topK, seed, connectMs, firstPartMs, idleMs } = options;
  if (maxOutputTokens !== undefined) wholeNumber(who, "maxOutputTokens", maxOutputTokens, 1);
  if (temperature !== undefined && !(temperature >= 0 && temperature <= 2)) throw invalidOption(who, "temperature", "a number from 0 to 2", temperature);
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw invalidOption(who, "topP", "a number from 0 to 1", topP);
  if (topK !== undefined) wholeNumber(who, "topK", topK, 1);
  if (seed !== undefined) wholeNumber(who, "seed", seed, -(2 ** 31), 2 ** 31 - 1);
  checkMilliseconds(who, { connectMs, firstPartMs, idleMs });
}
