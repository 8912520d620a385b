/**
 * Media of a part as content blocks of the Messages API, and the marks for its cache.
 *
 * Source: platform.claude.com/docs/en/build-with-claude/vision, …/pdf-support, …/prompt-caching
 *
 * @module
 */
import { toBase64 } from "../../core/base64.ts";
import { MillraceError } from "../../core/errors.ts";
import { essence } from "../../core/guards.ts";
import type { BytesPart, Part, UriPart } from "../../core/part.ts";
import { cannotTake } from "../cannot-take.ts";
import { shapeOf, wordsOf } from "../json-shape.ts";

/** Keeps everything up to a block in the cache: for five minutes, or for an hour. */
export interface CacheControl {
  readonly type: "ephemeral";
  readonly ttl?: "5m" | "1h";
}

type ImageType = "image/jpeg" | "image/png" | "image/gif" | "image/webp";

/** An image. */
export interface ImageBlock {
  readonly type: "image";
  readonly source: { readonly type: "base64"; readonly media_type: ImageType; readonly data: string } | { readonly type: "url"; readonly url: string };
  readonly cache_control?: CacheControl;
}

/** A document, whose words can be cited. */
export interface DocumentBlock {
  readonly type: "document";
  readonly source:
    | { readonly type: "base64"; readonly media_type: "application/pdf"; readonly data: string }
    | { readonly type: "text"; readonly media_type: "text/plain"; readonly data: string }
    | { readonly type: "url"; readonly url: string };
  readonly title?: string;
  readonly citations?: { readonly enabled: true };
  readonly cache_control?: CacheControl;
}

const imageTypes: readonly string[] = ["image/jpeg", "image/png", "image/gif", "image/webp"] satisfies ImageType[];

function isImageType(type: string): type is ImageType {
  return imageTypes.includes(type);
}

/** Types that are text whatever they are called. */
const textTypes = /^(?:text\/|application\/(?:json|xml|yaml|x-yaml|x-ndjson|javascript|sql|toml)$|application\/[\w.-]+\+(?:json|xml)$)/;

/** The block of a medium; throws `invalid_input` for what no model there takes. */
export function mediaBlock(who: string, part: BytesPart | UriPart, cited: boolean): ImageBlock | DocumentBlock {
  const type = essence(part.mimeType);
  if (isImageType(type)) {
    const source = part.kind === "bytes" ? ({ type: "base64", media_type: type, data: toBase64(part.bytes) } as const) : ({ type: "url", url: addressOf(who, part) } as const);
    return { type: "image", source, ...cacheOf(who, part) };
  }
  const title = wordsOf(shapeOf(part.metadata.file)?.name);
  const about = { ...(title === undefined ? {} : { title }), ...(cited ? ({ citations: { enabled: true } } as const) : {}), ...cacheOf(who, part) };
  if (type === "application/pdf") {
    const source = part.kind === "bytes" ? ({ type: "base64", media_type: type, data: toBase64(part.bytes) } as const) : ({ type: "url", url: addressOf(who, part) } as const);
    return { type: "document", source, ...about };
  }
  if (!textTypes.test(type)) throw cannotTake(who, part);
  if (part.kind === "uri") throw cannotTake(who, part, "load its content first");
  return { type: "document", source: { type: "text", media_type: "text/plain", data: wordsIn(who, part) }, ...about };
}

/** An address that the service can fetch. */
function addressOf(who: string, part: UriPart): string {
  if (/^https?:\/\//i.test(part.uri)) return part.uri;
  const scheme = /^[a-z][\w+.-]*:/i.exec(part.uri)?.[0] ?? "no scheme";
  throw cannotTake(who, part, `the address must be https, got ${scheme}; load its content first`);
}

function wordsIn(who: string, part: BytesPart): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(part.bytes);
  } catch {
    throw cannotTake(who, part, "its bytes are no UTF-8");
  }
}

/** The mark that `metadata.anthropic.cacheControl` asks for: true, or `{ ttl: "5m" | "1h" }`. */
export function cacheOf(who: string, part: Part): { readonly cache_control?: CacheControl } {
  const asked = shapeOf(part.metadata.anthropic)?.cacheControl;
  if (asked === undefined || asked === false || asked === null) return {};
  const ttl = shapeOf(asked)?.ttl;
  if (asked === true || (shapeOf(asked) !== undefined && ttl === undefined)) return { cache_control: { type: "ephemeral" } };
  if (ttl === "5m" || ttl === "1h") return { cache_control: { type: "ephemeral", ttl } };
  throw new MillraceError("invalid_input", `${who}: metadata.anthropic.cacheControl of a ${part.kind} part must be true or { ttl: "5m" | "1h" }`, { service: who });
}
