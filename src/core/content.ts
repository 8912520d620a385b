/**
 * What may be streamed, and how each item of it becomes a part.
 *
 * @module
 */
import { bytes, isRole, text } from "./constructors.ts";
import { MillraceError, received } from "./errors.ts";
import type { Part } from "./part.ts";
import { noMetadata } from "./part.ts";
import type { Flow } from "./flow.ts";
import { readableParts } from "./readable.ts";
import type { Scope } from "./scope.ts";

/** One item: a part, a text, or bytes of no known type. */
export type Item = Part | string | Uint8Array;

/** Whatever can be streamed. */
export type Input = Item | Iterable<Item> | AsyncIterable<Item> | ReadableStream<Item> | Blob;

/** Content in the form the kernel reads: ready items, or something to iterate. */
export type Content =
  | { readonly items: readonly unknown[] }
  | { readonly sync: Iterable<unknown> }
  | { readonly async: AsyncIterable<unknown>; /** Told when a reader leaves that never pulled. */ readonly unread?: () => Promise<void> | undefined }
  | { readonly open: (scope: Scope) => Flow };

const kinds: ReadonlySet<string> = new Set<Part["kind"]>([
  "text",
  "bytes",
  "uri",
  "json",
  "toolCall",
  "toolResult",
  "finish",
  "error",
]);

/** Is it a part, field by field? For borders; inside, the kind alone is looked at. */
export function isWholePart(value: unknown): value is Part {
  if (typeof value !== "object" || value === null) return false;
  const part = value as Record<keyof Part, unknown>;
  return (
    typeof part.kind === "string" &&
    kinds.has(part.kind) &&
    typeof part.mimeType === "string" &&
    isRole(part.role) &&
    typeof part.substream === "string" &&
    typeof part.metadata === "object" &&
    part.metadata !== null
  );
}

/** On what `from` gives: its content, so that a run reads it without a stage in between. */
export const CONTENT: unique symbol = Symbol("millrace.content");

/** Reads an input, without opening it. Throws `invalid_input` for what is no content. */
export function readContent(input: unknown): Content {
  if (typeof input === "object" && input !== null && CONTENT in input) return input[CONTENT] as Content;
  if (typeof input === "string") return { items: [text(input)] };
  if (input instanceof Uint8Array) return { items: [bytes(input, "application/octet-stream")] };
  if (typeof input === "object" && input !== null) {
    if (isWholePart(input)) return { items: [input] };
    if (Array.isArray(input)) return { items: input };
    if (input instanceof Blob) return { async: blobPart(input) };
    if (input instanceof ReadableStream) return { async: readableParts(input) };
    if (Symbol.asyncIterator in input) return { async: input as AsyncIterable<unknown> };
    if (Symbol.iterator in input) return { sync: input as Iterable<unknown> };
  }
  throw new MillraceError(
    "invalid_input",
    `from: needs a string, a part, bytes, an iterable, a ReadableStream or a Blob, got ${received(input)}`,
  );
}

/**
 * An item as a part; `undefined` where there is none. A string takes role and substream of the part it came from.
 *
 * Throws `invalid_input` for anything that is no item, and says what was met.
 */
export function toPart(item: unknown, origin: Part | undefined): Part | undefined {
  if (typeof item === "string") {
    if (origin === undefined) return text(item);
    const { role, substream } = origin;
    return { kind: "text", mimeType: "text/plain", role, substream, metadata: noMetadata, text: item };
  }
  if (isWholePart(item)) return item;
  if (origin === undefined) {
    if (item instanceof Uint8Array) return bytes(item, "application/octet-stream");
    throw new MillraceError("invalid_input", `from: an item must be a part, a string or bytes, got ${received(item)}`);
  }
  if (item === undefined) return undefined;
  throw notAResult(item);
}

/** A part function gave back something that is no part. */
export function notAResult(result: unknown): MillraceError {
  return new MillraceError(
    "invalid_input",
    `each: a part function gives a part, a string, undefined or an iterable of these, got ${received(result)}`,
  );
}

async function* blobPart(blob: Blob): AsyncGenerator<Part> {
  yield bytes(new Uint8Array(await blob.arrayBuffer()), blob.type === "" ? "application/octet-stream" : blob.type);
}
