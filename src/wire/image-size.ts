/**
 * How large an image would be, from its header alone: a few bytes may say 60,000 by 60,000, and whoever decodes them pays.
 *
 * Sources: PNG (ISO 15948), GIF89a, JPEG (ITU T.81), WebP (RFC 9649), BMP.
 *
 * @module
 */
import { MillraceError } from "../core/errors.ts";

/** 50 million pixels: 200 MB decoded. */
const defaultMaxPixels = 50_000_000;

/** Width and height in pixels; `undefined` for a format that is not known here or a header that is not whole. */
export function imageSize(bytes: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at: number, text: string): boolean => at + text.length <= bytes.length && [...text].every((char, i) => bytes[at + i] === char.charCodeAt(0));
  try {
    if (tag(1, "PNG\r\n")) return { width: view.getUint32(16), height: view.getUint32(20) };
    if (tag(0, "GIF8")) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    if (tag(0, "BM")) return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
    if (tag(0, "RIFF") && tag(8, "WEBP")) return webp(view, tag);
    if (view.getUint16(0) === 0xffd8) return jpeg(view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the header ends early
  }
  return undefined;
}

/** Throws `too_large` for an image with more pixels than that. */
export function checkPixels(who: string, bytes: Uint8Array, maxPixels: number = defaultMaxPixels): void {
  const size = imageSize(bytes);
  if (size !== undefined && size.width * size.height > maxPixels) {
    throw new MillraceError("too_large", `${who}: an image of ${size.width} by ${size.height} pixels, the most is ${maxPixels} in all`);
  }
}

function webp(view: DataView, tag: (at: number, text: string) => boolean): { width: number; height: number } | undefined {
  if (tag(12, "VP8X")) {
    const field = (at: number): number => 1 + view.getUint16(at, true) + view.getUint8(at + 2) * 65_536; // 24 bits, less one
    return { width: field(24), height: field(27) };
  }
  if (tag(12, "VP8L")) {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
  }
  return tag(12, "VP8 ") ? { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff } : undefined;
}

/** Goes from marker to marker to the start of a frame; each segment says its length. */
function jpeg(view: DataView): { width: number; height: number } | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    if (marker === 0xff) at += 1; // padding
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2; // markers without a segment
    else at += 2 + Math.max(2, view.getUint16(at + 2));
  }
}
