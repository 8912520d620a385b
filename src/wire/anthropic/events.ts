/**
 * Events of the Messages API to parts.
 *
 * Source: platform.claude.com/docs/en/build-with-claude/streaming
 *
 * @module
 */
import { finish, json, text } from "../../core/constructors.ts";
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { FinishReason, JsonValue, Metadata, Part, PartOptions, Usage } from "../../core/part.ts";
import { calledTool, parsedArguments } from "../called-tool.ts";
import { compact, countOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import type { AnswerReader } from "../model-turn.ts";
import { requireWhole } from "../strict-finish.ts";
import { type TextJoin, textJoin } from "../text-join.ts";
import { isServerBlock, type ThinkingBlock } from "./returned.ts";
import { laterUsage, usageOf } from "./usage.ts";

const reasoning: PartOptions = { role: "assistant", substream: "reasoning" };

/** What the reader is told. */
export interface ReaderSettings {
  readonly service: string;
  /** Cut and refused answers are errors. */
  readonly strictFinish: boolean;
  /** The error that an event reports. */
  readonly errorOf: (error: unknown) => MillraceError;
}

/** A content block that has begun and not ended. */
interface OpenBlock {
  readonly start: Shape;
  readonly join: TextJoin;
  /** How its deltas go out. */
  readonly options: PartOptions;
  /** Which of several texts it is. */
  readonly textBlock: number | undefined;
  thinking: string;
  signature: string;
  input: string;
}

const reasons: Readonly<Record<string, FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "refusal",
  pause_turn: "pause",
};

/** Reads one streamed message. */
export function messagesReader({ service, strictFinish, errorOf }: ReaderSettings): AnswerReader {
  const open = new Map<number, OpenBlock>();
  /** Calls whose block has ended; they wait for what follows, since a limit ends the block it cuts as if it were whole. */
  let ended: OpenBlock[] = [];
  let message: Shape | undefined;
  let nextIndex = 0;
  let texts = 0;
  let steps = 0;
  let usage: Shape | undefined;
  let end: Shape = {};
  let reason: FinishReason | undefined;
  let cutCall = false;
  let stopped = false;

  const bad = (what: string): MillraceError => new MillraceError("bad_response", `${service}: ${what}`, { service });
  const checked = (value: unknown, what: string): JsonValue => {
    try {
      return checkedJson(value, what);
    } catch (error) {
      throw new MillraceError("bad_response", `${service}: a ${what} holds a key or a depth that is refused`, { service, cause: error });
    }
  };
  const callOf = (block: OpenBlock): Part => {
    const { id, name, caller, toolset_name } = block.start;
    const called = shapeOf(caller);
    return calledTool(service, { id, name, arguments: inputText(block) }, (raw) => ({
      anthropic: compact<Metadata>({
        arguments: raw,
        caller: called === undefined || called.type === "direct" ? undefined : checked(called, "caller"),
        toolsetName: wordsOf(toolset_name),
      }),
    }));
  };
  const calls = (): Part[] => (ended.length === 0 ? [] : ended.splice(0).map(callOf));
  const words = (block: OpenBlock, delta: unknown): Part[] => {
    if (typeof delta !== "string") throw bad("a delta has no text");
    if (delta === "") return [];
    steps += 1;
    return spoken(block, block.join.push(delta));
  };
  const spoken = (block: OpenBlock, joined: string): Part[] => {
    if (block.start.type === "thinking") block.thinking += joined;
    return joined === "" ? [] : [text(joined, block.options)];
  };
  const source = (value: unknown, about: Metadata | undefined): Part => {
    steps += 1;
    return json(checked(value, "source"), { role: "assistant", substream: "sources", ...(about === undefined ? {} : { metadata: { anthropic: about } }) });
  };

  const started = (event: Shape): Part[] => {
    if (message !== undefined) throw bad("a second message starts");
    message = shapeOf(event.message) ?? {};
    if (message.role !== undefined && message.role !== "assistant") throw bad("the model speaks in a role that is not its own");
    usage = laterUsage(usage, message.usage);
    return [];
  };
  const blockStarted = (index: number, event: Shape): Part[] => {
    if (index !== nextIndex) throw bad(`content block ${index} starts where ${nextIndex} was due`);
    nextIndex += 1;
    const start = shapeOf(event.content_block);
    if (start === undefined) throw bad("a content block is no object");
    const textBlock = start.type === "text" && texts++ > 0 ? index : undefined;
    const marked = textBlock === undefined ? {} : { metadata: { anthropic: { textBlock } } };
    const options: PartOptions = start.type === "thinking" ? reasoning : { role: "assistant", ...marked };
    const block: OpenBlock = { start, join: textJoin(), options, textBlock, thinking: "", signature: wordsOf(start.signature) ?? "", input: "" };
    open.set(index, block);
    const before = calls();
    switch (start.type) {
      case "text":
        return [...before, ...words(block, start.text ?? "")];
      case "thinking":
        return [...before, ...words(block, start.thinking ?? "")];
      case "redacted_thinking":
        if (typeof start.data !== "string") throw bad("redacted thinking has no data");
        steps += 1;
        return [...before, returned({ type: "redacted_thinking", data: start.data })];
      case "tool_use":
      case "server_tool_use":
        return before; // goes out when its input is whole
      default:
        return [...before, source(start, isServerBlock(start.type) ? { block: true } : undefined)];
    }
  };
  const blockDelta = (block: OpenBlock, event: Shape): Part[] => {
    const delta = shapeOf(event.delta);
    switch (delta?.type) {
      case "text_delta":
        return words(block, delta.text);
      case "thinking_delta":
        return words(block, delta.thinking);
      case "signature_delta":
        block.signature = wordsOf(delta.signature) ?? block.signature;
        steps += 1;
        return [];
      case "input_json_delta":
        if (typeof delta.partial_json !== "string") throw bad("a delta of a tool's input has no text");
        block.input += delta.partial_json;
        steps += 1;
        return [];
      case "citations_delta":
        return [source(delta.citation, compact<Metadata>({ citation: true, textBlock: block.textBlock }))];
      default:
        return [];
    }
  };
  const blockStopped = (index: number, block: OpenBlock): Part[] => {
    open.delete(index);
    const rest = spoken(block, block.join.rest());
    switch (block.start.type) {
      case "thinking":
        return block.signature === "" ? rest : [...rest, returned({ type: "thinking", thinking: block.thinking, signature: block.signature })];
      case "tool_use":
        steps += 1;
        ended.push(block);
        return [];
      case "server_tool_use": {
        const input = parsedArguments(service, inputText(block));
        return [source({ ...block.start, input }, typeof input === "object" ? { block: true } : undefined)];
      }
      default:
        return rest;
    }
  };
  const inBlock = (event: Shape): Part[] => {
    const index = countOf(event.index);
    if (message === undefined || index === undefined) throw bad(`a ${String(event.type).slice(0, 60)} event is out of place`);
    if (event.type === "content_block_start") return blockStarted(index, event);
    const block = open.get(index);
    if (block === undefined) throw bad(`a ${String(event.type).slice(0, 60)} event is of no open block`);
    const before = calls();
    const parts = event.type === "content_block_delta" ? blockDelta(block, event) : blockStopped(index, block);
    return before.length === 0 ? parts : [...before, ...parts];
  };
  const messageDelta = (event: Shape): Part[] => {
    usage = laterUsage(usage, event.usage);
    const delta = shapeOf(event.delta);
    const raw = wordsOf(delta?.stop_reason);
    if (delta === undefined || raw === undefined || reason !== undefined) return []; // the first end counts
    end = delta;
    reason = Object.hasOwn(reasons, raw) ? (reasons[raw] ?? "other") : "other";
    if (reason === "length") cutCall = ended.length > 0;
    // a refusal takes back what was under way
    if (reason === "length" || reason === "refusal") ended = [];
    return calls();
  };
  const handlers: Readonly<Record<string, (event: Shape) => Part[]>> = {
    message_start: started,
    content_block_start: inBlock,
    content_block_delta: inBlock,
    content_block_stop: inBlock,
    message_delta: messageDelta,
    message_stop() {
      stopped = true;
      return [];
    },
    error: (event) => {
      throw errorOf(event);
    },
  };
  return {
    read(value) {
      const event = shapeOf(value);
      if (event === undefined) throw bad("an event is no object");
      const type = wordsOf(event.type);
      const handler = type !== undefined && Object.hasOwn(handlers, type) ? handlers[type] : undefined;
      return handler === undefined ? [] : handler(event);
    },
    get steps() {
      return steps;
    },
    get complete() {
      return stopped;
    },
    get final() {
      return stopped;
    },
    get usage(): Usage {
      return usageOf(usage);
    },
    end({ requestId }) {
      if (!stopped) return undefined;
      const truncated = (what: string): MillraceError => new MillraceError("truncated", `${service}: ${what}`, { service });
      if (cutCall) throw truncated("the answer was cut within a tool call");
      if (open.size > 0) throw truncated("the answer ends within a content block");
      if (message === undefined || reason === undefined) throw truncated("the answer ends without saying why");
      const rawReason = wordsOf(end.stop_reason) ?? "";
      if (strictFinish) requireWhole(service, reason, rawReason);
      const { stop_sequence, stop_details, container } = end;
      const about = checked(
        {
          usage,
          responseId: wordsOf(message.id),
          requestId,
          stopSequence: wordsOf(stop_sequence),
          stopDetails: shapeOf(stop_details),
          container: shapeOf(container),
        },
        "message",
      );
      return [finish({ reason, rawReason, usage: usageOf(usage), model: wordsOf(message.model) ?? "" }, { metadata: { anthropic: about } })];
    },
  };
}

/** What is sent back unchanged, and what no text is for. */
function returned(block: ThinkingBlock): Part {
  return text("", { ...reasoning, metadata: { anthropic: { block } } });
}

/** The input that came in deltas; some servers give it with the start. */
function inputText({ input, start }: OpenBlock): string {
  return input !== "" || shapeOf(start.input) === undefined ? input : JSON.stringify(start.input);
}
