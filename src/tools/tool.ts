/**
 * A tool: what a model is told of it, and what runs when it is called.
 *
 * @module
 */
import { isWholePart } from "../core/content.ts";
import { json, text } from "../core/constructors.ts";
import { invalidOption } from "../core/errors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { JsonPart, JsonValue, Part, TextPart, ToolCallPart } from "../core/part.ts";
import { STAGES } from "../core/plan.ts";
import type { Context, PartResult, Processor } from "../core/processor.ts";
import type { Tool, ToolRun } from "../kinds/tool.ts";
import { each } from "../streams/each.ts";
import { checkedSchema, type JsonSchema, type Schema } from "./schema.ts";

/** What a tool gives: a JSON value, a part, or parts as they come. Nothing is the value `null`. */
export type ToolOutput = JsonValue | Part | void | undefined | Iterable<Part | string> | AsyncIterable<Part | string>;

/** Runs a tool. `context.signal` aborts with the run, and when the tool's time is up; `call` says which call it is. */
export type ToolFunction<T> = (input: T, context: Context, call: ToolCallPart) => ToolOutput | Promise<ToolOutput>;

/** What both forms of a tool take. */
export interface ToolSettings<T> {
  /** What the model calls it by: 1 to 64 letters, digits, `_` and `-`. */
  readonly name: string;
  /** What it does and when to use it, for the model. */
  readonly description?: string;
  /** Its arguments, an object: a Standard Schema (zod, valibot, arktype), or a JSON Schema. @default no arguments */
  readonly input?: Schema<T>;
  /** What the model is told of the arguments, where `input` gives no JSON Schema or another one is wanted. */
  readonly jsonSchema?: JsonSchema;
  /** Milliseconds that it may take. @default no limit of its own */
  readonly timeoutMs?: number;
  /** It does no harm when it is run again: a run that fails after it may be retried as a whole. @default false */
  readonly idempotent?: boolean;
}

/** Of a tool that is a function. */
export interface ToolOptions<T> extends ToolSettings<T> {
  readonly run: ToolFunction<T>;
}

/** Of a tool that is a pipeline or a model: it reads the arguments as one JSON part. */
export interface ToolPipelineOptions extends ToolSettings<unknown> {
  /** Made by a verb or an adapter; a bare `async function*` is a function that gets the arguments. */
  readonly run: Processor;
}

const noArguments: JsonSchema = { type: "object", properties: {}, additionalProperties: false };

/** As the narrowest of the services takes them. */
const toolName = /^[A-Za-z_][\w-]{0,63}$/;

/** Reach a prototype where a table of tools is a plain object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Makes a tool for `withTools` of a function, or of a pipeline.
 *
 * Reads:  arguments that are of the schema, as what the schema makes of them; a pipeline one JSON part.
 * Yields: to the model: a JSON value or a text as they are returned; of parts their text, or the one JSON value among them, and images
 *         and other media besides. To the consumer: the result, and parts as they come on substream `tools`.
 * Throws: `invalid_input` for bad options and for schemas that are no object's, `missing_config` for a schema that cannot be told to a
 *         model. What `run` throws becomes an error result; the model reads only the message of a `tool_failed`.
 * Closes: an iterable that is left half way.
 *
 * @example
 * const weather = tool({
 *   name: "weather",
 *   description: "The weather in a city now.",
 *   input: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
 *   run: ({ city }: { city: string }) => ({ city, celsius: 21 }),
 * });
 * const model = mockModel([[{ toolCall: { name: "weather", arguments: { city: "Oslo" } } }], "It is 21 °C in Oslo."]);
 * console.log(await run(withTools(model, [weather]), "How warm is it in Oslo?").text()); // It is 21 °C in Oslo.
 */
export function tool<T>(options: ToolOptions<T>): Tool;
export function tool(options: ToolPipelineOptions): Tool;
export function tool(options: ToolSettings<unknown> & { readonly run: unknown }): Tool {
  const who = "tool";
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { name, description, input = noArguments, jsonSchema, timeoutMs, idempotent = false, run } = options;
  if (typeof name !== "string" || !toolName.test(name) || forbidden.has(name)) throw invalidOption(who, "name", "1 to 64 letters, digits, _ and -, not a digit or - first", name);
  if (description !== undefined && typeof description !== "string") throw invalidOption(who, "description", "a text", description);
  if (!isRun(run)) throw invalidOption(who, "run", "a function or a processor", run);
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) throw invalidOption(who, "timeoutMs", "a number of milliseconds above 0", timeoutMs);
  if (typeof idempotent !== "boolean") throw invalidOption(who, "idempotent", "true or false", idempotent);
  const { jsonSchema: parameters, check } = checkedSchema(`tool ${name}`, "input", input, jsonSchema);
  if (parameters.type !== "object") throw invalidOption(who, `input of ${name}`, "a schema of an object", parameters.type);
  return {
    name,
    ...(description === undefined ? {} : { description }),
    parameters,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    idempotent,
    check,
    open: (checked, call) => (isPipeline(run) ? pipelineRun(run, checked) : functionRun(run, checked as never, call)), // `input` is of the type that the schema made
  };
}

function isRun(run: unknown): run is ToolFunction<never> | Processor {
  return typeof run === "function";
}

/** What verbs make is told from other functions by its stages, what adapters make by being closed. */
function isPipeline(run: ToolFunction<never> | Processor): run is Processor {
  return STAGES in run || Symbol.asyncDispose in run;
}

function pipelineRun(processor: Processor, checked: unknown): ToolRun {
  return { processor, input: json(checkedJson(checked, "arguments")), returned: false };
}

function functionRun(run: ToolFunction<never>, checked: never, call: ToolCallPart): ToolRun {
  let returned = false;
  const once = async (_: Part, context: Context): Promise<PartResult> => {
    const output = await run(checked, context, call);
    if (isParts(output)) return output;
    if (isWholePart(output)) return output;
    returned = true;
    return valuePart(output);
  };
  return {
    processor: each(once, { name: call.name }),
    input: call,
    get returned() {
      return returned;
    },
  };
}

/** A list is JSON unless it is one of parts. */
function isParts(output: ToolOutput): output is Iterable<Part | string> | AsyncIterable<Part | string> {
  if (typeof output !== "object" || output === null) return false;
  if (Array.isArray(output)) return output.length > 0 && output.every(isWholePart);
  return Symbol.asyncIterator in output || Symbol.iterator in output;
}

function valuePart(output: unknown): TextPart | JsonPart {
  return typeof output === "string" ? text(output, { role: "tool" }) : json(output === undefined ? null : checkedJson(output, "result"), { role: "tool" });
}
