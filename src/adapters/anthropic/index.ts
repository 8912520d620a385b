/**
 * Anthropic: the Messages API, always streamed.
 *
 * Kind: model. Client: `@anthropic-ai/sdk` 1, an optional peer that is loaded at first use.
 * Source: platform.claude.com/docs/en/api/messages
 *
 * | part | what is sent of it |
 * | --- | --- |
 * | text, JSON | `text`; deltas of an answer are joined; text without a visible character is left out |
 * | role `system`, made by this program | at the start: `system`; later: a message of role `system` behind the user's turn |
 * | role `tool` | the user's words |
 * | image (jpeg, png, gif, webp) | `image`, by `base64` or `url` |
 * | PDF; text files | `document` by `base64` or `url`; by `text`; `title` from `metadata.file.name` |
 * | audio, video, anything else | `invalid_input` |
 * | tool call, tool result | `tool_use`; `tool_result`, first in the user's message |
 * | media of role `tool` behind the result that `metadata.toolResult.id` names | within the `tool_result` |
 * | its own thinking, tools it ran, citations | as they came, unchanged |
 * | `metadata.anthropic.cacheControl`: true or `{ ttl }` | `cache_control` of the block, at most four |
 *
 * | event | part |
 * | --- | --- |
 * | `text_delta` | text; `metadata.anthropic.textBlock` from the second text block on |
 * | `thinking_delta`, and the block's end | text on `reasoning`; then `""` with `metadata.anthropic.block`, signature included |
 * | `redacted_thinking` | `""` on `reasoning` with `metadata.anthropic.block` |
 * | `tool_use` | tool call, once whole; raw text in `metadata.anthropic.arguments` |
 * | `citations_delta`; tools that the service runs and their results | JSON on `sources` |
 * | `message_stop` | finish part |
 * | `error` | thrown by its type |
 *
 * | `stop_reason` | reason |
 * | --- | --- |
 * | `end_turn`, `stop_sequence` | `stop` |
 * | `max_tokens`, `model_context_window_exceeded` | `length`; within a tool call: `truncated` |
 * | `tool_use` | `tool_calls` |
 * | `refusal` | `refusal`, details in `metadata.anthropic.stopDetails` |
 * | `pause_turn` | gone on with; `pause` when that was done `maxContinuations` times |
 * | any other | `other` |
 *
 * @module
 */
import type { Asked, ModelTool, OutputSchema, ToolChoice } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import type { CacheControl } from "../../wire/anthropic/content.ts";
import { bodyError, clientError, reportedError } from "../../wire/anthropic/errors.ts";
import { messagesReader } from "../../wire/anthropic/events.ts";
import { outputSchema } from "../../wire/anthropic/output-schema.ts";
import { pausedTurns } from "../../wire/anthropic/paused-turns.ts";
import { declared, type MessagesRequest, type MessagesSettings, toMessagesRequest } from "../../wire/anthropic/request.ts";
import { streamEvent } from "../../wire/anthropic/stream-event.ts";
import { asking, type StandingAsks } from "../../wire/asking.ts";
import { compact } from "../../wire/json-shape.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../../wire/model-options.ts";
import type { ModelProtocol, TurnSettings } from "../../wire/model-turn.ts";
import type { SystemParts } from "../../wire/turn-input.ts";
import { connection, type ConnectionOptions, requestOptions } from "./client.ts";

export type { AnthropicClient, AnthropicCountingClient, ConnectionOptions } from "./client.ts";
export { anthropicTokenCounter, type AnthropicTokenCounterOptions } from "./token-counter.ts";

const service = "anthropic";

/** Requests that one paused turn may take beyond the first. */
const usualContinuations = 8;
/** The least that the service takes for thinking. */
const minThinkingTokens = 1_024;

/** How a model thinks before it answers. */
export interface Thinking {
  /** Tokens for it, from 1,024 and below `maxOutputTokens`. @default as many as the model sees fit ("adaptive") */
  readonly budgetTokens?: number;
  /** Whether its words come, or only what is sent back. @default the model's own */
  readonly display?: "summarized" | "omitted";
}

/** Options of `anthropic`. */
export interface AnthropicOptions extends ConnectionOptions {
  readonly model: string;
  /** System text, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Tokens, thinking included; the service wants a number. @default 4096 */
  readonly maxOutputTokens?: number;
  /** @default what the model does by itself; false switches it off */
  readonly thinking?: false | Thinking;
  /** How much it may take to answer well. @default the model's own */
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max";
  /** Tools that the model may call; calls come out as parts, and running them is not done here. */
  readonly tools?: readonly ModelTool[];
  /** Tools that the service runs itself, as it describes them: `{ type: "web_search_20260318", name: "web_search" }`. */
  readonly serverTools?: readonly Readonly<Record<string, unknown>>[];
  /** @default what the service does: "auto" where there are tools */
  readonly toolChoice?: ToolChoice;
  /** Requests that a paused turn may take beyond its first one. @default 8 with `serverTools`, else 0 */
  readonly maxContinuations?: number;
  /** Makes the answer JSON of a schema: of what the service refuses in one, the model is told in words. */
  readonly output?: Pick<OutputSchema, "schema">;
  /** Documents may be cited; the citations are JSON on `sources`. @default false */
  readonly citations?: boolean;
  /** Keeps the whole request in the cache, for five minutes or an hour; one of the four marks that a request may have. @default no */
  readonly cache?: "5m" | "1h";
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
  /** An answer that was cut is `truncated`, one that was refused is `refused`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Fields of the request that have no option here; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Milliseconds from sending to headers; a large request gets 1 s more for each 128 kB. @default 10_000 */
  readonly connectMs?: number;
  /** Milliseconds to the first content. @default 60_000; 300_000 with `thinking` or `effort` */
  readonly firstPartMs?: number;
  /** Milliseconds between bytes, once content has come; four times that between content. @default 30_000 */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Asks a model through the Messages API.
 *
 * Reads:  the whole input, as one turn: text, JSON, images, PDFs and text files, tool calls and results, its own thinking, sources
 *         and tools the service ran. Consecutive parts of one role are one message. `status`, `debug`, `partial`, other sources,
 *         finish and error parts are not sent.
 * Yields: text as it comes; thinking on substream `reasoning`; citations, and tools the service ran, as JSON on `sources`; tool
 *         calls once whole; one finish part last, with reason, usage and model. Role `assistant`. A turn that the service pauses
 *         goes on in further requests, and is one answer.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, `missing_config` without package or key,
 *         `unauthorized`, `not_found`, `rate_limited` with `retryAfterMs`, `unavailable` (overload included), `timeout` with its
 *         phase, `bad_response`, `truncated`; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const model = anthropic({ model: "claude-sonnet-5-5", system: "Answer in one sentence." });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 */
export function anthropic(options: AnthropicOptions): Model {
  const who = "anthropic";
  checkOptions(who, options);
  const { model, strictFinish = false, serverTools, maxContinuations = serverTools === undefined ? 0 : usualContinuations } = options;
  const opened = connection(who, options, options.extra ?? {});
  const settings = settingsOf(who, options);
  const bodyOf = (parts: readonly Part[], asked: Asked, container: string | undefined): MessagesRequest | undefined =>
    toMessagesRequest(parts, { ...settings, fields: { ...settings.fields, ...askedFields(asking(who, options, asked), options), container } });
  const protocol = (container: string | undefined): ModelProtocol<MessagesRequest> => ({
    service,
    toBody: (parts, asked) => bodyOf(parts, asked, container),
    async prepare(signal) {
      const { secrets, client } = await opened.connect(signal);
      return {
        secrets,
        send: (body, exchange) => client(exchange).messages.create(body, requestOptions(exchange)),
        eventOf: (event, redact) => streamEvent(event, { service, model, redact }),
      };
    },
    reader: (redact) => messagesReader({ service, strictFinish, errorOf: (error) => reportedError(error, { service, model, redact }) }),
    errorOf(error, redact) {
      const reporting = { service, model, redact };
      return error instanceof Error ? clientError(error, reporting) : bodyError(error, reporting);
    },
  });
  const life = lifetime(service, opened.close);
  const thinks = options.effort !== undefined || (options.thinking !== undefined && options.thinking !== false);
  const turn: TurnSettings = {
    connectMs: options.connectMs ?? 10_000,
    firstPartMs: options.firstPartMs ?? (thinks ? 300_000 : 60_000),
    idleMs: options.idleMs ?? 30_000,
    clock: options.clock ?? systemClock,
    fetch: options.fetch,
    system: options.system,
    life,
  };
  return modelOf(who, (input, context) => pausedTurns({ protocol, turn, maxContinuations }, input, context), life.close);
}

// --- what the options say, in the service's words ---

/** What a turn may be asked for in other words than the options. */
function askedFields({ tools = [], toolChoice, output }: StandingAsks<Pick<OutputSchema, "schema">>, { serverTools = [], effort }: AnthropicOptions): Pick<MessagesSettings["fields"], AskedField> {
  const all = [...tools.map(declared), ...serverTools];
  const outputConfig = compact<object>({ effort, format: output && { type: "json_schema", schema: outputSchema(output.schema) } } as object);
  return {
    output_config: Object.keys(outputConfig).length === 0 ? undefined : outputConfig,
    tools: all.length === 0 ? undefined : all,
    tool_choice: choiceOf(toolChoice),
  };
}

type AskedField = "output_config" | "tools" | "tool_choice";

function settingsOf(who: string, options: AnthropicOptions): Omit<MessagesSettings, "fields"> & { readonly fields: Omit<MessagesSettings["fields"], AskedField | "container"> } {
  const { model, system, systemParts = "refuse", maxOutputTokens = 4_096, thinking, stop, cache, citations = false, extra = {} } = options;
  const cacheControl: CacheControl | undefined = cache === undefined ? undefined : { type: "ephemeral", ttl: cache };
  return {
    who,
    system,
    systemParts,
    cited: citations,
    extra,
    fields: {
      model,
      max_tokens: maxOutputTokens,
      stream: true,
      cache_control: cacheControl,
      thinking: thinking === undefined ? undefined : thinkingOf(thinking),
      stop_sequences: stop,
    },
  };
}

function thinkingOf(thinking: false | Thinking): object {
  if (thinking === false) return { type: "disabled" };
  const { budgetTokens, display } = thinking;
  const shown = display === undefined ? {} : { display };
  return budgetTokens === undefined ? { type: "adaptive", ...shown } : { type: "enabled", budget_tokens: budgetTokens, ...shown };
}

function choiceOf(choice: AnthropicOptions["toolChoice"]): object | undefined {
  if (choice === undefined) return undefined;
  if (typeof choice === "object") return { type: "tool", name: choice.name };
  return { type: choice === "required" ? "any" : choice };
}

function checkOptions(who: string, options: AnthropicOptions): void {
  checkSystemOptions(who, options);
  const { model, maxOutputTokens = 4_096, thinking, maxContinuations, cache, connectMs, firstPartMs, idleMs } = options;
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  wholeNumber(who, "maxOutputTokens", maxOutputTokens, 1);
  if (maxContinuations !== undefined) wholeNumber(who, "maxContinuations", maxContinuations, 0);
  if (cache !== undefined && cache !== "5m" && cache !== "1h") throw invalidOption(who, "cache", "5m or 1h", cache);
  if (thinking !== undefined && thinking !== false) {
    if (typeof thinking !== "object" || thinking === null) throw invalidOption(who, "thinking", "false or an object", thinking);
    const { budgetTokens } = thinking;
    if (budgetTokens !== undefined) wholeNumber(who, "thinking.budgetTokens", budgetTokens, minThinkingTokens);
    if (budgetTokens !== undefined && budgetTokens >= maxOutputTokens) throw invalidOption(who, "thinking.budgetTokens", `below maxOutputTokens (${maxOutputTokens})`, budgetTokens);
  }
  checkMilliseconds(who, { connectMs, firstPartMs, idleMs });
}
