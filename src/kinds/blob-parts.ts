/**
 * Blobs as parts: which kind of part a content becomes, and how large ones come in pieces.
 *
 * @module
 */
import { bytes, json, text } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, MillraceError, wholeNumber } from "../core/errors.ts";
import { essence } from "../core/guards.ts";
import type { JsonValue, Metadata, Part, PartOptions } from "../core/part.ts";
import type { BlobContent } from "./blob-store.ts";

/** 20 MiB: the largest part there is by default, here as at every border. */
export const defaultMaxBytes = 20_971_520;

/** How content becomes parts. */
export interface ReadOptions {
  /** Bytes in one part; larger content is `too_large`, or comes in chunks. @default 20 MiB */
  readonly maxBytes?: number;
  /** Content above `maxBytes` comes as many parts of at most 1 MiB, each with its offset. @default false */
  readonly chunked?: boolean;
  /** `"content"`: text and JSON by mime type, else bytes; `"bytes"`: never decoded. @default "content" */
  readonly as?: "content" | "bytes";
}

/** Checks the options, when the stage is built. */
export function readOptions(who: string, options: ReadOptions): Required<ReadOptions> {
  const as = options.as ?? "content";
  if (as !== "content" && as !== "bytes") throw invalidOption(who, "as", '"content" or "bytes"', as);
  return { maxBytes: wholeNumber(who, "maxBytes", options.maxBytes ?? defaultMaxBytes, 1), chunked: options.chunked ?? false, as };
}

/** What the parts of a content are made like. */
export interface Likeness {
  readonly who: string;
  readonly role: Part["role"];
  readonly substream: string;
  /** Metadata of the parts; in chunks, `offset` and `last` are added under `namespace`. */
  readonly metadata: Metadata;
  readonly namespace: string;
}

/**
 * The parts of an opened content, which is closed at the end.
 *
 * The mime type decides, never the bytes: `text/*` and NDJSON are text, `application/json` is JSON, all else is bytes. Text is
 * decoded by the charset of its mime type, UTF-8 unless it names one; a byte order mark is dropped. Roles come from storage,
 * so a part that says `system` is not trusted as one.
 *
 * Throws: `too_large`; `bad_response` for text that is not in its charset and for JSON that is none; what the store throws.
 */
export async function* partsOf(content: BlobContent, like: Likeness, options: Required<ReadOptions>): AsyncGenerator<Part> {
  try {
    const { info } = content;
    const kind = options.as === "bytes" ? "bytes" : kindOf(info.mimeType);
    if (info.size > options.maxBytes) {
      if (!options.chunked) {
        throw new MillraceError("too_large", `${like.who}: "${info.key}" has ${info.size} bytes, maxBytes is ${options.maxBytes}`);
      }
      yield* chunks(content, kind === "bytes" ? undefined : decoder(like.who, info), like);
      return;
    }
    const whole = new Uint8Array(info.size);
    let at = 0;
    for await (const chunk of content) {
      if (at + chunk.byteLength > whole.byteLength) throw new MillraceError("bad_response", `${like.who}: "${info.key}" is longer than the ${info.size} bytes it said`);
      whole.set(chunk, at);
      at += chunk.byteLength;
    }
    if (at < info.size) throw new MillraceError("truncated", `${like.who}: "${info.key}" ended after ${at} of ${info.size} bytes`);
    yield part(whole, kind, info, like);
  } finally {
    await content.close();
  }
}

type Kind = "text" | "json" | "bytes";

function kindOf(mimeType: string): Kind {
  const type = essence(mimeType);
  if (type === "application/json") return "json";
  return type.startsWith("text/") || type === "application/x-ndjson" ? "text" : "bytes";
}

function part(content: Uint8Array, kind: Kind, info: BlobContent["info"], like: Likeness): Part {
  const shape: PartOptions = { mimeType: info.mimeType, substream: like.substream, metadata: like.metadata };
  if (kind === "bytes") return derive(bytes(content, info.mimeType, shape), { role: like.role });
  const decoded = decode(decoder(like.who, info), content, false, info, like.who);
  if (kind === "text") return derive(text(decoded, shape), { role: like.role });
  return derive(json(parse(decoded, info, like.who), shape), { role: like.role });
}

async function* chunks(content: BlobContent, decoding: TextDecoder | undefined, like: Likeness): AsyncGenerator<Part> {
  const { info } = content;
  let offset = 0;
  for await (const chunk of content) {
    const last = offset + chunk.byteLength >= info.size;
    const about = like.metadata[like.namespace];
    const place = { ...(typeof about === "object" ? about : {}), offset, last };
    const shape: PartOptions = { mimeType: info.mimeType, substream: like.substream, metadata: { ...like.metadata, [like.namespace]: place } };
    const made = decoding === undefined ? bytes(chunk, info.mimeType, shape) : text(decode(decoding, chunk, !last, info, like.who), shape);
    yield derive(made, { role: like.role });
    offset += chunk.byteLength;
  }
}

/** The charset of a mime type; UTF-8 where it names none. */
function decoder(who: string, info: BlobContent["info"]): TextDecoder {
  const label = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(info.mimeType)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(label, { fatal: true });
  } catch (cause) {
    throw new MillraceError("bad_response", `${who}: "${info.key}" is in the unknown charset ${label}; read it with as: "bytes"`, { cause, retryable: false, scope: "part" });
  }
}

function decode(decoding: TextDecoder, content: Uint8Array, stream: boolean, info: BlobContent["info"], who: string): string {
  try {
    return decoding.decode(content, { stream });
  } catch (cause) {
    const message = `${who}: "${info.key}" is not ${decoding.encoding} though ${info.mimeType} says so; read it with as: "bytes"`;
    throw new MillraceError("bad_response", message, { cause, retryable: false, scope: "part" });
  }
}

function parse(content: string, info: BlobContent["info"], who: string): JsonValue {
  try {
    return JSON.parse(content) as JsonValue; // what JSON.parse gives is JSON
  } catch (cause) {
    const message = `${who}: "${info.key}" is not JSON though ${info.mimeType} says so, got ${outlined(content)}`;
    throw new MillraceError("bad_response", message, { cause, retryable: false, scope: "part" });
  }
}

/** What a text from a store is, for messages: it may be anybody's document, so not a word of it. `<` is a page of HTML mostly. */
export function outlined(content: string): string {
  return content === "" ? "an empty text" : `${content.length} characters that begin with ${JSON.stringify(content.slice(0, 1))}`;
}
