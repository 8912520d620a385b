/**
 * Little-endian words and arrays of them, as FAISS's `READ1` and `READVECTOR` take them.
 *
 * @module
 */
import { type ByteSource, chunkBytes, damaged } from "./byte-source.ts";

/** A signed word of 32 bits. */
export async function int(source: ByteSource): Promise<number> {
  return (await source.take(4)).getInt32(0, true);
}

/** A signed word of 64 bits. */
export async function word64(source: ByteSource): Promise<bigint> {
  return (await source.take(8)).getBigInt64(0, true);
}

/** How many elements follow; never more than the rest of the file can hold, so that no number in it makes us ask for memory. */
export async function length(source: ByteSource, elementBytes: number): Promise<number> {
  const count = await word64(source);
  if (count < 0n || count * BigInt(elementBytes) > BigInt(source.left)) throw damaged(source.who, `an array of ${count} where ${source.left} bytes are left`);
  return Number(count);
}

/** An array of 32-bit words, or of as many of `words` each; its buffer is its own. */
export async function ints(source: ByteSource, count: number, words = 1): Promise<Int32Array<ArrayBuffer>> {
  const array = new Int32Array(count * words);
  const bytes = new Uint8Array(array.buffer);
  for (let at = 0; at < bytes.length; ) {
    const piece = await source.take(Math.min(chunkBytes, bytes.length - at));
    bytes.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), at);
    at += piece.byteLength;
  }
  return array;
}
