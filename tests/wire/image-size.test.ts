import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/core/errors.ts";
import { checkPixels, imageSize } from "../../src/wire/image-size.ts";

const bytes = (...parts: readonly (string | readonly number[])[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...part].map((char) => char.charCodeAt(0)) : [...part])));
const big32 = (value: number): number[] => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
const big16 = (value: number): number[] => big32(value).slice(2);
const little32 = (value: number): number[] => big32(value).reverse();
const little16 = (value: number): number[] => big16(value).reverse();
const little24 = (value: number): number[] => little32(value).slice(0, 3);

const png = (width: number, height: number): Uint8Array => bytes([0x89], "PNG\r\n", [0x1a, 0x0a], big32(13), "IHDR", big32(width), big32(height));
const webp = (tag: string, ...rest: readonly (readonly number[])[]): Uint8Array => bytes("RIFF", little32(100), "WEBP", tag, little32(10), ...rest);
const frame = (marker: number, width: number, height: number): number[] => [0xff, marker, ...big16(11), 8, ...big16(height), ...big16(width), 1, 1, 17, 0];
const app: readonly number[] = [0xff, 0xe0, ...big16(6), 1, 2, 3, 4];

const known: readonly (readonly [string, Uint8Array])[] = [
  ["PNG", png(640, 480)],
  ["GIF87a", bytes("GIF87a", little16(640), little16(480))],
  ["GIF89a", bytes("GIF89a", little16(640), little16(480))],
  ["BMP", bytes("BM", Array<number>(16).fill(0), little32(640), little32(480))],
  ["BMP, from the top down", bytes("BM", Array<number>(16).fill(0), little32(640), little32(-480))],
  ["WebP", webp("VP8 ", [0, 0, 0, 0x9d, 0x01, 0x2a], little16(640 | 0x4000), little16(480 | 0x8000))],
  ["WebP without loss", webp("VP8L", [0x2f], little32((639 | (479 << 14)) >>> 0))],
  ["WebP, extended", webp("VP8X", [0, 0, 0, 0], little24(639), little24(479))],
  ["JPEG", bytes([0xff, 0xd8], app, frame(0xc0, 640, 480))],
  ["JPEG, progressive", bytes([0xff, 0xd8], app, app, frame(0xc2, 640, 480))],
  ["JPEG with tables before the frame", bytes([0xff, 0xd8], [0xff, 0xc4, ...big16(4), 9, 9], [0xff, 0xcc, ...big16(3), 9], frame(0xc1, 640, 480))],
  ["JPEG with padding and bare markers", bytes([0xff, 0xd8], [0xff, 0x01, 0xff, 0xd0], [0xff, 0xff, 0xff], app.slice(1), frame(0xcf, 640, 480))],
];

describe("the size of an image is in its header", () => {
  test.each(known)("%s", (_, image) => {
    expect(imageSize(image)).toEqual({ width: 640, height: 480 });
    const within = Uint8Array.from([9, 9, 9, ...image, 9]);
    expect(imageSize(within.subarray(3, 3 + image.length))).toEqual({ width: 640, height: 480 });
  });

  test.each(known)("%s that is not whole has none, wherever it is cut", (_, image) => {
    const needed = [...image.keys()].find((length) => imageSize(image.subarray(0, length)) !== undefined) ?? image.length;
    expect(needed).toBeGreaterThan(image.length - 5); // a frame of JPEG goes on after its size
    for (let length = 0; length < needed; length += 1) expect(imageSize(image.subarray(0, length))).toBeUndefined();
  });

  test.each([
    ["a text", bytes("no image at all, just text")],
    ["a PDF", bytes("%PDF-1.7")],
    ["a JPEG that loses its markers", bytes([0xff, 0xd8, 0x00, 0xff, 0xc0], Array<number>(20).fill(1))],
    ["a JPEG of segments without length", bytes([0xff, 0xd8], [0xff, 0xe0, 0, 0, 0xff, 0xe0, 0, 0])],
    ["another RIFF", bytes("RIFF", little32(9), "WAVEfmt ")],
    ["a WebP of an unknown kind", webp("VP9 ", Array<number>(20).fill(1))],
  ])("%s has none", (_, image) => expect(imageSize(image)).toBeUndefined());

  test("that nobody would want to decode, too", () => {
    expect(imageSize(png(60_000, 60_000))).toEqual({ width: 60_000, height: 60_000 });
    expect(imageSize(png(0xffff_ffff, 0xffff_ffff))).toEqual({ width: 0xffff_ffff, height: 0xffff_ffff });
    expect(imageSize(webp("VP8X", [0, 0, 0, 0], little24(0xffffff), little24(0xffffff)))).toEqual({ width: 16_777_216, height: 16_777_216 });
  });
});

describe("an image with too many pixels is refused", () => {
  const refused = (call: () => void): unknown => {
    try {
      call();
    } catch (error) {
      return isMillraceError(error, "too_large") ? error.message : error;
    }
    return "allowed";
  };

  test("from the first one too many", () => {
    expect(refused(() => checkPixels("vision", png(100, 100), 10_000))).toBe("allowed");
    expect(refused(() => checkPixels("vision", png(73, 137), 10_000))).toBe("vision: an image of 73 by 137 pixels, the most is 10000 in all");
  });

  test("50 million are the most, unless said otherwise", () => {
    expect(refused(() => checkPixels("vision", png(10_000, 5_000)))).toBe("allowed");
    expect(refused(() => checkPixels("vision", png(10_000, 5_001)))).toContain("10000 by 5001");
    expect(refused(() => checkPixels("vision", png(60_000, 60_000)))).toContain("60000 by 60000");
  });

  test("one of no known size goes by: whoever reads it refuses it", () => expect(refused(() => checkPixels("vision", bytes("text"), 1))).toBe("allowed"));
});
