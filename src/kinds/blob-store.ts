/**
 * The blob store kind: bytes under keys.
 *
 * Everything is streamed, in chunks of at most 1 MiB; a store holds no blob in memory unless it is memory. Key rules are in
 * `blob-keys.ts`, the verbs in `load.ts` and `save.ts`, and every store passes `testing/contracts/blob-store.ts`.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";

/** The largest chunk a store hands on: 1 MiB. */
export const maxChunkBytes = 1_048_576;

/** What not every store can do. */
export type BlobAbility = "ifAbsent" | "ifVersion" | "metadata" | "mimeType" | "range";

/** A blob in a list. */
export interface BlobEntry {
  readonly key: string;
  /** Bytes of the whole blob. */
  readonly size: number;
  /** Milliseconds since 1970 of the last write, where the store knows it. */
  readonly modifiedMs?: number;
  /** Changes whenever the content does, where the store has such a thing. */
  readonly version?: string;
}

/** All that a store says of a blob. */
export interface BlobInfo extends BlobEntry {
  readonly mimeType: string;
  /** What `put` was given, by the same names. Empty where the store has no place for it. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes from `start` on, up to but not with `end`. */
export interface BlobRange {
  readonly start: number;
  /** @default the end of the blob; further than that counts as the end */
  readonly end?: number;
}

/** What `get` may be told. */
export interface BlobGetOptions {
  readonly signal?: AbortSignal;
  readonly range?: BlobRange;
  /** Fails with `conflict` when the blob is no longer this version: for ranges of one and the same content. */
  readonly ifVersion?: string;
}

/** What `put` may be told. */
export interface BlobPutOptions {
  readonly signal?: AbortSignal;
  /** @default "application/octet-stream" */
  readonly mimeType?: string;
  /** Names of lower-case letters, digits and `-`; values of printable ASCII. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Write once: fails with `conflict` when there is a blob of this key already, whoever comes first. */
  readonly ifAbsent?: boolean;
  /** Bytes, if known: more or fewer fail with `invalid_input`. */
  readonly size?: number;
}

/** What `list` may be told. */
export interface BlobListOptions {
  readonly signal?: AbortSignal;
  /** Keys that begin so; any text, not only whole segments. @default "" (all) */
  readonly prefix?: string;
}

/** An opened blob: iterate it once, or close it. Leaving the loop closes it. */
export interface BlobContent extends AsyncIterable<Uint8Array> {
  readonly info: BlobInfo;
  /** Gives up what was opened. Twice is fine, after the end too. */
  close(): Promise<void>;
}

/** Bytes to store. */
export type BlobChunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Stores bytes under keys.
 *
 * Errors: `not_found` for a key that is not there, `conflict` for `ifAbsent` and `ifVersion`, `truncated` when fewer bytes
 * came than the blob has, `closed` after `close()`; those of `checkKey`; an abort is the signal's reason.
 */
export interface BlobStore extends AsyncDisposable {
  /** For messages and metadata: `s3`, `files`. */
  readonly service: string;
  /** What the store cannot do, each with the reason; asking for it is refused, but for `metadata` and `mimeType`, which are dropped. */
  readonly lacks: Readonly<Partial<Record<BlobAbility, string>>>;
  /** The address of a blob, as it stands in `uri` parts. Nothing is asked of the service. */
  uriOf(key: string): string;
  /** The key of an address of this store; `undefined` for all others. */
  keyOf(uri: string): string | undefined;
  /** Opens a blob. */
  get(key: string, options?: BlobGetOptions): Promise<BlobContent>;
  /** Stores a blob, all of it or nothing: while it runs, and if it fails, what was there before stays. */
  put(key: string, chunks: BlobChunks, options?: BlobPutOptions): Promise<BlobInfo>;
  /** Goes through the keys, in no promised order, a page at a time. */
  list(options?: BlobListOptions): AsyncIterable<BlobEntry>;
  /** Deletes blobs; those that are not there are fine. */
  delete(keys: Iterable<string>, options?: { readonly signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
}

/** The same bytes in chunks of at most 1 MiB; views, not copies. */
export function* bounded(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.byteLength; at += maxChunkBytes) yield chunk.subarray(at, at + maxChunkBytes);
}

/**
 * Where a range begins and ends in a blob of `size` bytes.
 *
 * Throws `invalid_input` for bounds that are no whole numbers or cross, and for a start at or past the end: services answer
 * 416 there, and an empty stream would look like an empty blob.
 */
export function boundsOf(who: string, range: BlobRange | undefined, size: number): { readonly start: number; readonly end: number } {
  if (range === undefined) return { start: 0, end: size };
  const { start, end = size } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || (range.end !== undefined && end <= start)) {
    throw invalidOption(who, "range", "whole numbers with start before end", `${start} to ${range.end ?? "the end"}`);
  }
  if (start >= size) throw new MillraceError("invalid_input", `${who}: range starts at byte ${start}, the blob has ${size}`);
  return { start, end: Math.min(end, size) };
}

/** Refuses metadata that would not come back from every store as it was. */
export function checkMetadata(who: string, metadata: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]{1,128}$/.test(name)) throw invalidOption(who, "metadata", "named by lower-case letters, digits and -", name);
    if (typeof value !== "string" || !/^[\x20-\x7e]*$/.test(value)) throw invalidOption(who, `metadata.${name}`, "printable ASCII", value);
  }
  return { ...metadata };
}
