/**
 * What a runnable gives, chunk by chunk, to parts.
 *
 * @module
 */
import { finish, text, toolResult } from "../../core/constructors.ts";
import { derive } from "../../core/derive.ts";
import { MillraceError } from "../../core/errors.ts";
import type { FinishReason, Metadata, Part, PartOptions, Usage } from "../../core/part.ts";
import { compact, itemsOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";
import type { AnswerReader } from "../../wire/model-turn.ts";
import { requireWhole } from "../../wire/strict-finish.ts";
import { textJoin } from "../../wire/text-join.ts";
import { type GatheredCalls, gatheredCalls } from "./calls.ts";
import { addUsage, rawReasonOf, reasonOf } from "./ending.ts";
import type { KeptReasoning } from "./messages.ts";
import { blocksOf, messageIn } from "./runnable.ts";
import { jsonIn, mediaPart, valueParts } from "./values.ts";

const options = {
  reasoning: { role: "assistant", substream: "reasoning" },
  content: { role: "assistant" },
  sources: { role: "assistant", substream: "sources" },
} as const satisfies Record<string, PartOptions>;

/** Blocks that become parts of their own; all others are a service's, which may want them back. */
const told: ReadonlySet<unknown> = new Set([
  "text", "text_delta", "output_text", "refusal", "image", "image_url", "audio", "video", "file", "inlineData",
  "tool_call", "tool_call_chunk", "tool_use", "input_json_delta", "function_call", "functionCall",
]);

/** Fields beside the content that a service wants back: OpenAI's reasoning items, Google's signatures of thoughts. */
const opaqueFields = ["reasoning", "signatures", "__gemini_function_call_thought_signatures__"] as const;

/** What the reading is told. */
export interface ReaderSettings {
  readonly service: string;
  /** The type of the model, which what it wants back is marked with. */
  readonly model: string;
  readonly requireFinish: boolean;
  readonly strictFinish: boolean;
}

/** Reads one answer. A tool's message within it ends the turn before: that is how agents stream. */
export function runnableReader({ service, model: kind, requireFinish, strictFinish }: ReaderSettings): AnswerReader {
  let steps = 0;
  let turn = newTurn();

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const words = (of: "reasoning" | "content", said: unknown): Part[] => {
    const joined = typeof said === "string" ? turn.joins[of].push(said) : "";
    return joined === "" ? [] : [text(joined, options[of])];
  };
  const blockParts = (value: unknown): Part[] => {
    const block = shapeOf(value) ?? {};
    switch (block.type) {
      case "text":
        return [...words("content", block.text), ...valueParts(service, itemsOf(block.annotations), options.sources)];
      case "reasoning":
        return words("reasoning", block.reasoning);
      case "refusal":
        turn.refused ||= wordsOf(block.refusal) !== undefined;
        return words("content", block.refusal);
      default:
        return mediaPart(service, block, options.content);
    }
  };
  const answered = (message: Shape): Part[] => {
    const metadata = shapeOf(message.response_metadata) ?? {};
    const calls = turn.calls.gather(message);
    const parts = blocksOf(message).flatMap(blockParts);
    const kept = keptIn(message, kind);
    if (kept !== undefined) keep(parts, { langchain: jsonIn(service, kept) });
    turn.rawReason ??= rawReasonOf(message);
    turn.model = wordsOf(metadata.model_name) ?? wordsOf(metadata.model) ?? wordsOf(metadata.modelId) ?? turn.model;
    turn.id ??= wordsOf(message.id);
    turn.usage = addUsage(turn.usage, message.usage_metadata);
    if (parts.length > 0 || calls) steps += 1;
    return parts;
  };
  const ended = (): Part[] => {
    const { rawReason = "", joins, calls, refused, usage, model, id } = turn;
    let reason: FinishReason = rawReason === "" ? "stop" : reasonOf(rawReason);
    if (calls.count > 0 && reason === "length") throw new MillraceError("truncated", `${service}: the answer was cut within a tool call`, { service });
    const whole = reason === "stop" || reason === "tool_calls" ? calls.whole(service) : [];
    if (whole.length > 0) reason = "tool_calls";
    else if (refused && reason === "stop") reason = "refusal";
    if (strictFinish) requireWhole(service, reason, rawReason);
    const rest = (["reasoning", "content"] as const).flatMap((of) => {
      const left = joins[of].rest();
      return left === "" ? [] : [text(left, options[of])];
    });
    const about = compact<object>({ responseId: id } as object);
    return [...rest, ...whole, finish({ reason, rawReason, usage, model }, { metadata: { langchain: about } })];
  };
  const used = (message: Shape): Part[] => {
    const [id, name] = [wordsOf(message.tool_call_id), wordsOf(message.name)];
    if (id === undefined) throw bad("a tool's message answers no call");
    const before = turn.calls.count > 0 ? ended() : [];
    turn = newTurn();
    steps += 1;
    const result = jsonIn(service, message.content);
    return [...before, toolResult({ id, name: name ?? "", result, isError: message.status === "error" })];
  };
  return {
    read(chunk) {
      // graphs that stream messages give each with its place in the graph
      const message = messageIn(chunk) ?? (Array.isArray(chunk) && chunk.length === 2 ? messageIn(chunk[0]) : undefined);
      if (message !== undefined) {
        if (message.type === "tool") return used(message);
        if (message.type === "ai" || (message.type === "generic" && message.role === "assistant")) return answered(message);
        throw bad(`a message of type ${String(message.type).slice(0, 40)}, which is not the model's`);
      }
      const parts = typeof chunk === "string" ? words("content", chunk) : valueParts(service, Array.isArray(chunk) ? chunk : [chunk], options.content);
      if (parts.length > 0) steps += 1;
      return parts;
    },
    get steps() {
      return steps;
    },
    get complete() {
      return turn.rawReason !== undefined;
    },
    final: false, // usage follows the reason, and in a graph further turns do
    get usage() {
      return turn.usage;
    },
    end: () => (requireFinish && turn.rawReason === undefined ? undefined : ended()),
  };
}

interface Turn {
  readonly joins: Readonly<Record<"reasoning" | "content", ReturnType<typeof textJoin>>>;
  readonly calls: GatheredCalls;
  usage: Usage;
  model: string;
  refused: boolean;
  rawReason: string | undefined;
  id: string | undefined;
}

function newTurn(): Turn {
  const joins = { reasoning: textJoin(), content: textJoin() };
  return { joins, calls: gatheredCalls(), usage: {}, model: "", refused: false, rawReason: undefined, id: undefined };
}

/** What of a chunk the service may want back as it is. */
function keptIn(message: Shape, model: string): KeptReasoning | undefined {
  const blocks = itemsOf(message.content).filter((block) => !told.has(shapeOf(block)?.type));
  const kwargs = shapeOf(message.additional_kwargs) ?? {};
  const fields = opaqueFields.flatMap((name) => (isEmpty(kwargs[name]) ? [] : [[name, kwargs[name]] as const]));
  if (blocks.length === 0 && fields.length === 0) return undefined;
  const standard = shapeOf(message.response_metadata)?.output_version === "v1";
  return { of: model, ...(blocks.length === 0 ? {} : { blocks }), ...(fields.length === 0 ? {} : { fields: Object.fromEntries(fields) }), ...(standard ? { standard } : {}) };
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}

/** Puts it on the first part of reasoning, or on one without text. */
function keep(parts: Part[], metadata: Metadata): void {
  const at = parts.findIndex(({ substream }) => substream === "reasoning");
  const part = parts[at];
  if (part === undefined) parts.push(text("", { ...options.reasoning, metadata }));
  else parts[at] = derive(part, { metadata });
}
