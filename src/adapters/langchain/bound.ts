/**
 * A runnable with what a turn is asked for: tools bound to it, or its answer made JSON.
 *
 * @module
 */
import type { ModelTool, ToolChoice } from "../../core/asked.ts";
import { MillraceError } from "../../core/errors.ts";
import type { StandingAsks } from "../../wire/asking.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { compact, itemsOf, type Shape, shapeOf } from "../../wire/json-shape.ts";
import { rawReasonOf, reasonOf } from "./ending.ts";
import { type LangChainRunnable, markedMessage, messageIn } from "./runnable.ts";

/** A runnable for one turn. */
export interface Bound {
  readonly runnable: LangChainRunnable;
  /** Its answer is JSON of this name, in one piece: the message and what was read from it. */
  readonly json?: string;
}

/** Binds what is asked for; throws `invalid_input` for a runnable that cannot be asked for it. */
export function bound(who: string, runnable: LangChainRunnable, { tools = [], toolChoice, output }: StandingAsks): Bound {
  if (tools.length > 0) {
    // As LangChain's own agents ask for both; JSON then comes as the text of the answer.
    const format = output === undefined ? undefined : { type: "json_schema", json_schema: compact<Shape>({ name: output.name, schema: output.schema, strict: output.strict ?? true }) };
    const options = compact<Shape>({ tool_choice: choiceOf(toolChoice), response_format: format });
    return { runnable: called(who, runnable, "bindTools", "tools", [tools.map(toolOf), options]) };
  }
  if (output === undefined) return { runnable };
  const { name, schema, strict = true } = output;
  const structured = (options: Shape): LangChainRunnable => called(who, runnable, "withStructuredOutput", "JSON", [{ title: name, ...schema }, { name, includeRaw: true, ...options }]);
  try {
    return { runnable: structured({ strict }), json: name };
  } catch {
    return { runnable: structured({}), json: name }; // a model that cannot be held to a schema throws for the option
  }
}

/** The chunks of an answer that is JSON: its text, then a message that says how it ended. */
export function* jsonChunks(value: unknown, name: string): Generator<unknown> {
  const fields = shapeOf(value);
  const message = messageIn(fields?.raw);
  const call = itemsOf(message?.tool_calls).map(shapeOf).find((it) => it?.name === name); // not read by LangChain where the message did not come in chunks
  const parsed = fields !== undefined && "parsed" in fields ? (fields.parsed ?? call?.args) : value;
  // What could not be parsed is left to whoever reads the text.
  if (message !== undefined && (parsed === undefined || parsed === null)) return yield message;
  const reason = message === undefined ? undefined : rawReasonOf(message);
  // Where the JSON came as the arguments of a tool, no tool was called.
  const finish_reason = reason === undefined || reasonOf(reason) === "tool_calls" ? "stop" : reason;
  yield JSON.stringify(parsed);
  yield { ...markedMessage, id: message?.id, usage_metadata: message?.usage_metadata, response_metadata: { ...shapeOf(message?.response_metadata), finish_reason } };
}

/** A schema without a type would be taken for a tool in a service's own form. */
function toolOf({ name, description, parameters }: ModelTool): Shape {
  return { name, ...(description === undefined ? {} : { description }), schema: { type: "object", ...parameters } };
}

function choiceOf(choice: ToolChoice | undefined): string | undefined {
  if (choice === "required") return "any";
  return typeof choice === "object" ? choice.name : choice;
}

function called(who: string, runnable: LangChainRunnable, method: "bindTools" | "withStructuredOutput", what: string, args: readonly unknown[]): LangChainRunnable {
  const call = fieldOf(runnable, method);
  if (typeof call !== "function") {
    throw new MillraceError("invalid_input", `${who}: was asked for ${what}, but the runnable has no ${method}: give it the chat model itself`, { service: who });
  }
  return Reflect.apply(call, runnable, args) as LangChainRunnable; // what both methods give
}
