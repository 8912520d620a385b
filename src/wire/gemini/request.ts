/**
 * Parts to a request of `generateContent`.
 *
 * Source: ai.google.dev/api/generate-content; ai.google.dev/gemini-api/docs/thought-signatures (a part with a signature goes back as
 * it came: neither joined with others nor cut).
 *
 * @module
 */
import type { Part } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { compact, type Shape } from "../json-shape.ts";
import { mediaInside, type WithMedia } from "../tool-media.ts";
import { spokenParts, type SystemParts } from "../turn-input.ts";
import { type GeminiPart, opaqueOf, serverPartOf, toGeminiPart, toResponse } from "./content.ts";

/** One message. */
export interface GeminiContent {
  readonly role: "user" | "model";
  readonly parts: GeminiPart[];
}

/** Everything but the messages. */
export interface GeminiConfig {
  readonly systemInstruction?: { readonly parts: readonly GeminiPart[] };
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly maxOutputTokens?: number;
  readonly stopSequences?: readonly string[];
  readonly seed?: number;
  readonly responseMimeType?: string;
  readonly responseJsonSchema?: unknown;
  readonly responseModalities?: readonly string[];
  readonly safetySettings?: readonly unknown[];
  readonly tools?: readonly unknown[];
  readonly toolConfig?: unknown;
  readonly thinkingConfig?: unknown;
  /** The client runs no tools by itself. */
  readonly automaticFunctionCalling: { readonly disable: true };
  /** Nor does it ask again by itself. */
  readonly automaticContinuation: false;
}

/** What is sent. */
export interface GeminiRequest {
  readonly model: string;
  readonly contents: readonly GeminiContent[];
  readonly config: GeminiConfig;
}

/** What the options decide. */
export interface GeminiSettings {
  readonly who: string;
  readonly model: string;
  readonly system?: string | undefined;
  readonly systemParts: SystemParts;
  /** A key that is undefined is left out. */
  readonly fields: { readonly [K in keyof Omit<GeminiConfig, "systemInstruction">]: GeminiConfig[K] | undefined };
  /** Goes out as it is, before the fields. */
  readonly extra: Shape;
}

/** The request for these parts; undefined when there is nothing but system text to send. */
export function toGeminiRequest(parts: readonly Part[], settings: GeminiSettings): GeminiRequest | undefined {
  const { who, model, system, systemParts, fields, extra } = settings;
  const spoken = spokenParts(who, parts, systemParts, (part) => opaqueOf(part) !== undefined || serverPartOf(part) !== undefined);
  const instructions: GeminiPart[] = system === undefined ? [] : [{ text: system }];
  const contents: GeminiContent[] = [];
  const calls = new Map<string, GeminiPart["functionCall"]>();
  for (const one of mediaInside(spoken)) {
    if (one.speaker === "system") instructions.push(toInstruction(who, one.part));
    else add(contents, one.speaker === "assistant" ? "model" : "user", toPart(who, one, calls));
  }
  if (contents.length === 0) return undefined;
  const systemInstruction = instructions.length === 0 ? {} : { systemInstruction: { parts: instructions } };
  return { model, contents, config: { ...extra, ...systemInstruction, ...compact<Omit<GeminiConfig, "systemInstruction">>(fields) } };
}

/** Roles of messages are two: system text stands ahead of them, wherever it was. */
function toInstruction(who: string, part: Part): GeminiPart {
  if (part.kind === "text") return { text: part.text };
  if (part.kind === "json") return { text: JSON.stringify(part.value) };
  throw cannotTake(who, part);
}

function toPart(who: string, { part, speaker, media }: WithMedia, calls: Map<string, GeminiPart["functionCall"]>): GeminiPart {
  if (part.kind === "toolResult") return toResponse(who, part, media, calls.get(part.id));
  const isOfModel = speaker === "assistant";
  const sent = (isOfModel && part.substream === "reasoning" ? serverPartOf(part) : undefined) ?? toGeminiPart(who, part, isOfModel);
  if (part.kind === "toolCall") calls.set(part.id, sent.functionCall);
  return sent;
}

function add(contents: GeminiContent[], role: GeminiContent["role"], part: GeminiPart): void {
  const last = contents.at(-1);
  if (last?.role !== role) {
    contents.push({ role, parts: [part] });
    return;
  }
  // An answer that comes back came in deltas: they are one text, but for those with a signature. What users send stays as it was cut.
  const before = last.parts.at(-1);
  const joins = role === "model" && isUnsignedText(before) && isUnsignedText(part) && before.thought === part.thought;
  if (joins) last.parts[last.parts.length - 1] = { ...before, text: before.text + part.text };
  else last.parts.push(part);
}

function isUnsignedText(part: GeminiPart | undefined): part is Pick<GeminiPart, "thought"> & { readonly text: string } {
  return part?.text !== undefined && part.thoughtSignature === undefined;
}
