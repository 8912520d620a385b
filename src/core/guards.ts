/**
 * Guards that narrow a part, by its kind and mime type, never by its content.
 *
 * @module
 */
import type {
  BytesPart,
  ErrorPart,
  FinishPart,
  JsonPart,
  Part,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  UriPart,
} from "./part.ts";

/** Content by value or by address. */
type MediaPart = BytesPart | UriPart;

/** The type and subtype in lower case, without parameters. */
export function essence(mimeType: string): string {
  const end = mimeType.indexOf(";");
  return (end < 0 ? mimeType : mimeType.slice(0, end)).trim().toLowerCase();
}

/** Is it text? */
export function isText(part: Part): part is TextPart {
  return part.kind === "text";
}

/** Is it content held in memory? */
export function isBytes(part: Part): part is BytesPart {
  return part.kind === "bytes";
}

/** Is it content held elsewhere? */
export function isUri(part: Part): part is UriPart {
  return part.kind === "uri";
}

/** Is it a JSON value? */
export function isJson(part: Part): part is JsonPart {
  return part.kind === "json";
}

/** Does a model ask for a tool? */
export function isToolCall(part: Part): part is ToolCallPart {
  return part.kind === "toolCall";
}

/** Is it a tool's answer? */
export function isToolResult(part: Part): part is ToolResultPart {
  return part.kind === "toolResult";
}

/** Does it end a model's turn? */
export function isFinish(part: Part): part is FinishPart {
  return part.kind === "finish";
}

/** Is it an error that `isolate` turned into data? */
export function isError(part: Part): part is ErrorPart {
  return part.kind === "error";
}

/** Bytes or an address of an image; SVG counts as one and is never trusted markup. */
export function isImage(part: Part): part is MediaPart {
  return isMedia(part) && essence(part.mimeType).startsWith("image/");
}

/** Bytes or an address of audio. */
export function isAudio(part: Part): part is MediaPart {
  return isMedia(part) && essence(part.mimeType).startsWith("audio/");
}

/** Bytes or an address of a video. */
export function isVideo(part: Part): part is MediaPart {
  return isMedia(part) && essence(part.mimeType).startsWith("video/");
}

/** Bytes or an address of a PDF. */
export function isPdf(part: Part): part is MediaPart {
  return isMedia(part) && essence(part.mimeType) === "application/pdf";
}

/** On one of the two reserved substreams, `status` and `debug`, by exact name? */
export function isReserved(part: Part): boolean {
  return part.substream === "status" || part.substream === "debug";
}

function isMedia(part: Part): part is MediaPart {
  return part.kind === "bytes" || part.kind === "uri";
}
