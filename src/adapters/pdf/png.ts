/**
 * Raw pixels as PNG (ISO 15948): one colour depth, no interlacing, no colour profile.
 *
 * @module
 */
import { joinBytes } from "../../core/join-bytes.ts";

/** Pixels as a PDF has them: row by row, each row in whole bytes. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 1 is grey, 3 is red, green and blue, 4 those and alpha. */
  readonly channels: 1 | 3 | 4;
  /** Bits of a channel; 1 is for grey alone, where it means black and white. @default 8 */
  readonly bits?: 1 | 8;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Colour types of the header chunk. */
const colourTypes = { 1: 0, 3: 2, 4: 6 } as const;

/** 2 of RFC 2083: each byte less the one above it, which suits pages of paper. */
const filterUp = 2;

/** Encodes pixels. */
export async function encodePng({ width, height, channels, bits = 8, data }: Pixels): Promise<Uint8Array> {
  const { crc32, deflate } = await import("node:zlib");
  const stride = Math.ceil((width * channels * bits) / 8);
  const rows = new Uint8Array((stride + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const to = y * (stride + 1);
    const from = y * stride;
    rows[to] = filterUp;
    for (let x = 0; x < stride; x += 1) rows[to + 1 + x] = (data[from + x] ?? 0) - (y === 0 ? 0 : (data[from - stride + x] ?? 0));
  }
  const packed = await new Promise<Uint8Array>((resolve, reject) => {
    deflate(rows, { level: 6 }, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([bits, colourTypes[channels]], 8);
  const chunks = [chunk("IHDR", header, crc32), chunk("IDAT", packed, crc32), chunk("IEND", new Uint8Array(), crc32)];
  return joinBytes([Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), ...chunks]);
}

/** Length, type, content, check sum of the two. */
function chunk(type: string, content: Uint8Array, crc32: (bytes: Uint8Array) => number): Uint8Array {
  const made = new Uint8Array(content.length + 12);
  const view = new DataView(made.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i += 1) made[4 + i] = type.charCodeAt(i);
  made.set(content, 8);
  view.setUint32(made.length - 4, crc32(made.subarray(4, made.length - 4)));
  return made;
}
