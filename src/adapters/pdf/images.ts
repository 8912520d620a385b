/**
 * The images that a page draws, as pixels.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { PdfOperators, PdfPage } from "./open.ts";
import type { Pixels } from "./png.ts";

/** What the operators of a page draw. */
export interface Drawn {
  readonly images: readonly Pixels[];
  /** How many operators there are. */
  readonly operators: number;
}

/** `ImageKind` of PDF.js, as the channels and bits of a PNG. */
const kinds: Readonly<Record<number, Pick<Pixels, "channels" | "bits">>> = {
  1: { channels: 1, bits: 1 },
  2: { channels: 3, bits: 8 },
  3: { channels: 4, bits: 8 },
};

/** Decodes the images of a page, in the order they are drawn. Throws `invalid_input` for one that cannot be decoded. */
export async function drawnImages(page: PdfPage, operators: PdfOperators, number: number): Promise<Drawn> {
  const { fnArray, argsArray } = await page.getOperatorList();
  const images: Pixels[] = [];
  const seen = new Set<string>();
  for (const [i, operator] of fnArray.entries()) {
    const args = argsArray[i];
    const [drawn]: readonly unknown[] = Array.isArray(args) ? args : [];
    if (operator === operators.paintImageXObject && typeof drawn === "string") {
      if (seen.has(drawn)) continue;
      seen.add(drawn);
      const image = toPixels(await lookUp(page, drawn));
      if (image === undefined) {
        const message = `pdf: an image of page ${number} cannot be decoded: it is broken, or JPEG 2000, JBIG2 or CCITT fax`;
        throw new MillraceError("invalid_input", message, { service: "pdf" });
      }
      images.push(image);
    } else if (operator === operators.paintInlineImageXObject) {
      const image = toPixels(drawn);
      if (image !== undefined) images.push(image);
    } else if (operator === operators.paintImageMaskXObject) {
      const image = await maskOf(page, drawn);
      if (image !== undefined) images.push(image);
    }
  }
  return { images, operators: fnArray.length };
}

function lookUp(page: PdfPage, id: string): Promise<unknown> {
  return new Promise((resolve) => (id.startsWith("g_") ? page.commonObjs : page.objs).get(id, resolve));
}

function toPixels(value: unknown): Pixels | undefined {
  if (!hasSize(value) || !("kind" in value) || typeof value.kind !== "number") return undefined;
  const kind = kinds[value.kind];
  return kind === undefined ? undefined : whole({ ...kind, width: value.width, height: value.height, data: value.data });
}

/** A stencil: its clear bits are painted, and paint on a scanned page is ink. */
async function maskOf(page: PdfPage, value: unknown): Promise<Pixels | undefined> {
  const { width, height, data } = typeof value === "object" && value !== null ? (value as { width?: unknown; height?: unknown; data?: unknown }) : {};
  const found = typeof data === "string" ? await lookUp(page, data) : value;
  const bits = { width, height, ...(typeof found === "object" && found !== null ? found : {}) };
  return hasSize(bits) ? whole({ channels: 1, bits: 1, width: bits.width, height: bits.height, data: bits.data }) : undefined;
}

function hasSize(value: unknown): value is { readonly width: number; readonly height: number; readonly data: Uint8Array | Uint8ClampedArray } {
  if (typeof value !== "object" || value === null || !("width" in value) || !("height" in value) || !("data" in value)) return false;
  const { width, height, data } = value;
  return typeof width === "number" && typeof height === "number" && (data instanceof Uint8Array || data instanceof Uint8ClampedArray);
}

/** Pixels of which there are enough. */
function whole(pixels: Pixels): Pixels | undefined {
  const stride = Math.ceil((pixels.width * pixels.channels * (pixels.bits ?? 8)) / 8);
  return pixels.width > 0 && pixels.height > 0 && pixels.data.length >= stride * pixels.height ? pixels : undefined;
}
