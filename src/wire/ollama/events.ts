/**
 * Lines of Ollama's chat endpoint to parts.
 *
 * Source: github.com/ollama/ollama, docs/api.md and api/types.go (`ChatResponse`).
 *
 * @module
 */
import { finish, text, toolCall } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { FinishReason, JsonValue, Part, PartOptions, ToolCallPart, Usage } from "../../core/part.ts";
import { compact, countOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import type { ReaderSettings } from "../openai/responses-events.ts";
import { requireWhole } from "../strict-finish.ts";
import { textJoin } from "../text-join.ts";

const options = {
  thinking: { role: "assistant", substream: "reasoning", metadata: { ollama: { thinking: true } } },
  content: { role: "assistant" },
} as const satisfies Record<string, PartOptions>;

const reasons: Readonly<Record<string, FinishReason>> = { stop: "stop", length: "length" };

/** Names that would reach a prototype where a table of tools is a plain object. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Counts and durations (nanoseconds) of the last line. */
const measures = ["prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] as const;

/** Reads one streamed answer. */
export function ollamaReader({ service, strictFinish, errorOf }: ReaderSettings): AnswerReader {
  const joins = { thinking: textJoin(), content: textJoin() };
  let steps = 0;
  let calls = 0;
  let model = "";
  let last: Shape | undefined;

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const words = (kind: keyof typeof options, delta: unknown): Part[] => {
    if (delta === undefined || delta === null || delta === "") return [];
    if (typeof delta !== "string") throw bad(`${kind} that is no text`);
    steps += 1;
    const joined = joins[kind].push(delta);
    return joined === "" ? [] : [text(joined, options[kind])];
  };
  const rest = (kind: keyof typeof options): Part[] => {
    const words = joins[kind].rest();
    return words === "" ? [] : [text(words, options[kind])];
  };
  const callOf = (value: unknown): ToolCallPart => {
    const call = shapeOf(value);
    const called = shapeOf(call?.function);
    const name = wordsOf(called?.name);
    if (name === undefined || forbidden.has(name)) throw bad("a tool call has no usable name");
    steps += 1;
    calls += 1;
    // Servers before 0.12 give no ids.
    return toolCall({ id: wordsOf(call?.id) ?? `call_${crypto.randomUUID()}`, name, arguments: argumentsOf(called?.arguments) });
  };
  const argumentsOf = (value: unknown): JsonValue => {
    if (value === undefined || value === null) return {};
    try {
      return checkedJson(value, "arguments");
    } catch (error) {
      throw new MillraceError("bad_response", `${service}: the arguments of a tool call hold a key or a depth that is refused`, { service, cause: error });
    }
  };
  return {
    read(value) {
      const line = shapeOf(value);
      if (line === undefined) throw bad("a line is no object");
      if (line.error !== undefined && line.error !== null) throw errorOf(line.error);
      const message = shapeOf(line.message);
      if (line.done !== undefined && typeof line.done !== "boolean") throw bad("a line whose end is neither true nor false");
      if (message === undefined && line.done !== true) throw bad("a line without a message");
      if (message?.role !== undefined && message.role !== "assistant") throw bad("the model speaks in a role that is not its own");
      const called = message?.tool_calls ?? [];
      if (!Array.isArray(called)) throw bad("tool calls that are no list");
      model = wordsOf(line.model) ?? model;
      const parts = [...words("thinking", message?.thinking), ...words("content", message?.content), ...called.map(callOf)];
      if (line.done === true) last = line;
      return parts;
    },
    get steps() {
      return steps;
    },
    get complete() {
      return last !== undefined;
    },
    get final() {
      // the first end counts: nothing is read after it
      return last !== undefined;
    },
    get usage(): Usage {
      return usageOf(last);
    },
    end({ requestId }) {
      if (last === undefined) return undefined;
      const rawReason = wordsOf(last.done_reason) ?? "";
      const known = Object.hasOwn(reasons, rawReason) ? reasons[rawReason] : undefined;
      let reason: FinishReason = rawReason === "" ? "stop" : (known ?? "other");
      if (calls > 0 && reason === "stop") reason = "tool_calls";
      if (strictFinish) requireWhole(service, reason, rawReason);
      const about = compact<object>({ usage: measuresIn(last), requestId } as object);
      return [...rest("thinking"), ...rest("content"), finish({ reason, rawReason, usage: usageOf(last), model }, { metadata: { ollama: about } })];
    },
  };
}

/** The service counts the whole prompt and the whole answer, thoughts included; a prompt that it still had in memory it may not count. */
function usageOf(line: Shape | undefined): Usage {
  return compact<Usage>({ inputTokens: countOf(line?.prompt_eval_count), outputTokens: countOf(line?.eval_count) } as Usage);
}

function measuresIn(line: Shape): Shape {
  return Object.fromEntries(measures.flatMap((name) => (countOf(line[name]) === undefined ? [] : [[name, line[name]]])));
}
