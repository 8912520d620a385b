/**
 * Parts to a request of Chat Completions, as OpenAI and its many compatible servers take it.
 *
 * Source: platform.openai.com/docs/api-reference/chat/create
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { essence } from "../../core/guards.ts";
import type { Part } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact } from "../json-shape.ts";
import { mediaBehind, resultText } from "../tool-media.ts";
import { type Spoken, spokenParts, type SystemParts } from "../turn-input.ts";
import { addressOf, argumentsText, dataUrl, fileId, fileName, imageDetail, isDataUrl, mediaKind } from "./content.ts";

/** A piece of a user's message. */
export type ChatContent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image_url"; readonly image_url: { readonly url: string; readonly detail?: "low" | "high" } }
  | { readonly type: "input_audio"; readonly input_audio: { readonly data: string; readonly format: "wav" | "mp3" } }
  | { readonly type: "file"; readonly file: { readonly filename: string; readonly file_data: string } | { readonly file_id: string } };

/** A tool call as it is sent back. */
export interface ChatToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** One message. */
export type ChatMessage =
  | { readonly role: "system"; readonly content: string }
  | { readonly role: "user"; readonly content: string | readonly ChatContent[] }
  | { readonly role: "assistant"; readonly content: string | null; readonly tool_calls?: readonly ChatToolCall[] }
  | { readonly role: "tool"; readonly tool_call_id: string; readonly content: string };

/** What is sent. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream: true;
  readonly stream_options?: { readonly include_usage: true };
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly stop?: readonly string[];
  readonly tools?: readonly unknown[];
  readonly tool_choice?: unknown;
  readonly response_format?: unknown;
}

/** What the options decide. */
export interface ChatSettings {
  readonly who: string;
  readonly system?: string | undefined;
  readonly systemParts: SystemParts;
  /** Everything but the messages; a key that is undefined is left out. */
  readonly fields: { readonly [K in keyof Omit<ChatRequest, "messages">]: ChatRequest[K] | undefined };
  /** Goes out as it is, before the fields. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The request for these parts; undefined when there is nothing but system text to send. */
export function toChatRequest(parts: readonly Part[], settings: ChatSettings): ChatRequest | undefined {
  const { who, system, systemParts, fields, extra } = settings;
  const spoken = mediaBehind(spokenParts(who, parts, systemParts, () => false));
  if (!spoken.some(({ speaker }) => speaker !== "system")) return undefined;
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  for (let at = 0; at < spoken.length; ) {
    const run = runFrom(spoken, at);
    messages.push(...messagesOf(who, run));
    at += run.length;
  }
  return { ...extra, ...compact<Omit<ChatRequest, "messages">>(fields), messages };
}

/** Neighbours that form one message: of one speaker, tool results each for themselves. */
function runFrom(spoken: readonly Spoken[], from: number): Spoken[] {
  const first = spoken[from];
  if (first === undefined || first.part.kind === "toolResult") return spoken.slice(from, from + 1);
  let end = from + 1;
  while (spoken[end]?.speaker === first.speaker && spoken[end]?.part.kind !== "toolResult") end += 1;
  return spoken.slice(from, end);
}

function messagesOf(who: string, run: readonly Spoken[]): ChatMessage[] {
  const [first] = run;
  if (first === undefined) return [];
  const parts = run.map(({ part }) => part);
  if (first.part.kind === "toolResult") {
    return [{ role: "tool", tool_call_id: first.part.id, content: resultText(first.part) }];
  }
  if (first.speaker === "system") return [{ role: "system", content: parts.map((part) => wordsIn(who, part)).join("\n\n") }];
  if (first.speaker === "user") {
    const content = parts.map((part) => contentOf(who, part));
    const [only] = content;
    // Many compatible servers take a string alone where there is nothing but text.
    return [{ role: "user", content: content.length === 1 && only?.type === "text" ? only.text : content }];
  }
  const calls = parts.flatMap((part): ChatToolCall[] =>
    part.kind === "toolCall" ? [{ id: part.id, type: "function", function: { name: part.name, arguments: argumentsText(part) } }] : [],
  );
  const words = parts.filter((part) => part.kind !== "toolCall").map((part) => wordsIn(who, part)).join("");
  return [{ role: "assistant", content: words === "" ? null : words, ...(calls.length === 0 ? {} : { tool_calls: calls }) }];
}

function wordsIn(who: string, part: Part): string {
  if (part.kind === "text") return part.text;
  if (part.kind === "json") return JSON.stringify(part.value);
  throw cannotTake(who, part);
}

/** Formats that are taken; by the subtype's several names. */
const audioFormats: Readonly<Record<string, "wav" | "mp3">> = {
  "audio/wav": "wav",
  "audio/wave": "wav",
  "audio/x-wav": "wav",
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3",
};

function contentOf(who: string, part: Part): ChatContent {
  if (part.kind !== "bytes" && part.kind !== "uri") return { type: "text", text: wordsIn(who, part) };
  const kind = mediaKind(who, part);
  if (kind === "image") {
    const detail = imageDetail(part);
    const url = part.kind === "bytes" ? dataUrl(part) : addressOf(who, part);
    return { type: "image_url", image_url: { url, ...(detail === "auto" ? {} : { detail }) } };
  }
  const id = fileId(part);
  if (kind === "file" && id !== undefined) return { type: "file", file: { file_id: id } };
  if (kind === "file" && (part.kind === "bytes" || isDataUrl(part.uri))) {
    return { type: "file", file: { filename: fileName(part), file_data: part.kind === "bytes" ? dataUrl(part) : part.uri } };
  }
  if (part.kind === "uri") throw cannotTake(who, part, "load its content first");
  const format = audioFormats[essence(part.mimeType)];
  if (format === undefined) throw cannotTake(who, part, "audio must be wav or mp3");
  return { type: "input_audio", input_audio: { data: toBase64(part.bytes), format } };
}
