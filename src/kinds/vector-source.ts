/**
 * How the chunks of one source stand in a vector store: their ids, their metadata, and how to know that a source is stored whole.
 *
 * The first chunk is the mark: it is written last and deleted first, so where it is, all others of the same content are.
 *
 * @module
 */
import { MillraceError, received } from "../core/errors.ts";
import { checkedMetadata } from "../core/json-border.ts";
import type { Metadata, TextPart } from "../core/part.ts";
import type { VectorEntry, VectorRecord } from "./vector-store.ts";

/** All chunks of a source, in their order, and the hash of what they say. */
export interface SourceChunks {
  readonly source: string;
  readonly chunks: readonly TextPart[];
  /** Of texts, metadata and the version: another hash, another content. */
  readonly hash: string;
  /** Of each chunk, in order. The same content has the same ids wherever it is stored. */
  readonly ids: readonly string[];
  /** What the store keeps of each chunk. */
  readonly metadata: readonly Metadata[];
}

/** The fields that `remember` adds to the metadata of a chunk. */
export interface ChunkFields {
  readonly source: string;
  /** Of the whole source's content. */
  readonly sourceHash: string;
  /** Of the source's name, a number, so that all sources between two others can be deleted. */
  readonly sourceKey: number;
  /** Place in the source, from 0. */
  readonly chunk: number;
  /** How many the source has. */
  readonly chunks: number;
}

/** Of the fields above: with another number all that was stored before is stored anew. */
const layout = 2;
/** Keys are whole numbers below this: every store compares such exactly. */
export const sourceKeys: number = 2 ** 48;
/** Hexadecimal digits of the content's hash in an id. */
const hashDigits = 32;

/** Names and hashes the chunks of a source. `version` is whatever else decides what is stored, such as the embedding model. */
export async function chunksOfSource(source: string, chunks: readonly TextPart[], version: string): Promise<SourceChunks> {
  const own = chunks.map((part, index) => metadataOf(source, part, index));
  const hash = await sha256(JSON.stringify([layout, version, chunks.map(({ text }, index) => [text, own[index]])]));
  const name = await sha256(source);
  return {
    source,
    chunks,
    hash,
    // the hash is in the id, so that a new content never overwrites half of an old one
    ids: chunks.map((_, index) => `${name.slice(0, 32)}${tailOf(hash, index)}`),
    metadata: own.map((metadata, chunk) => ({ ...metadata, ...({ source, sourceHash: hash, sourceKey: keyIn(name), chunk, chunks: chunks.length } satisfies ChunkFields) })),
  };
}

/** The key of a source. Of the sources that a run met one may share it with one that is gone: then that one stays. */
export async function sourceKeyOf(source: string): Promise<number> {
  return keyIn(await sha256(source));
}

function keyIn(name: string): number {
  return Number.parseInt(name.slice(0, 12), 16); // 48 bits
}

function tailOf(hash: string, chunk: number): string {
  return `-${hash.slice(0, hashDigits)}-${chunk}`;
}

/** The metadata of a part as a store keeps it. A vector is not part of it: the record has one. */
function metadataOf(source: string, part: TextPart, index: number): Metadata {
  const { embedding: _, ...rest } = part.metadata;
  return checkedMetadata(rest, `metadata of chunk ${index} of ${received(source)}`);
}

/** Is this the first chunk of the source, of the same content? */
export function isStored(head: VectorEntry | undefined, { hash, chunks }: SourceChunks): boolean {
  return head !== undefined && head.metadata["sourceHash"] === hash && head.metadata["chunks"] === chunks.length;
}

/** The id of the first chunk of the content that a chunk is of; `undefined` for what is no chunk, and for the first itself. */
export function headIdOf({ id, metadata: { sourceHash, chunk } }: VectorEntry): string | undefined {
  if (typeof sourceHash !== "string" || typeof chunk !== "number" || chunk === 0) return undefined;
  const tail = tailOf(sourceHash, chunk);
  return id.endsWith(tail) ? id.slice(0, -tail.length) + tailOf(sourceHash, 0) : undefined;
}

/** The records of a source with the vectors of its chunks. */
export function recordsOf({ ids, chunks, metadata, source }: SourceChunks, vectors: readonly Float32Array[]): readonly VectorRecord[] {
  return chunks.map(({ text }, index) => {
    const [id, vector, fields] = [ids[index], vectors[index], metadata[index]];
    if (id === undefined || vector === undefined || fields === undefined) {
      throw new MillraceError("bad_response", `remember: chunk ${index} of ${received(source)} has no vector`);
    }
    return { id, vector, text, metadata: fields };
  });
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
