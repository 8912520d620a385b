/**
 * The prompt of an AI SDK call to parts.
 *
 * Source: `@ai-sdk/provider` 4, src/language-model/v4/language-model-v4-prompt.ts.
 *
 * @module
 */
import { fromBase64, toBase64 } from "../../core/base64.ts";
import { bytes, json, text, toolCall, toolResult, uri } from "../../core/constructors.ts";
import { invalidOption, MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue, Part, PartOptions, Role } from "../../core/part.ts";
import { itemsOf, type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { metadataOf } from "./shapes.ts";

/** The parts of a prompt, in order. System messages are of the program that calls, so they may speak as system. */
export function promptParts(who: string, prompt: readonly unknown[]): Part[] {
  return prompt.flatMap((one) => {
    const message = shapeOf(one);
    const content = typeof message?.content === "string" ? [{ type: "text", text: message.content }] : itemsOf(message?.content);
    const role = roleOf(who, message?.role);
    return content.flatMap((piece, index) => {
      // What is said of a message counts for its end, as marks for a cache do.
      const shared = index === content.length - 1 ? shapeOf(message?.providerOptions) : undefined;
      const item = shapeOf(piece) ?? {};
      return pieceOf(who, role, { ...item, providerOptions: { ...shared, ...shapeOf(item.providerOptions) } });
    });
  });
}

function roleOf(who: string, role: unknown): Role {
  if (role === "system" || role === "user" || role === "assistant" || role === "tool") return role;
  throw invalidOption(who, "the role of a message", "system, user, assistant or tool", role);
}

function pieceOf(who: string, role: Role, piece: Shape): Part[] {
  const { providerOptions, ...value } = piece;
  const options = { role, metadata: metadataOf(providerOptions) };
  const reasoning = { ...options, substream: "reasoning" };
  switch (piece.type) {
    case "text":
      return [text(wordsOf(piece.text) ?? "", options)];
    case "reasoning":
      return reasoned(wordsOf(piece.text) ?? "", reasoning);
    case "file":
      return [fileOf(who, piece, options)];
    case "reasoning-file":
      return [fileOf(who, piece, reasoning)];
    case "tool-call":
      if (piece.providerExecuted === true) return [json(valueOf(who, value), { ...options, substream: "sources" })];
      return [toolCall({ id: String(piece.toolCallId), name: String(piece.toolName), arguments: valueOf(who, piece.input ?? {}) }, options)];
    case "tool-result":
      if (role === "assistant") return [json(valueOf(who, value), { ...options, substream: "sources" })];
      return [toolResult({ id: String(piece.toolCallId), name: String(piece.toolName), ...resultOf(who, shapeOf(piece.output) ?? {}) }, options)];
    case "custom":
      return [json(valueOf(who, value), { ...options, substream: "sources" })];
    case "tool-approval-response":
      return []; // for tools that the provider runs: there is none behind a processor
    default:
      throw invalidOption(who, "a part of the prompt", "of a known type", piece.type);
  }
}

/** Words and, behind them, what the provider said of the block: where models of ours have it. */
function reasoned(words: string, options: PartOptions): Part[] {
  const hasData = Object.keys(options.metadata ?? {}).length > 0;
  if (words === "" || !hasData) return [text(words, options)];
  const { metadata: _, ...bare } = options;
  return [text(words, bare), text("", options)];
}

function fileOf(who: string, piece: Shape, options: PartOptions): Part {
  const filename = wordsOf(piece.filename);
  const all: PartOptions = filename === undefined ? options : { ...options, metadata: { ...options.metadata, file: { name: filename } } };
  const named = wordsOf(piece.mediaType) ?? "application/octet-stream";
  const mediaType = named.includes("/") ? named : `${named}/*`; // v4 takes `image` alone
  const data = shapeOf(piece.data);
  switch (data?.type) {
    case "data":
      if (data.data instanceof Uint8Array) return bytes(data.data, mediaType, all);
      if (typeof data.data === "string") return bytes(fromBase64(data.data), mediaType, all);
      break;
    case "url":
      return uri(wordsOf(data.originalUrl) ?? String(data.url), mediaType, all);
    case "text":
      return text(wordsOf(data.text) ?? "", { ...all, mimeType: mediaType });
    default:
  }
  throw new MillraceError("invalid_input", `${who}: a file of type ${mediaType.slice(0, 100)} must be data, text or an address, got ${String(data?.type).slice(0, 40)}`);
}

/** What a tool answered, and whether it is an error. */
function resultOf(who: string, output: Shape): { readonly result: JsonValue; readonly isError: boolean } {
  switch (output.type) {
    case "text":
    case "json":
      return { result: valueOf(who, output.value ?? null), isError: false };
    case "error-text":
    case "error-json":
      return { result: valueOf(who, output.value ?? null), isError: true };
    case "execution-denied":
      return { result: wordsOf(output.reason) ?? "the call was not allowed", isError: true };
    case "content":
      return { result: itemsOf(output.value).map((item) => valueOf(who, plain(shapeOf(item) ?? {}))), isError: false };
    default:
      throw invalidOption(who, "the output of a tool", "of a known type", output.type);
  }
}

/** Files within a result are JSON there: base64 or an address. */
function plain({ providerOptions: _, ...item }: Shape): Shape {
  const data = shapeOf(item.data);
  if (data?.data instanceof Uint8Array) return { ...item, data: { type: "data", data: toBase64(data.data) } };
  return data?.url instanceof URL ? { ...item, data: { type: "url", url: data.url.href } } : item;
}

function valueOf(who: string, value: unknown): JsonValue {
  return checkedJson(value, who);
}
