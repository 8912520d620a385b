/**
 * Cutting bytes where it hurts: inside characters, between CR and LF, in the middle of a word.
 *
 * @module
 */

/** Pieces of so many bytes, one piece, or pieces of 1 to 16 bytes by chance, the same for the same seed. */
export type Split = number | "whole" | { readonly seed: number };

/** The bytes in pieces. */
export function* splitBytes(bytes: Uint8Array, split: Split): Generator<Uint8Array> {
  if (split === "whole") return yield bytes;
  const random = typeof split === "number" ? undefined : seeded(split.seed);
  for (let at = 0; at < bytes.byteLength; ) {
    const size = typeof split === "number" ? split : 1 + Math.floor((random?.() ?? 0) * 16);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
