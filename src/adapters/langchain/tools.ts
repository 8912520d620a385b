/**
 * LangChain's tools as tools that any model here can be asked to call.
 *
 * @module
 */
import type { ModelTool } from "../../core/asked.ts";
import { invalidOption } from "../../core/errors.ts";
import type { JsonValue } from "../../core/part.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { heard } from "../../wire/heard.ts";
import { type Shape, shapeOf } from "../../wire/json-shape.ts";
import { loaded } from "./load.ts";
import { messageIn } from "./runnable.ts";
import { jsonIn } from "./values.ts";

/** A tool, by what is read and called. */
export interface LangChainTool {
  readonly name: string;
  readonly description?: string;
  /** A Zod schema, or JSON Schema. */
  readonly schema: unknown;
  invoke(input: never, options?: { readonly signal?: AbortSignal }): Promise<unknown>;
}

/** A tool that can be run. */
export interface RunnableTool extends ModelTool {
  /** Checks the arguments against the tool's own schema, and runs it. Throws what the tool throws; `bad_response` for a result that is no JSON. */
  run(input: JsonValue, context?: { readonly signal?: AbortSignal }): Promise<JsonValue>;
}

/**
 * Tools of LangChain in the form that models here are asked with: their schema as JSON Schema, and a function that runs them.
 *
 * Throws: `invalid_input` for what is no tool; `missing_config` without `@langchain/core`, which knows what their schemas say.
 * Closes: nothing.
 *
 * @example
 * import { tool } from "@langchain/core/tools";
 *
 * const schema = { type: "object", properties: { city: { type: "string" } } } as const;
 * const weather = tool(async () => "cold", { name: "weather", description: "Tells the weather.", schema });
 * const tools = await langchainTools([weather]);
 * console.log(tools[0]?.name, await tools[0]?.run({ city: "Oslo" })); // weather cold
 */
export async function langchainTools(tools: readonly LangChainTool[]): Promise<RunnableTool[]> {
  const who = "langchainTools";
  if (!Array.isArray(tools)) throw invalidOption(who, "tools", "an array of tools", tools);
  const { toJsonSchema } = await loaded(who, import("@langchain/core/utils/json_schema"));
  return tools.map((tool: LangChainTool, index) => {
    const schema = shapeOf(tool?.schema);
    if (typeof tool?.name !== "string" || typeof fieldOf(tool, "invoke") !== "function" || schema === undefined) {
      throw invalidOption(who, `tool ${index}`, "an object with name, schema and invoke", tool);
    }
    const { name, description } = tool;
    const parameters: Shape = { ...toJsonSchema(schema) };
    return { name, ...(description === undefined ? {} : { description }), parameters, run: async (input, context = {}) => resultOf(await heard(tool.invoke(input as never, context), context.signal)) };
  });
}

/** What a model is told: the content, where the tool answers with a message of its own. */
function resultOf(answer: unknown): JsonValue {
  const message = messageIn(answer);
  return jsonIn("langchain", message === undefined ? (answer ?? null) : message.content);
}
