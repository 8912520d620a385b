/**
 * Ollama: models on one's own machine, by its own API.
 *
 * Kind: model. Client: none, plain `fetch`.
 * Source: github.com/ollama/ollama, docs/api.md
 *
 * | part | in the request |
 * | --- | --- |
 * | text, JSON | `content`; neighbours of one role are one message, the user's joined by an empty line |
 * | image (PNG, JPEG, WebP) in memory | `images`; by address, and any other medium: `invalid_input` |
 * | tool call, tool result | `tool_calls`; a message of role `tool` |
 * | images of role `tool` behind the result that `metadata.toolResult.id` names | the user's, behind the results |
 * | its own thoughts | `thinking` |
 * | system, `system` | a message of role `system`, where it stands; at the beginning |
 *
 * | in a line | part |
 * | --- | --- |
 * | `message.content`, `message.thinking` | text; on `reasoning`, with `metadata.ollama.thinking` |
 * | `message.tool_calls` | tool calls, whole; an id is made where there is none |
 * | `done` with `stop`, `length`, any other word | finish part: `stop` or `tool_calls`; `length`; `other` |
 * | `prompt_eval_count`, `eval_count` | `inputTokens`, absent where the prompt came from the cache; `outputTokens` |
 * | `error` | thrown by its words |
 *
 * @module
 */
import { type Asked, askedOf, type ModelTool, type OutputSchema } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Context } from "../../core/processor.ts";
import { type Model, modelOf } from "../../kinds/model.ts";
import { asking } from "../../wire/asking.ts";
import { jsonLines } from "../../wire/json-lines.ts";
import { lifetime } from "../../wire/lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../../wire/model-options.ts";
import { type ModelProtocol, modelTurn, type TurnSettings } from "../../wire/model-turn.ts";
import { bodyError, reportedError, thrownError } from "../../wire/ollama/errors.ts";
import { ollamaReader } from "../../wire/ollama/events.ts";
import { type OllamaRequest, type OllamaSettings, toOllamaRequest } from "../../wire/ollama/request.ts";
import type { Redact } from "../../wire/redact.ts";
import type { SystemParts } from "../../wire/turn-input.ts";
import { connection, keepAlive, type OllamaConnectionOptions } from "./connection.ts";

export type { OllamaConnectionOptions } from "./connection.ts";
export { ollamaEmbedder, type OllamaEmbedderOptions } from "./embedder.ts";

const service = "ollama";

/** Options of `ollama`. */
export interface OllamaOptions extends OllamaConnectionOptions {
  /** As `ollama list` names it: `qwen3:8b`. */
  readonly model: string;
  /** System text, ahead of everything. */
  readonly system?: string;
  /** What becomes of system parts that did not come from a constructor in this program: an error, or the user's words. @default "refuse" */
  readonly systemParts?: SystemParts;
  /** Tokens, thoughts included (`num_predict`). */
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  /** From 0 to 1. */
  readonly topP?: number;
  /** The same seed and the same request give the same answer, as far as the machine goes. */
  readonly seed?: number;
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
  /** Tools that the model may call; calls come out as parts, and running them is not done here. There is no choice of tools. */
  readonly tools?: readonly ModelTool[];
  /** Makes the answer JSON, of a schema if there is one. */
  readonly output?: "json" | Pick<OutputSchema, "schema">;
  /** Whether to think first, or how hard; a model that cannot think refuses anything but false. @default what the model does by itself */
  readonly think?: boolean | "low" | "medium" | "high";
  /** Lets the server drop the beginning of a conversation that does not fit the context, unsaid. @default false: that is an error */
  readonly truncateInput?: boolean;
  /** An answer that was cut is `truncated`, instead of a finish part that says so. @default false */
  readonly strictFinish?: boolean;
  /** Fields of the request that have no option here, also within `options`; those that have one win. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Milliseconds to the first content; the model is loaded first, which may take minutes. @default 300_000 */
  readonly firstPartMs?: number;
  /** Milliseconds between bytes, once content has come. @default 30_000; 300_000 with tools, as a call is held back until it is whole */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Asks a model of an Ollama server.
 *
 * Reads:  the whole input, as one turn: text, JSON, images (PNG, JPEG, WebP) in memory, tool calls and results, its own thoughts.
 *         Images of a tool go as the user's, behind the results. Consecutive parts of one role are one message. `status`, `debug`,
 *         `partial`, `sources`, finish and error parts are not sent.
 * Yields: text as it comes; thoughts on substream `reasoning`, tool calls once whole; one finish part last, with reason, usage and
 *         model. Role `assistant`.
 * Throws: before anything came, `invalid_input` and `refused` for parts it cannot send, `not_found` for a model that is not there,
 *         `unauthorized`, `rate_limited`, `unavailable`, `timeout` with its phase, `bad_response`, `truncated` without the line that
 *         says `done`; afterwards `interrupted` around that, with `partial`. Never a retry: wrap it.
 * Closes: the connection, on end, break, throw and abort; `close()` ends what runs with `closed`.
 *
 * @example
 * const model = ollama({ model: "qwen3:8b", system: "Answer in one sentence." });
 * for await (const part of run(model, "Why is the sky blue?")) if (isText(part)) process.stdout.write(part.text);
 */
export function ollama(options: OllamaOptions): Model {
  const who = "ollama";
  checkOptions(who, options);
  const { model, system, systemParts = "refuse", think, truncateInput = false, strictFinish = false, extra = {} } = options;
  const connect = connection(who, options);
  const standing = {
    model,
    stream: true as const,
    truncate: truncateInput ? undefined : false,
    shift: truncateInput ? undefined : false,
    think,
    keep_alive: keepAlive(who, options.keepAliveMs),
  };
  const modelOptions = {
    num_ctx: options.contextTokens,
    num_predict: options.maxOutputTokens,
    temperature: options.temperature,
    top_p: options.topP,
    seed: options.seed,
    stop: options.stop,
  };
  const reporting = (redact: Redact): Parameters<typeof bodyError>[1] => ({ service, model, redact });
  const protocol: ModelProtocol<OllamaRequest> = {
    service,
    accept: "application/x-ndjson",
    toBody: (parts, asked) => toOllamaRequest(parts, { who, system, systemParts, fields: { ...standing, ...askedFields(who, options, asked) }, options: modelOptions, extra }),
    async prepare(signal) {
      const { secrets, post } = await connect(signal);
      return {
        secrets,
        async send(body, exchange, redact) {
          return jsonLines(service, (await post("/api/chat", body, exchange, reporting(redact))).body);
        },
      };
    },
    reader: (redact) => ollamaReader({ service, strictFinish, errorOf: (error) => reportedError(error, reporting(redact)) }),
    errorOf: (error, redact) => (error instanceof Error ? thrownError(error, reporting(redact)) : bodyError(error, reporting(redact))),
  };
  const firstPartMs = options.firstPartMs ?? 300_000;
  const life = lifetime(service, () => Promise.resolve());
  const settings: Omit<TurnSettings, "idleMs"> = {
    connectMs: firstPartMs, // headers come only with the first content
    firstPartMs,
    clock: options.clock ?? systemClock,
    fetch: options.fetch,
    system,
    life,
  };
  const turn = (input: AsyncIterable<Part>, context?: Context): AsyncIterable<Part> => {
    const tools = (options.tools ?? []).length + (askedOf(context).tools ?? []).length;
    return modelTurn(protocol, { ...settings, idleMs: options.idleMs ?? (tools === 0 ? 30_000 : 300_000) }, input, context);
  };
  return modelOf(who, turn, life.close);
}

/** What a turn may be asked for in other words than the options. */
function askedFields(who: string, options: OllamaOptions, asked: Asked): Pick<OllamaSettings["fields"], "tools" | "format"> {
  const { tools, toolChoice = "auto", output } = asking(who, options, asked);
  if (toolChoice !== "auto" && toolChoice !== "none") {
    throw new MillraceError("invalid_input", `${who}: there is no choice of tools, got ${JSON.stringify(toolChoice)}`, { service });
  }
  return {
    tools: toolChoice === "none" ? undefined : tools?.map((tool) => ({ type: "function", function: tool })),
    format: typeof output === "object" ? output.schema : output,
  };
}

function checkOptions(who: string, options: OllamaOptions): void {
  checkSystemOptions(who, options);
  const { model, output, think, temperature, topP, firstPartMs, idleMs } = options;
  if (typeof model !== "string" || model === "") throw invalidOption(who, "model", "a name", model);
  if (output !== undefined && output !== "json" && typeof output?.schema !== "object") throw invalidOption(who, "output", "json or an object with a schema", output);
  if (think !== undefined && typeof think !== "boolean" && !["low", "medium", "high"].includes(think)) {
    throw invalidOption(who, "think", "true, false, low, medium or high", think);
  }
  for (const name of ["maxOutputTokens", "contextTokens"] as const) if (options[name] !== undefined) wholeNumber(who, name, options[name], 1);
  if (options.seed !== undefined) wholeNumber(who, "seed", options.seed, 0);
  if (temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0)) throw invalidOption(who, "temperature", "a number from 0", temperature);
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw invalidOption(who, "topP", "a number from 0 to 1", topP);
  checkMilliseconds(who, { firstPartMs, idleMs });
}
