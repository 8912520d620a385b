/**
 * Media of a part as OpenAI's two APIs take it: data URLs, addresses, file names.
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, Part, UriPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";

/** Images that the models see. Source: platform.openai.com/docs/guides/images-vision */
const imageTypes: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** What a media part is to a model. */
export type MediaKind = "image" | "audio" | "file";

/** Tells images, audio and files apart by mime type; throws `invalid_input` for what no model of theirs takes. */
export function mediaKind(who: string, part: BytesPart | UriPart): MediaKind {
  const type = essence(part.mimeType);
  if (imageTypes.has(type)) return "image";
  if (type.startsWith("audio/")) return "audio";
  if (type.startsWith("image/") || type.startsWith("video/")) throw cannotTake(who, part);
  return "file";
}

/** The bytes within an address. */
export function dataUrl(part: BytesPart): string {
  return `data:${essence(part.mimeType)};base64,${toBase64(part.bytes)}`;
}

/** The id of an upload, of an address like `openai-file:file-abc123`. */
export function fileId(part: BytesPart | UriPart): string | undefined {
  return part.kind === "uri" ? /^openai-file:([\w-]+)$/.exec(part.uri)?.[1] : undefined;
}

/** An address the service can fetch, or one that holds its content. */
export function addressOf(who: string, part: UriPart): string {
  if (/^(?:https?:\/\/|data:)/i.test(part.uri)) return part.uri;
  const scheme = /^[a-z][\w+.-]*:/i.exec(part.uri)?.[0] ?? "no scheme";
  throw cannotTake(who, part, `the address must be https, got ${scheme}; load its content first`);
}

/** Does an address hold its content? */
export function isDataUrl(address: string): boolean {
  return /^data:/i.test(address);
}

/** File name endings by mime type: a file without one is refused. */
const endings: Readonly<Record<string, string>> = {
  "application/pdf": "pdf",
  "application/json": "json",
  "text/plain": "txt",
  "text/markdown": "md",
  "text/html": "html",
  "text/csv": "csv",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
};

/** The name from `metadata.file.name`, else one by type. */
export function fileName(part: BytesPart | UriPart): string {
  return wordsOf(shapeOf(part.metadata.file)?.name) ?? `file.${endings[essence(part.mimeType)] ?? "bin"}`;
}

/** `low`, `high` or `auto`, from `metadata.openai.detail`. */
export function imageDetail(part: Part): "low" | "high" | "auto" {
  const detail = shapeOf(part.metadata.openai)?.detail;
  return detail === "low" || detail === "high" ? detail : "auto";
}

/** The raw text of a call's arguments, which holds numbers that JSON values cannot. */
export function argumentsText(part: Part & { readonly kind: "toolCall" }): string {
  return wordsOf(shapeOf(part.metadata.openai)?.arguments) ?? (typeof part.arguments === "string" ? part.arguments : JSON.stringify(part.arguments));
}
