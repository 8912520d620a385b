/**
 * The text of an answer as the JSON value that it is.
 *
 * @module
 */
import { isMillraceError } from "../core/errors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { JsonValue } from "../core/part.ts";
import type { Checked } from "../kinds/tool.ts";

// JSON begins with no backtick, so a text in a fence can be nothing else.
const fence = "```";
const openingFence = /^```(?:json)?[ \t\r]*$/i;
/** What is no fence by then is none. */
const maxFenceCharacters = 32;

/** The value, or why there is none. A text that is one fenced block is what stands in the block. */
export function answerValue(text: string): Checked<JsonValue> {
  if (text.trim() === "") return { ok: false, issues: "it is empty" };
  let value: unknown;
  try {
    value = JSON.parse(unfenced(text));
  } catch (error) {
    return { ok: false, issues: `it is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  try {
    return { ok: true, value: checkedJson(value, "it") };
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    return { ok: false, issues: error.message.replace(/^codec: /, "") };
  }
}

function unfenced(text: string): string {
  const block = text.trim();
  const lineEnd = block.indexOf("\n");
  return openingFence.test(block.slice(0, Math.max(lineEnd, 0))) && block.endsWith(fence) ? block.slice(lineEnd + 1, -fence.length) : text;
}

/** Gives a text on, delta by delta, without the fence that it may begin with. */
export function withoutFence(): (delta: string) => string {
  let head: string | undefined = "";
  return (delta) => {
    if (head === undefined) return delta;
    const text: string = (head + delta).trimStart();
    const lineEnd = text.indexOf("\n");
    if (text === "" || (text.startsWith("`") && lineEnd < 0 && text.length < maxFenceCharacters)) {
      head = text;
      return "";
    }
    head = undefined;
    return lineEnd >= 0 && openingFence.test(text.slice(0, lineEnd)) ? text.slice(lineEnd + 1) : text;
  };
}
