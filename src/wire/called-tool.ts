/**
 * A tool call of a model as a part, its arguments parsed without trusting them.
 *
 * @module
 */
import { toolCall } from "../core/constructors.ts";
import { isMillraceError, MillraceError } from "../core/errors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { JsonValue, Metadata, ToolCallPart } from "../core/part.ts";

/** Names that would reach a prototype where a table of tools is a plain object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** A call as a service gives it. */
export interface CalledTool {
  readonly id: unknown;
  readonly name: unknown;
  /** JSON text, all of it. */
  readonly arguments: string;
}

/**
 * No arguments mean `{}`; ones that do not parse stay the text they are, for the tool loop to answer. `about` gets the raw text,
 * which holds numbers that JSON values cannot.
 *
 * Throws: `bad_response` without an id or a name, and for names, keys and depths that do harm.
 */
export function calledTool(service: string, call: CalledTool, about: (raw: string) => Metadata): ToolCallPart {
  const { id, name } = call;
  if (typeof id !== "string" || id === "" || typeof name !== "string" || name === "" || forbidden.has(name)) {
    throw new MillraceError("bad_response", `${service}: a tool call has no usable id or name`, { service });
  }
  const raw = call.arguments.toWellFormed();
  return toolCall({ id, name, arguments: parsedArguments(service, raw) }, { metadata: about(raw) });
}

/** The value of the arguments; the text itself where it is no JSON. */
export function parsedArguments(service: string, raw: string): JsonValue {
  if (raw.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    return raw;
  }
  try {
    return checkedJson(value, "arguments");
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw new MillraceError("bad_response", `${service}: the arguments of a tool call hold a key or a depth that is refused`, { service, cause: error });
  }
}
