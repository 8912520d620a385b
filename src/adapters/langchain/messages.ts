/**
 * Parts to messages, as objects that LangChain turns into its own.
 *
 * Source: @langchain/core, messages/utils.ts (`coerceMessageLikeToMessage`), messages/content (standard blocks).
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { MillraceError } from "../../core/errors.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, Part, ToolCallPart, UriPart } from "../../core/part.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";
import type { Spoken } from "../../wire/turn-input.ts";
import { mergeBlocks, mergeFields } from "./merge.ts";

/** One message. */
export interface MessageLike {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content?: string | readonly unknown[];
  /** Instead of `content`, in the form that every service's package knows. */
  readonly contentBlocks?: readonly unknown[];
  readonly tool_calls?: readonly Shape[];
  readonly tool_call_id?: string;
  readonly name?: string;
  readonly status?: "success" | "error";
  readonly additional_kwargs?: Shape;
  readonly response_metadata?: Shape;
}

/** What a reasoning part keeps of a service, for it alone: blocks and fields that it wants back as they are. */
export interface KeptReasoning {
  /** Whose they are. */
  readonly of: string;
  readonly blocks?: readonly unknown[];
  readonly fields?: Shape;
  /** The blocks are in LangChain's standard form. */
  readonly standard?: true;
}

/** What is kept of this model on a part. */
export function keptOf(part: Part, model: string): KeptReasoning | undefined {
  const kept = shapeOf(part.metadata.langchain);
  if (kept?.of !== model) return undefined;
  const fields = shapeOf(kept.fields);
  return { of: model, blocks: itemsOf(kept.blocks), ...(fields === undefined ? {} : { fields }), ...(kept.standard === true ? { standard: true } : {}) };
}

/** Neighbours of one speaker are one message, tool results each for themselves. */
export function toMessages(who: string, spoken: readonly Spoken[], model: string): MessageLike[] {
  const messages: MessageLike[] = [];
  for (let at = 0; at < spoken.length; ) {
    const run = runFrom(spoken, at);
    messages.push(messageOf(who, run, model));
    at += run.length;
  }
  return messages;
}

function runFrom(spoken: readonly Spoken[], from: number): Spoken[] {
  const first = spoken[from];
  if (first === undefined || first.part.kind === "toolResult") return spoken.slice(from, from + 1);
  let end = from + 1;
  while (spoken[end]?.speaker === first.speaker && spoken[end]?.part.kind !== "toolResult") end += 1;
  return spoken.slice(from, end);
}

function messageOf(who: string, run: readonly Spoken[], model: string): MessageLike {
  const parts = run.map(({ part }) => part);
  const [first] = parts;
  if (first?.kind === "toolResult") {
    const { id, name, result, isError } = first;
    return { role: "tool", tool_call_id: id, name, content: typeof result === "string" ? result : JSON.stringify(result), status: isError ? "error" : "success" };
  }
  const role = run[0]?.speaker ?? "user";
  if (role === "assistant") return answerOf(who, parts, model);
  if (role === "system") return { role, content: parts.map((part) => wordsIn(who, part)).join("\n\n") };
  const blocks = parts.map((part) => (part.kind === "bytes" || part.kind === "uri" ? mediaBlock(who, part) : { type: "text", text: wordsIn(who, part) }));
  if (parts.some((part) => part.kind === "bytes" || part.kind === "uri")) return { role, contentBlocks: blocks };
  return { role, content: first !== undefined && parts.length === 1 ? wordsIn(who, first) : blocks };
}

/** What the model said before: its deltas as one text, its calls, and of its reasoning what its service wants back. */
function answerOf(who: string, parts: readonly Part[], model: string): MessageLike {
  const content: unknown[] = [];
  let fields: Shape = {};
  let standard = false;
  for (const part of parts) {
    const kept = part.substream === "reasoning" ? keptOf(part, model) : undefined;
    if (kept !== undefined) {
      content.push(...(kept.blocks ?? []));
      fields = mergeFields(fields, kept.fields ?? {});
      standard ||= kept.standard === true;
    } else if (part.kind !== "toolCall") {
      const last = shapeOf(content.at(-1));
      const words = wordsIn(who, part);
      if (last?.type === "text") content[content.length - 1] = { type: "text", text: `${String(last.text)}${words}` };
      else content.push({ type: "text", text: words });
    }
  }
  const blocks = mergeBlocks(content);
  const [only] = blocks.map(shapeOf);
  const calls = parts.filter((part) => part.kind === "toolCall").map(callOf);
  return {
    role: "assistant",
    content: blocks.length === 0 ? "" : blocks.length === 1 && only?.type === "text" && typeof only.text === "string" ? only.text : blocks,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(Object.keys(fields).length === 0 ? {} : { additional_kwargs: fields }),
    ...(standard ? { response_metadata: { output_version: "v1" } } : {}),
  };
}

/** Arguments must be an object; those of a call that went wrong go back within one. */
function callOf({ id, name, arguments: value }: ToolCallPart): Shape {
  return { type: "tool_call", id, name, args: shapeOf(value) ?? { arguments: value } };
}

/** Text and JSON; `invalid_input` for what has no words, before anything is asked. */
export function wordsIn(who: string, part: Part): string {
  if (part.kind === "text") return part.text;
  if (part.kind === "json") return JSON.stringify(part.value);
  throw cannotTake(who, part);
}

const mediaTypes: ReadonlySet<string> = new Set(["image", "audio", "video"]);

/** A standard block; which services take which of them their packages say. */
function mediaBlock(who: string, part: BytesPart | UriPart): Shape {
  const mimeType = essence(part.mimeType);
  const [family = ""] = mimeType.split("/");
  const filename = wordsOf(shapeOf(part.metadata.file)?.name);
  const about = { type: mediaTypes.has(family) ? family : "file", mimeType, ...(filename === undefined ? {} : { metadata: { filename } }) };
  if (part.kind === "bytes") return { ...about, data: toBase64(part.bytes) };
  if (/^(?:https?:\/\/|data:)/i.test(part.uri)) return { ...about, url: part.uri };
  throw cannotTake(who, part, ": the address must be https; load its content first");
}

function cannotTake(who: string, part: Part, hint = ""): MillraceError {
  return new MillraceError("invalid_input", `${who}: cannot take a ${part.kind} part of type ${part.mimeType.slice(0, 100)}, role ${part.role}${hint}`, { service: who });
}
