/**
 * What a chain hands to its next step, as parts.
 *
 * @module
 */
import type { BaseMessageLike } from "@langchain/core/messages";
import { json, text, toolCall, toolResult } from "../../core/constructors.ts";
import { isWholePart } from "../../core/content.ts";
import { MillraceError, received } from "../../core/errors.ts";
import type { Part, PartOptions, Role } from "../../core/part.ts";
import { fieldOf } from "../../wire/error-fields.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { documentPart } from "./documents.ts";
import { blocksOf, messageIn } from "./runnable.ts";
import { jsonIn, mediaPart } from "./values.ts";

const service = "langchain";

const roles: Readonly<Record<string, Role>> = { human: "user", ai: "assistant", system: "system", tool: "tool" };

/** Makes a message of what is like one: LangChain's own function. */
export type Coerce = (like: BaseMessageLike) => unknown;

/**
 * The parts of a prompt, a message, a document, a text, a part, or a list of these.
 *
 * System messages become system parts of this program: whoever calls the runnable vouches for them.
 *
 * Throws: `invalid_input` for anything else.
 */
export function inputParts(who: string, input: unknown, coerce: Coerce): Part[] {
  const names = new Map<string, string>(); // of the tools that were called, which results do not always say
  const partsOf = (value: unknown): Part[] => {
    if (typeof value === "string") return [text(value)];
    if (isWholePart(value)) return [value];
    const message = messageIn(value) ?? (isLike(value) ? messageIn(coerce(value)) : undefined);
    if (message !== undefined) return messageParts(message, names);
    const document = documentPart(value);
    if (document !== undefined) return [document];
    if (Array.isArray(value)) return value.flatMap(partsOf);
    const prompt = fieldOf(value, "toChatMessages");
    if (typeof prompt === "function") return partsOf(Reflect.apply(prompt, value, []));
    throw new MillraceError("invalid_input", `${who}: needs a prompt, messages, documents, texts or parts, got ${received(value)}`);
  };
  return partsOf(input);
}

function isLike(value: unknown): value is BaseMessageLike {
  const pair = Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && /^(?:human|user|ai|assistant|system|developer)$/.test(value[0]);
  return pair || typeof shapeOf(value)?.role === "string";
}

function messageParts(message: Shape, names: Map<string, string>): Part[] {
  const role = roles[String(message.type)] ?? "user";
  if (role === "tool") {
    const id = wordsOf(message.tool_call_id) ?? "";
    const result = jsonIn(service, message.content);
    return [toolResult({ id, name: wordsOf(message.name) ?? names.get(id) ?? "", result, isError: message.status === "error" })];
  }
  const calls = itemsOf(message.tool_calls).flatMap((value) => {
    const call = shapeOf(value);
    const [id, name] = [wordsOf(call?.id) ?? "", wordsOf(call?.name) ?? ""];
    names.set(id, name);
    return [toolCall({ id, name, arguments: jsonIn(service, call?.args ?? {}) })];
  });
  return [...blocksOf(message).flatMap((block) => blockParts(shapeOf(block) ?? {}, { role })), ...calls];
}

function blockParts(block: Shape, options: PartOptions): Part[] {
  const { type } = block;
  if (type === "text" || type === "text-plain") return typeof block.text === "string" && block.text !== "" ? [text(block.text, options)] : [];
  if (type === "reasoning") return typeof block.reasoning === "string" ? [text(block.reasoning, { ...options, substream: "reasoning" })] : [];
  const media = mediaPart(service, block, options);
  if (media.length > 0 || typeof type !== "string" || /^(?:tool_call|tool_use|non_standard|server_tool)/.test(type)) return media;
  return [json(jsonIn(service, block), options)];
}
