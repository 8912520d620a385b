/**
 * Options of a turn that OpenAI's two APIs share, wherever they are served, and those that one of them has.
 *
 * @module
 */
import type { ModelTool, OutputSchema, ToolChoice } from "../../core/asked.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { invalidOption, wholeNumber } from "../../core/errors.ts";
import type { Fetch } from "../answer.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";
import type { Lifetime } from "../lifetime.ts";
import { checkMilliseconds, checkSystemOptions } from "../model-options.ts";
import type { TurnSettings } from "../model-turn.ts";
import type { SystemParts } from "../turn-input.ts";

/** What both APIs take. */
export interface TurnOptions {
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
  readonly toolChoice?: ToolChoice;
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
  /** Milliseconds between bytes, once content has come; four times that between content. @default 30_000; 120_000 with `serverTools` */
  readonly idleMs?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/** What the Responses API takes besides. */
export interface ResponsesOptions extends TurnOptions {
  /** How hard to think, and whether to tell of it; false for models that cannot. @default what the model does by itself */
  readonly reasoning?: false | { readonly effort?: string; readonly summary?: "auto" | "concise" | "detailed" };
  /** Tools that the service runs itself, as it describes them: `{ type: "image_generation", partial_images: 2 }`, `{ type: "web_search" }`. */
  readonly serverTools?: readonly Readonly<Record<string, unknown>>[];
  /** Has the service make answers in the background and keep them, so that `retry` with `afterCommit: "resume"` can go on with one. @default false */
  readonly resumable?: boolean;
}

/** Options that Chat Completions do not have. */
export const ofResponses: readonly Exclude<keyof ResponsesOptions, keyof TurnOptions>[] = ["reasoning", "serverTools", "resumable"];

/** What Chat Completions take besides. */
export interface ChatOptions extends TurnOptions {
  /** False for servers that refuse `stream_options`. @default true */
  readonly usage?: boolean;
  /** Texts that end the answer. */
  readonly stop?: readonly string[];
}

/** Options that the Responses API does not have. */
export const ofChat: readonly Exclude<keyof ChatOptions, keyof TurnOptions>[] = ["usage", "stop"];

/** Refuses what no request could be made of, when the adapter is built. */
export function checkTurnOptions(who: string, options: TurnOptions): void {
  checkSystemOptions(who, options);
  const { maxOutputTokens, temperature, topP, connectMs, firstPartMs, idleMs } = options;
  if (maxOutputTokens !== undefined) wholeNumber(who, "maxOutputTokens", maxOutputTokens, 1);
  if (temperature !== undefined && !(temperature >= 0 && temperature <= 2)) throw invalidOption(who, "temperature", "a number from 0 to 2", temperature);
  if (topP !== undefined && !(topP >= 0 && topP <= 1)) throw invalidOption(who, "topP", "a number from 0 to 1", topP);
  checkMilliseconds(who, { connectMs, firstPartMs, idleMs });
}

/** As `checkTurnOptions`, and what the Responses API takes besides. */
export function checkResponsesOptions(who: string, options: ResponsesOptions): void {
  checkTurnOptions(who, options);
  const { serverTools = [], resumable = false } = options;
  if (typeof resumable !== "boolean") throw invalidOption(who, "resumable", "true or false", resumable);
  if (!Array.isArray(serverTools) || !serverTools.every((tool) => wordsOf(shapeOf(tool)?.type) !== undefined)) {
    throw invalidOption(who, "serverTools", "objects with a type", serverTools);
  }
}

/** Milliseconds to the first content: a model that may reason takes its time. */
const firstPartMs = { responses: 300_000, plain: 60_000 } as const;
/** Milliseconds between bytes: while a tool runs, or an image is made, there may be none. */
const idleMs = { tools: 120_000, plain: 30_000 } as const;
/** An image comes in one event, and once more with all others in the last: 4,096 by 4,096 pixels that do not compress take 64 MiB in base64. */
const maxImageEventBytes = 68_157_440;

/** Clocks and what else a turn of the Responses API is told. */
export function responsesSettings(options: ResponsesOptions & { readonly fetch?: Fetch }, life: Lifetime): TurnSettings {
  const { reasoning, serverTools = [] } = options;
  return {
    ...turnSettings(options, life),
    firstPartMs: options.firstPartMs ?? (reasoning === false ? firstPartMs.plain : firstPartMs.responses),
    idleMs: options.idleMs ?? (serverTools.length > 0 ? idleMs.tools : idleMs.plain),
    maxEventBytes: serverTools.some(({ type }) => type === "image_generation") ? maxImageEventBytes : undefined,
  };
}

/** Clocks and what else a turn is told. */
export function turnSettings(options: TurnOptions & { readonly fetch?: Fetch }, life: Lifetime): TurnSettings {
  return {
    connectMs: options.connectMs ?? 10_000,
    firstPartMs: options.firstPartMs ?? firstPartMs.plain,
    idleMs: options.idleMs ?? idleMs.plain,
    clock: options.clock ?? systemClock,
    fetch: options.fetch,
    system: options.system,
    life,
  };
}
