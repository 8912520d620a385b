/**
 * Parts to a request of the Responses API.
 *
 * Source: platform.openai.com/docs/api-reference/responses/create
 *
 * @module
 */
import type { Part } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact } from "../json-shape.ts";
import { type Spoken, spokenParts, type SystemParts } from "../turn-input.ts";
import { addressOf, argumentsText, dataUrl, fileName, imageDetail, mediaKind } from "./content.ts";
import { type ReasoningItem, reasoningItem } from "./reasoning-item.ts";

/** A piece of a message. */
export type InputContent =
  | { readonly type: "input_text"; readonly text: string }
  | { readonly type: "output_text"; readonly text: string; readonly annotations: readonly [] }
  | { readonly type: "input_image"; readonly image_url: string; readonly detail: "low" | "high" | "auto" }
  | { readonly type: "input_file"; readonly filename: string; readonly file_data: string }
  | { readonly type: "input_file"; readonly file_url: string };

/** One item of the input. */
export type InputItem =
  | { readonly role: "user" | "assistant" | "system"; readonly content: InputContent[] }
  | { readonly type: "function_call"; readonly call_id: string; readonly name: string; readonly arguments: string }
  | { readonly type: "function_call_output"; readonly call_id: string; readonly output: string }
  | ReasoningItem;

/** What is sent. */
export interface ResponsesRequest {
  readonly model: string;
  readonly input: readonly InputItem[];
  readonly stream: true;
  readonly store: false;
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
  /** Only it can read the reasoning items that it gave. */
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
  const spoken = spokenParts(who, parts, systemParts, (part) => reasoningItem(part, service) !== undefined);
  if (!spoken.some(({ speaker }) => speaker !== "system")) return undefined;
  const input: InputItem[] = [];
  for (const one of spoken) add(settings, input, one);
  return { ...extra, ...compact<Omit<ResponsesRequest, "input">>(fields), input };
}

function add({ who, service }: ResponsesSettings, input: InputItem[], { part, speaker }: Spoken): void {
  if (part.substream === "reasoning") {
    const item = reasoningItem(part, service);
    if (item !== undefined) input.push(item);
    return;
  }
  if (part.kind === "toolCall") {
    input.push({ type: "function_call", call_id: part.id, name: part.name, arguments: argumentsText(part) });
    return;
  }
  if (part.kind === "toolResult") {
    input.push({ type: "function_call_output", call_id: part.id, output: typeof part.result === "string" ? part.result : JSON.stringify(part.result) });
    return;
  }
  const content = contentOf(who, part, speaker);
  const last = input.at(-1);
  if (last === undefined || !("role" in last) || last.role !== speaker) {
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

function contentOf(who: string, part: Part, speaker: Spoken["speaker"]): InputContent {
  if (part.kind === "text" || part.kind === "json") {
    const text = part.kind === "text" ? part.text : JSON.stringify(part.value);
    return speaker === "assistant" ? { type: "output_text", text, annotations: [] } : { type: "input_text", text };
  }
  if ((part.kind !== "bytes" && part.kind !== "uri") || speaker !== "user") throw cannotTake(who, part);
  const kind = mediaKind(who, part);
  if (kind === "audio") throw cannotTake(who, part, "use openaiChat or transcribe it first");
  if (kind === "image") {
    return { type: "input_image", image_url: part.kind === "bytes" ? dataUrl(part) : addressOf(who, part), detail: imageDetail(part) };
  }
  if (part.kind === "bytes") return { type: "input_file", filename: fileName(part), file_data: dataUrl(part) };
  return { type: "input_file", file_url: addressOf(who, part) };
}
