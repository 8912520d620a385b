/**
 * Parts to a request of the Responses API.
 *
 * Source: platform.openai.com/docs/api-reference/responses/create
 *
 * @module
 */
import type { BytesPart, Part, ToolResultPart, UriPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact } from "../json-shape.ts";
import { mediaInside, resultText, type WithMedia } from "../tool-media.ts";
import { type Spoken, spokenParts, type SystemParts } from "../turn-input.ts";
import { addressOf, argumentsText, dataUrl, fileId, fileName, imageDetail, isDataUrl, mediaKind } from "./content.ts";
import { asReturned, type ReturnedItem, returnedItem } from "./returned.ts";

/** Media: by content, by address or as an upload. */
export type InputMedia =
  | { readonly type: "input_image"; readonly image_url: string; readonly detail: "low" | "high" | "auto" }
  | { readonly type: "input_image"; readonly file_id: string; readonly detail: "low" | "high" | "auto" }
  | { readonly type: "input_file"; readonly filename: string; readonly file_data: string }
  | { readonly type: "input_file"; readonly file_url: string }
  | { readonly type: "input_file"; readonly file_id: string };

/** A piece of a message. */
export type InputContent =
  | { readonly type: "input_text"; readonly text: string }
  | { readonly type: "output_text"; readonly text: string; readonly annotations: readonly [] }
  | InputMedia;

/** What a tool answered: text, and media where it gave any. */
export type ToolOutput = string | readonly ({ readonly type: "input_text"; readonly text: string } | InputMedia)[];

/** Neighbours of one role. */
export interface InputMessage {
  readonly role: "user" | "assistant" | "system";
  readonly content: InputContent[];
}

/** One item of the input. */
export type InputItem =
  | InputMessage
  | { readonly type: "function_call"; readonly call_id: string; readonly name: string; readonly arguments: string }
  | { readonly type: "function_call_output"; readonly call_id: string; readonly output: ToolOutput }
  | ReturnedItem;

/** What is sent. */
export interface ResponsesRequest {
  readonly model: string;
  readonly input: readonly InputItem[];
  readonly stream: true;
  readonly store: boolean;
  readonly background?: true;
  readonly stream_options: { readonly include_obfuscation: false };
  readonly include?: readonly ["reasoning.encrypted_content"];
  readonly instructions?: string;
  readonly max_output_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly reasoning?: { readonly effort?: string; readonly summary?: string };
  readonly tools?: readonly unknown[];
  readonly tool_choice?: unknown;
  readonly text?: { readonly format: unknown };
}

/** What the options decide. */
export interface ResponsesSettings {
  readonly who: string;
  /** Only it can read what it gave to have it back. */
  readonly service: string;
  readonly systemParts: SystemParts;
  /** Everything but the input; a key that is undefined is left out. */
  readonly fields: { readonly [K in keyof Omit<ResponsesRequest, "input">]: ResponsesRequest[K] | undefined };
  /** Goes out as it is, after the fields. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The request for these parts; undefined when there is nothing but system text to send. */
export function toResponsesRequest(parts: readonly Part[], settings: ResponsesSettings): ResponsesRequest | undefined {
  const { who, service, systemParts, fields, extra } = settings;
  const spoken = spokenParts(who, parts.map(asReturned), systemParts, (part) => returnedItem(part, service) !== undefined);
  if (!spoken.some(({ speaker }) => speaker !== "system")) return undefined;
  const input: InputItem[] = [];
  for (const one of mediaInside(spoken)) add(settings, input, one);
  return { ...extra, ...compact<Omit<ResponsesRequest, "input">>(fields), input };
}

function add({ who, service }: ResponsesSettings, input: InputItem[], { part, speaker, media }: WithMedia): void {
  const item = returnedItem(part, service);
  if (item !== undefined) return void input.push(item);
  if (part.kind === "toolCall") {
    input.push({ type: "function_call", call_id: part.id, name: part.name, arguments: argumentsText(part) });
    return;
  }
  if (part.kind === "toolResult") {
    input.push({ type: "function_call_output", call_id: part.id, output: outputOf(who, part, media) });
    return;
  }
  const content = contentOf(who, part, speaker);
  const last = input.at(-1);
  if (last === undefined || !isMessage(last) || last.role !== speaker) {
    input.push({ role: speaker, content: [content] });
    return;
  }
  // An answer that comes back came in deltas: they are one text. What users send stays as it was cut.
  const before = last.content.at(-1);
  if (content.type === "output_text" && before?.type === "output_text") {
    last.content[last.content.length - 1] = { ...content, text: before.text + content.text };
  } else {
    last.content.push(content);
  }
}

/** What is said has no type here; every other item has one. */
function isMessage(item: InputItem): item is InputMessage {
  return !("type" in item);
}

function contentOf(who: string, part: Part, speaker: Spoken["speaker"]): InputContent {
  if (part.kind === "text" || part.kind === "json") {
    const text = part.kind === "text" ? part.text : JSON.stringify(part.value);
    return speaker === "assistant" ? { type: "output_text", text, annotations: [] } : { type: "input_text", text };
  }
  if ((part.kind !== "bytes" && part.kind !== "uri") || speaker !== "user") throw cannotTake(who, part);
  return mediaOf(who, part);
}

function outputOf(who: string, part: ToolResultPart, media: WithMedia["media"]): ToolOutput {
  const words = resultText(part);
  if (media.length === 0) return words;
  return [...(words === "" ? [] : [{ type: "input_text", text: words } as const]), ...media.map((one) => mediaOf(who, one))];
}

function mediaOf(who: string, part: BytesPart | UriPart): InputMedia {
  const kind = mediaKind(who, part);
  const id = fileId(part);
  if (kind === "audio") throw cannotTake(who, part, "use openaiChat or transcribe it first");
  if (kind === "image") {
    const detail = imageDetail(part);
    if (id !== undefined) return { type: "input_image", file_id: id, detail };
    return { type: "input_image", image_url: part.kind === "bytes" ? dataUrl(part) : addressOf(who, part), detail };
  }
  if (id !== undefined) return { type: "input_file", file_id: id };
  const address = part.kind === "bytes" ? dataUrl(part) : addressOf(who, part);
  return isDataUrl(address) ? { type: "input_file", filename: fileName(part), file_data: address } : { type: "input_file", file_url: address };
}
