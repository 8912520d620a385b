/**
 * Parts to a request of Ollama's chat endpoint.
 *
 * Source: github.com/ollama/ollama, docs/api.md and api/types.go (`ChatRequest`, `Message`).
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, JsonValue, Part, UriPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact, type Shape, shapeOf } from "../json-shape.ts";
import { mediaBehind, resultText } from "../tool-media.ts";
import { type Spoken, spokenParts, type SystemParts } from "../turn-input.ts";

/** A tool call as it is sent back. Servers before 0.12 ignore the id and go by the order. */
export interface OllamaToolCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: { readonly [key: string]: JsonValue } };
}

/** One message. */
export interface OllamaMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly thinking?: string;
  /** Base64, without the prefix of a data URL. */
  readonly images?: string[];
  readonly tool_calls?: OllamaToolCall[];
  readonly tool_name?: string;
  readonly tool_call_id?: string;
}

/** What is sent. */
export interface OllamaRequest {
  readonly model: string;
  readonly messages: readonly OllamaMessage[];
  readonly stream: true;
  /** False: a prompt that does not fit the context is an error, not one that lost its beginning. */
  readonly truncate?: boolean;
  /** False: an answer that fills the context ends, instead of going on without the beginning of the conversation. */
  readonly shift?: boolean;
  readonly tools?: readonly unknown[];
  readonly format?: unknown;
  readonly think?: boolean | string;
  readonly keep_alive?: string | number;
  readonly options?: Shape;
}

/** What the options decide. */
export interface OllamaSettings {
  readonly who: string;
  readonly system?: string | undefined;
  readonly systemParts: SystemParts;
  /** Everything but messages and model options; a key that is undefined is left out. */
  readonly fields: { readonly [K in keyof Omit<OllamaRequest, "messages" | "options">]: OllamaRequest[K] | undefined };
  /** The model's own: temperature and the like. */
  readonly options: { readonly [name: string]: unknown };
  /** Goes out as it is, before the fields; its `options` before ours. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Images that the server decodes. Source: docs/capabilities/vision; formats by the image packages that it imports. */
const imageTypes: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp"]);

/** The request for these parts; undefined when there is nothing but system text to send. */
export function toOllamaRequest(parts: readonly Part[], settings: OllamaSettings): OllamaRequest | undefined {
  const { who, system, systemParts, fields, extra } = settings;
  const spoken = mediaBehind(spokenParts(who, parts, systemParts, isThinking));
  if (!spoken.some(({ speaker }) => speaker !== "system")) return undefined;
  const messages: OllamaMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  for (let at = 0; at < spoken.length; ) {
    const run = runFrom(spoken, at);
    messages.push(messageOf(who, run));
    at += run.length;
  }
  const options = { ...shapeOf(extra.options), ...compact<object>(settings.options) };
  return { ...extra, ...compact<Omit<OllamaRequest, "messages" | "options">>(fields), messages, ...(Object.keys(options).length === 0 ? {} : { options }) };
}

/** Reasoning that this service gave: templates want it back while tools are called. */
function isThinking(part: Part): boolean {
  return part.kind === "text" && part.text !== "" && shapeOf(part.metadata.ollama)?.thinking === true;
}

/** Neighbours that form one message: of one speaker, tool results each for themselves. */
function runFrom(spoken: readonly Spoken[], from: number): Spoken[] {
  const first = spoken[from];
  if (first === undefined || first.part.kind === "toolResult") return spoken.slice(from, from + 1);
  let end = from + 1;
  while (spoken[end]?.speaker === first.speaker && spoken[end]?.part.kind !== "toolResult") end += 1;
  return spoken.slice(from, end);
}

function messageOf(who: string, run: readonly Spoken[]): OllamaMessage {
  const parts = run.map(({ part }) => part);
  const [first] = parts;
  if (first?.kind === "toolResult") {
    return { role: "tool", content: resultText(first), tool_name: first.name, tool_call_id: first.id };
  }
  const speaker = run[0]?.speaker ?? "user";
  if (speaker === "assistant") return answerOf(who, parts);
  const texts: string[] = [];
  const images: string[] = [];
  for (const part of parts) {
    if (speaker === "user" && (part.kind === "bytes" || part.kind === "uri")) images.push(imageOf(who, part));
    else texts.push(wordsIn(who, part));
  }
  // Joined as the server itself joins neighbours of one role.
  return { role: speaker, content: texts.join("\n\n"), ...(images.length === 0 ? {} : { images }) };
}

/** What the model said before: deltas of one text, its thoughts, its calls. */
function answerOf(who: string, parts: readonly Part[]): OllamaMessage {
  const thinking = parts.filter((part) => part.substream === "reasoning").map((part) => wordsIn(who, part)).join("");
  const said = parts.filter((part) => part.substream !== "reasoning" && part.kind !== "toolCall");
  const calls = parts.flatMap((part): OllamaToolCall[] =>
    part.kind === "toolCall" ? [{ id: part.id, function: { name: part.name, arguments: argumentsOf(part.arguments) } }] : [],
  );
  return {
    role: "assistant",
    content: said.map((part) => wordsIn(who, part)).join(""),
    ...(thinking === "" ? {} : { thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** The server takes an object and nothing else; arguments of another service may have been text that did not parse. */
function argumentsOf(value: JsonValue): { readonly [key: string]: JsonValue } {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as { readonly [key: string]: JsonValue }) : { arguments: value }; // what is no array and no null
}

function wordsIn(who: string, part: Part): string {
  if (part.kind === "text") return part.text;
  if (part.kind === "json") return JSON.stringify(part.value);
  throw cannotTake(who, part);
}

function imageOf(who: string, part: BytesPart | UriPart): string {
  if (!imageTypes.has(essence(part.mimeType))) throw cannotTake(who, part);
  if (part.kind !== "bytes") throw cannotTake(who, part, "load its content first");
  return toBase64(part.bytes);
}
