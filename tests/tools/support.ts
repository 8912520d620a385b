/**
 * What the tests of histories share.
 *
 * @module
 */
import { isMillraceError, type MillraceError, type Part, type PartOptions, text, toolCall, toolResult } from "../../src/index.ts";

export const says = (words: string, options: PartOptions = {}): Part => text(words, { role: "assistant", ...options });
export const call = (id: string, name = "time"): Part => toolCall({ id, name, arguments: {} });
export const result = (id: string, value = "noon"): Part => toolResult({ id, name: "time", result: value });
export const system = (words: string): Part => text(words, { role: "system" });

/** Parts in a line: who says what. */
export const lines = (parts: readonly Part[]): string[] =>
  parts.map((part) => {
    if (part.kind === "toolCall") return `call ${part.id}`;
    if (part.kind === "toolResult") return `result ${part.id}${part.isError ? " failed" : ""}`;
    return `${part.role}${part.substream === "" ? "" : `/${part.substream}`}: ${part.kind === "text" ? part.text : part.kind}`;
  });

export const failure = async (promise: Promise<unknown>): Promise<MillraceError> => {
  try {
    await promise;
  } catch (error) {
    if (isMillraceError(error)) return error;
    throw error;
  }
  throw new Error("nothing failed");
};
