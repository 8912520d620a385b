/**
 * The verb that reads from a blob store.
 *
 * @module
 */
import { derive } from "../core/derive.ts";
import { invalidOption, wholeNumber } from "../core/errors.ts";
import { PASS } from "../core/flow.ts";
import { essence } from "../core/guards.ts";
import { unknownMimeType } from "../core/mime-types.ts";
import type { Part, UriPart } from "../core/part.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { type Likeness, partsOf, type ReadOptions, readOptions } from "./blob-parts.ts";
import type { BlobInfo, BlobStore } from "./blob-store.ts";
import { opened, placeOf, requireAbility, requireBlobStore, retyped } from "./blob-verbs.ts";
import { type StorablePart, storedPart } from "./stored-part.ts";

const who = "load";

/** What `load` may be told. */
export interface LoadOptions extends ReadOptions {
  /** Which of the addresses of this store are loaded; the others pass by. @default all */
  readonly match?: (part: UriPart) => boolean;
  /** Fails with `conflict` for a blob that is no longer the version in `metadata.blob` of its part. @default false */
  readonly ifVersion?: boolean;
  /** Blobs being read at most; each part that is not chunked is held in memory. @default 1 */
  readonly concurrency?: number;
}

/**
 * Replaces the addresses of a store by what is stored there.
 *
 * A part that `save` wrote comes back as it was (kind, mime type, metadata; the role unless it was `system`), where the store keeps
 * metadata. Of other blobs the mime type decides: the store's, or the address part's own where the store keeps none or knows none. What
 * the address part says of role, substream and metadata goes before what is stored. Addresses are data: where they come from
 * outside and the store holds more than its sender may see, `match` has to say which are read.
 *
 * Reads:  uri parts with an address of this store; the others pass by.
 * Yields: in its place, a text, JSON or bytes part of the content with `metadata.blob` of `{ uri, key, size, version }`; with `chunked`,
 *         many parts of large content, there with `offset` and `last` too. A byte order mark is dropped.
 * Throws: `not_found`; `too_large` for content above `maxBytes` unless `chunked`; `bad_response` for text that is not in its charset
 *         and for broken JSON; `conflict` with `ifVersion`; all these are of scope `part`. `invalid_input` for bad options; whatever else
 *         the store throws.
 * Closes: each content, at its end and on leaving; the store belongs to the caller.
 *
 * @example
 * await using store = memoryBlobStore();
 * await store.put("notes.md", [new TextEncoder().encode("# Notes")], { mimeType: "text/markdown" });
 * console.log(await run(load(store), uri(store.uriOf("notes.md"), "text/markdown")).text()); // # Notes
 */
export function load(store: BlobStore, options: LoadOptions = {}): Processor {
  requireBlobStore(who, store);
  const reading = readOptions(who, options);
  const { match, ifVersion = false, concurrency = 1 } = options;
  if (typeof reading.chunked !== "boolean") throw invalidOption(who, "chunked", "a boolean", reading.chunked);
  if (match !== undefined && typeof match !== "function") throw invalidOption(who, "match", "a function", match);
  if (typeof ifVersion !== "boolean") throw invalidOption(who, "ifVersion", "a boolean", ifVersion);
  wholeNumber(who, "concurrency", concurrency, 1);
  if (ifVersion) requireAbility(who, store, "ifVersion", "ifVersion");

  async function* read(part: UriPart, key: string, signal: AbortSignal): AsyncGenerator<Part> {
    const version = ifVersion ? versionOf(part) : undefined;
    const content = await opened(store, key, { signal, ...(version === undefined ? {} : { ifVersion: version }) });
    try {
      signal.throwIfAborted(); // left while it was being opened
      const { info } = content;
      const stored = await storedPart(store, info, signal);
      const type = typeOf(store, info, part);
      const asStored = reading.as === "bytes" ? undefined : stored;
      const readAs = asStored === undefined ? type : (decodedAs[asStored.kind] ?? type);
      const mimeType = asStored?.mimeType ?? type;
      const like: Likeness = {
        who,
        role: part.role === "user" && stored !== undefined ? stored.role : part.role,
        substream: part.substream,
        metadata: { ...stored?.metadata, ...part.metadata, blob: placeOf(store, info) },
        namespace: "blob",
      };
      for await (const made of partsOf(retyped(content, readAs), like, asStored?.kind === "bytes" ? { ...reading, as: "bytes" } : reading)) {
        yield made.mimeType === mimeType ? made : derive(made, { mimeType });
      }
    } finally {
      await content.close();
    }
  }
  return processorOf([
    {
      kind: "operation",
      name: who,
      concurrency,
      ordered: true,
      open: () => (part, { signal }) => {
        const key = part.kind === "uri" ? store.keyOf(part.uri) : undefined;
        return part.kind !== "uri" || key === undefined || (match !== undefined && !match(part)) ? PASS : read(part, key, signal);
      },
    },
  ]);
}

/** How the bytes of a saved part are read, whatever mime type the part has: `save` writes text in UTF-8. */
const decodedAs: Readonly<Partial<Record<StorablePart["kind"], string>>> = { text: "text/plain; charset=utf-8", json: "application/json" };

/** Said of content by those who know nothing of it; the second is what S3 makes of no type at all. */
const vague: ReadonlySet<string> = new Set([unknownMimeType, "binary/octet-stream"]);

/** The mime type of the bytes: who stored them knows best, unless the store asks nobody. */
function typeOf(store: BlobStore, info: BlobInfo, part: UriPart): string {
  const kept = store.lacks.mimeType === undefined && !vague.has(essence(info.mimeType));
  return kept || vague.has(essence(part.mimeType)) ? info.mimeType : part.mimeType;
}

/** The version that a part says its address is of. */
function versionOf({ metadata: { blob } }: UriPart): string | undefined {
  const version: unknown = typeof blob === "object" && blob !== null && "version" in blob ? blob.version : undefined;
  return typeof version === "string" ? version : undefined;
}
