/**
 * Parts as Gemini's API takes them, one by one.
 *
 * Source: ai.google.dev/api/caching#Part, ai.google.dev/gemini-api/docs/{image,document,video,audio}-understanding.
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, Part, ToolResultPart, UriPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { type Shape, shapeOf, wordsOf } from "../json-shape.ts";
import { exactJson } from "./raw-json.ts";

/** Media, by content or by address. */
export type GeminiMedia = Pick<GeminiPart, "inlineData" | "fileData">;

/** A part of a message, as it is sent. */
export interface GeminiPart {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly inlineData?: { readonly mimeType: string; readonly data: string };
  readonly fileData?: { readonly mimeType: string; readonly fileUri: string };
  readonly videoMetadata?: unknown;
  readonly functionCall?: { readonly id?: string; readonly name: string; readonly args: Shape };
  readonly functionResponse?: { readonly id?: string; readonly name: string; readonly response: Shape; readonly parts?: readonly GeminiMedia[] };
  readonly executableCode?: unknown;
  readonly codeExecutionResult?: unknown;
  readonly toolCall?: unknown;
  readonly toolResponse?: unknown;
}

/** What the service runs by itself: its parts come back to it as they were. */
export const serverParts = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"] as const;

/** Images that the models see. */
const imageTypes: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"]);

/** What the service gave with a part to have it back. */
export function opaqueOf(part: Part): Pick<GeminiPart, "thought" | "thoughtSignature"> | undefined {
  const about = shapeOf(part.metadata.gemini);
  const thoughtSignature = wordsOf(about?.thoughtSignature);
  const thought = about?.thought === true;
  if (!thought && thoughtSignature === undefined) return undefined;
  return { ...(thought ? { thought } : {}), ...(thoughtSignature === undefined ? {} : { thoughtSignature }) };
}

/** A part that the service gave to have it back whole: only the fields it may have. */
export function serverPartOf(part: Part): GeminiPart | undefined {
  const kept = shapeOf(shapeOf(part.metadata.gemini)?.part);
  if (kept === undefined) return undefined;
  const field = serverParts.find((name) => shapeOf(kept[name]) !== undefined);
  const thoughtSignature = wordsOf(kept.thoughtSignature);
  if (field === undefined && thoughtSignature === undefined) return undefined;
  return { ...(field === undefined ? {} : { [field]: kept[field] }), ...(thoughtSignature === undefined ? {} : { thoughtSignature }) };
}

/** Text, media and calls, with what belongs to them where the model made them; a result needs its call: see `toResponse`. */
export function toGeminiPart(who: string, part: Part, isOfModel: boolean): GeminiPart {
  const opaque = (isOfModel ? opaqueOf(part) : undefined) ?? {};
  switch (part.kind) {
    case "text":
      return { text: part.text, ...opaque };
    case "json":
      return { text: JSON.stringify(part.value), ...opaque };
    case "bytes":
      return { ...mediaOf(who, part), ...opaque };
    case "uri":
      return { ...fileOf(who, part), ...opaque };
    case "toolCall": {
      const about = shapeOf(part.metadata.gemini);
      const args = exactly(about?.arguments) ?? shapeOf(part.arguments) ?? { arguments: part.arguments };
      return { functionCall: { ...(about?.withoutId === true ? {} : { id: part.id }), name: part.name, args }, ...opaque };
    }
    default:
      throw cannotTake(who, part);
  }
}

/** Arguments whose text holds numbers that a value does not. */
function exactly(raw: unknown): Shape | undefined {
  return typeof raw === "string" && /\d{16}/.test(raw) ? shapeOf(exactJson(raw)) : undefined;
}

/** A tool's result under the id and name of its call. It must be an object. */
export function toResponse(who: string, part: ToolResultPart, media: readonly (BytesPart | UriPart)[], call: GeminiPart["functionCall"]): GeminiPart {
  const { id, name = part.name } = call ?? {};
  const response = part.isError ? { error: part.result } : (shapeOf(part.result) ?? { result: part.result });
  const parts = media.map((one) => resultMedia(who, one));
  return { functionResponse: { ...(id === undefined ? {} : { id }), name, response, ...(parts.length === 0 ? {} : { parts }) } };
}

/** Within a result there is no text and no cut of a video. */
function resultMedia(who: string, part: BytesPart | UriPart): GeminiMedia {
  if (part.kind === "uri") return addressOf(who, part);
  const mimeType = mediaType(who, part);
  return { inlineData: { mimeType: mimeType === "application/json" ? "text/plain" : mimeType, data: toBase64(part.bytes) } };
}

function mediaOf(who: string, part: BytesPart): GeminiPart {
  const mimeType = mediaType(who, part);
  if (mimeType === "application/json") return { text: new TextDecoder().decode(part.bytes) };
  return withVideo(part, { inlineData: { mimeType, data: toBase64(part.bytes) } });
}

function fileOf(who: string, part: UriPart): GeminiPart {
  return withVideo(part, addressOf(who, part));
}

function addressOf(who: string, part: UriPart): GeminiMedia {
  const mimeType = mediaType(who, part);
  const inline = /^data:[^,]*;base64,(.*)$/is.exec(part.uri)?.[1];
  if (inline !== undefined) return { inlineData: { mimeType, data: inline } };
  if (!/^(?:https|gs):\/\//i.test(part.uri)) {
    const scheme = /^[a-z][\w+.-]*:/i.exec(part.uri)?.[0] ?? "no scheme";
    throw cannotTake(who, part, `the address must be https, gs or base64 in data, got ${scheme}; load its content first`);
  }
  return { fileData: { mimeType, fileUri: part.uri } };
}

/** Frames and times of a video, from `metadata.gemini.videoMetadata`. */
function withVideo(part: Part, sent: GeminiPart): GeminiPart {
  const videoMetadata = shapeOf(shapeOf(part.metadata.gemini)?.videoMetadata);
  return videoMetadata === undefined ? sent : { ...sent, videoMetadata };
}

function mediaType(who: string, part: BytesPart | UriPart): string {
  const type = essence(part.mimeType);
  const taken = imageTypes.has(type) || /^(?:audio|video|text)\//.test(type) || type === "application/pdf" || (type === "application/json" && part.kind === "bytes");
  if (!taken) throw cannotTake(who, part);
  return type;
}
