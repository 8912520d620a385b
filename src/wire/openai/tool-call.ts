/**
 * A tool call of OpenAI's two APIs as a part, with its raw text beside the value.
 *
 * @module
 */
import type { ToolCallPart } from "../../core/part.ts";
import { type CalledTool, calledTool } from "../called-tool.ts";

/** As `calledTool`, with the raw text in `metadata.openai.arguments`. */
export function callPart(service: string, call: CalledTool): ToolCallPart {
  return calledTool(service, call, (raw) => ({ openai: { arguments: raw } }));
}
