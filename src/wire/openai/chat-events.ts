/**
 * Chunks of Chat Completions to parts, from OpenAI and from servers that only look like it.
 *
 * Source: platform.openai.com/docs/api-reference/chat-streaming; `reasoning_content` and `reasoning` as vLLM, DeepSeek,
 * OpenRouter and Ollama send them.
 *
 * @module
 */
import { finish, json, text } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { FinishReason, Part, PartOptions, Usage } from "../../core/part.ts";
import { compact, countOf, itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import { requireWhole } from "../strict-finish.ts";
import { textJoin } from "../text-join.ts";
import type { ReaderSettings } from "./responses-events.ts";
import { callPart } from "./tool-call.ts";
import { usageOf } from "./usage.ts";

const options = {
  content: { role: "assistant" },
  reasoning: { role: "assistant", substream: "reasoning" },
  refusal: { role: "assistant", metadata: { openai: { refusal: true } } },
} as const satisfies Record<string, PartOptions>;

const sources: PartOptions = { role: "assistant", substream: "sources" };

/** A call that is being gathered. */
interface Gathering {
  readonly index: number;
  readonly id: string;
  name: string;
  arguments: string;
}

const reasons: Readonly<Record<string, FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool_calls",
  function_call: "tool_calls",
  content_filter: "content_filter",
};

/** Reads one streamed completion. */
export function chatReader({ service, strictFinish, errorOf }: ReaderSettings): AnswerReader {
  const joins = { content: textJoin(), reasoning: textJoin(), refusal: textJoin() };
  const calls: Gathering[] = [];
  let steps = 0;
  let rawReason: string | undefined;
  let refused = false;
  let rawUsage: unknown;
  let model = "";
  let responseId: unknown;
  let promptFilter: unknown; // Azure's, in its first chunk
  let answerFilter: unknown; // Azure's, where it ended the answer

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const words = (kind: keyof typeof options, delta: unknown): Part[] => {
    if (delta === undefined || delta === null || delta === "") return [];
    if (typeof delta !== "string") throw bad(`${kind} that is no text`);
    steps += 1;
    if (kind === "refusal") refused = true;
    const joined = joins[kind].push(delta);
    return joined === "" ? [] : [text(joined, options[kind])];
  };
  const gather = (value: unknown): void => {
    const delta = shapeOf(value);
    if (delta === undefined) throw bad("a tool call that is no object");
    steps += 1;
    const index = countOf(delta.index) ?? 0;
    const id = wordsOf(delta.id);
    const known = calls.findLast((call) => call.index === index);
    // By index and id: some servers repeat the id in each delta, others give every call index 0.
    const call = known !== undefined && (id === undefined || id === known.id) ? known : { index, id: id ?? "", name: "", arguments: "" };
    if (call !== known) calls.push(call);
    const called = shapeOf(delta.function);
    const name = wordsOf(called?.name);
    if (name !== undefined && call.name === "") call.name = name;
    if (typeof called?.arguments === "string") call.arguments += called.arguments;
  };
  const cited = (note: unknown): Part => {
    steps += 1;
    try {
      return json(checkedJson(note, "citation"), sources);
    } catch (error) {
      throw new MillraceError("bad_response", `${service}: a citation holds a key or a depth that is refused`, { service, cause: error });
    }
  };
  const choice = (value: Shape): Part[] => {
    if (rawReason !== undefined || (countOf(value.index) ?? 0) !== 0) return [];
    const delta = shapeOf(value.delta) ?? {};
    const role = wordsOf(delta.role);
    if (role !== undefined && role !== "assistant") throw bad("the model speaks in a role that is not its own");
    const parts = [
      ...words("reasoning", delta.reasoning_content ?? delta.reasoning),
      ...words("content", delta.content),
      ...words("refusal", delta.refusal),
      ...[...itemsOf(delta.annotations), ...itemsOf(shapeOf(delta.context)?.citations)].map(cited), // of OpenAI's search; of Azure's own data
    ];
    for (const call of itemsOf(delta.tool_calls)) gather(call);
    rawReason = wordsOf(value.finish_reason);
    if (rawReason === "content_filter") answerFilter = value.content_filter_results;
    return parts;
  };
  return {
    read(value) {
      const chunk = shapeOf(value);
      if (chunk === undefined) throw bad("a chunk is no object");
      if (chunk.error !== undefined && chunk.error !== null && rawReason === undefined) throw errorOf(chunk.error);
      if (shapeOf(chunk.usage) !== undefined) rawUsage = chunk.usage;
      model = wordsOf(chunk.model) ?? model;
      responseId ??= wordsOf(chunk.id);
      promptFilter ??= chunk.prompt_filter_results ?? undefined;
      return itemsOf(chunk.choices).flatMap((one) => choice(shapeOf(one) ?? {}));
    },
    get steps() {
      return steps;
    },
    get complete() {
      return rawReason !== undefined;
    },
    final: false, // usage follows the finish reason, and the client ends at `[DONE]`
    get usage(): Usage {
      return usageOf(rawUsage);
    },
    end({ done, requestId }) {
      // Servers send a finish reason, `[DONE]` or both; without the former a call that was begun may be cut.
      if (rawReason === undefined && (!done || calls.length > 0)) return undefined;
      const raw = rawReason ?? "";
      const known = Object.hasOwn(reasons, raw) ? reasons[raw] : undefined;
      let reason: FinishReason = raw === "" ? "stop" : (known ?? "other");
      if (calls.length > 0 && reason === "length") throw new MillraceError("truncated", `${service}: the answer was cut within a tool call`, { service });
      const whole = reason === "stop" || reason === "tool_calls" ? calls.map((call) => callPart(service, call)) : [];
      if (whole.length > 0) reason = "tool_calls";
      else if (refused && reason === "stop") reason = "refusal";
      if (strictFinish) requireWhole(service, reason, raw);
      const about = compact<object>({ usage: rawUsage, responseId, requestId, promptFilter, answerFilter } as object);
      const end = finish({ reason, rawReason: raw, usage: usageOf(rawUsage), model }, { metadata: { openai: about } });
      return [...restOf(joins), ...whole, end];
    },
  };
}

function restOf(joins: Readonly<Record<keyof typeof options, { rest(): string }>>): Part[] {
  return (["reasoning", "content", "refusal"] as const).flatMap((kind) => {
    const rest = joins[kind].rest();
    return rest === "" ? [] : [text(rest, options[kind])];
  });
}
